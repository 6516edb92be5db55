"""Regimes by their shares, terms by their weights and schedules."""

from typing import Any

import pytest

from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import REGIMES, TERMS, RestyleConfig, Term


# Regimes
def test_regimes_come_in_their_shares() -> None:
    config = RestyleConfig(sampling=1.0, restyling=2.0, autoencoding=0.5, contrast=0.5)
    drawn = [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn == [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn != [config.regime_at(nimg, 8) for nimg in range(0, 16_000, 16)]
    shares = [drawn.count(name) / len(drawn) for name in REGIMES]
    assert shares == pytest.approx([0.25, 0.5, 0.125, 0.125], abs=0.05)
    assert config.shares() == pytest.approx(dict(zip(REGIMES, (0.25, 0.5, 0.125, 0.125), strict=True)))
    assert {RestyleConfig().regime_at(nimg, 0) for nimg in range(100)} == {"sampling"}


# Terms
@pytest.mark.parametrize(
    ("term", "weights"),
    [
        (Term(weight=2.0), [2.0, 2.0, 2.0, 2.0]),
        (Term(weight=2.0, rise_kimg=1.0), [0.0, 1.0, 2.0, 2.0]),
    ],
)
def test_a_weight_is_a_function_of_the_images_seen(term: Term, weights: list[float]) -> None:
    assert [term.at(nimg) for nimg in (0, 500, 1000, 2000)] == pytest.approx(weights)
    everything = RestyleConfig(perceptual=term).weights_at(500)
    assert list(everything) == list(TERMS)
    assert everything["perceptual"] == pytest.approx(weights[1])


def test_networks_are_needed_only_by_terms_that_count() -> None:
    one = Term(weight=1.0)
    assert not RestyleConfig(classifier=one).needs_classifier, "nothing is restyled"
    assert RestyleConfig(classifier=one, restyling=1.0).needs_classifier
    assert RestyleConfig(perceptual=one, restyling=1.0).needs_classifier
    assert [name for name in TERMS if RestyleConfig(autoencoding=1.0).uses(name)] == ["reconstruct", "kl"]
    assert [name for name in TERMS if RestyleConfig(contrast=1.0).uses(name)] == ["info_nce"]


# Mistakes
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exemplar_prob": 0.7, "self_style_prob": 0.7}, "exceed 1 together"),
        ({"sampling": 0.0}, "are all 0"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        RestyleConfig(**changes)
