"""Regimes by their shares, terms by their weights and schedules."""

import pytest

from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import REGIMES, TERMS, RestyleConfig, Term


def test_regimes_come_in_their_shares() -> None:
    config = RestyleConfig(sampling=1.0, restyling=2.0, autoencoding=0.5, contrast=0.5)
    drawn = [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn == [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn != [config.regime_at(nimg, 8) for nimg in range(0, 16_000, 16)]
    shares = dict(zip(REGIMES, (0.25, 0.5, 0.125, 0.125), strict=True))
    assert config.shares() == pytest.approx(shares)
    assert {name: drawn.count(name) / len(drawn) for name in REGIMES} == pytest.approx(shares, abs=0.05)
    assert {RestyleConfig().regime_at(nimg, 0) for nimg in range(100)} == {"sampling"}


def test_a_weight_is_a_function_of_the_images_seen() -> None:
    rising = Term(weight=2.0, rise_kimg=1.0)
    assert [rising.at(nimg) for nimg in (0, 500, 1000, 2000)] == pytest.approx([0.0, 1.0, 2.0, 2.0])
    assert [Term(weight=2.0).at(nimg) for nimg in (0, 2000)] == [2.0, 2.0]
    everything = RestyleConfig(perceptual=rising).weights_at(500)
    assert list(everything) == list(TERMS)
    assert everything["perceptual"] == pytest.approx(1.0)


def test_networks_are_needed_only_by_terms_that_count() -> None:
    one = Term(weight=1.0)
    assert not RestyleConfig(classifier=one).needs_classifier, "nothing is restyled"
    assert RestyleConfig(classifier=one, restyling=1.0).needs_classifier
    assert RestyleConfig(perceptual=one, restyling=1.0).needs_classifier
    assert [name for name in TERMS if RestyleConfig(autoencoding=1.0).uses(name)] == ["reconstruct", "kl"]
    assert [name for name in TERMS if RestyleConfig(contrast=1.0).uses(name)] == ["info_nce"]


def test_mistakes_are_named() -> None:
    with pytest.raises(TrainingError, match="exceed 1 together"):
        RestyleConfig(exemplar_prob=0.7, self_style_prob=0.7)
    with pytest.raises(TrainingError, match="are all 0"):
        RestyleConfig(sampling=0.0)
