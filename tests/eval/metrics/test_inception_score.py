"""Closed forms, and torch-fidelity's number."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.inception_score import inception_score, score


def random_logits(count: int, classes: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(count, classes, generator=torch.Generator().manual_seed(count))


# Closed forms (metrics.md 8)
@pytest.mark.parametrize("splits", [1, 10])
def test_the_same_scores_for_all_pictures(splits: int) -> None:
    figures = inception_score(torch.tensor([0.3, 2, -1]).expand(40, 3), splits=splits)
    assert figures.mean == pytest.approx(1, rel=1e-12)
    assert figures.std == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 1008])
def test_balanced_and_sure(classes: int) -> None:
    logits = 1e4 * torch.eye(classes).repeat(3, 1)
    assert inception_score(logits, splits=1).mean == pytest.approx(classes, rel=1e-12)
    # Unshuffled splits are balanced too, each holding every class once.
    figures = inception_score(logits, splits=3, shuffle=False)
    assert figures.mean == pytest.approx(classes, rel=1e-12)
    assert figures.std == pytest.approx(0, abs=1e-9)


def test_a_class_that_never_occurs_counts_nothing() -> None:
    """Its log is not finite, in the formula with logs."""
    logits = 1e4 * F.one_hot(torch.arange(40) % 4, 9).float()
    assert inception_score(logits, splits=1).mean == pytest.approx(4, rel=1e-12)


def test_two_pictures_by_hand() -> None:
    """p = (.9, .1) and (.1, .9): the mean has entropy log 2, each has -.9 log .9 - .1 log .1."""
    logits = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
    expected = math.exp(math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert inception_score(logits, splits=1).mean == pytest.approx(expected, rel=1e-6)


def test_equals_the_divergence() -> None:
    p = random_logits(50, 7).double().softmax(1)
    divergence = (p * (p.log() - p.mean(0).log())).sum(1).mean()
    torch.testing.assert_close(score(p), divergence.exp(), rtol=1e-13, atol=0)


# Properties
def test_between_one_and_the_classes_and_growing_with_sureness() -> None:
    means = [inception_score(random_logits(200, 12, scale)).mean for scale in (0.1, 1.0, 4.0, 20.0)]
    assert means == sorted(means)
    assert 1 < means[0] < 1.05
    assert 6 < means[-1] < 12


def test_splits_are_dealt_out_by_the_seed() -> None:
    logits = random_logits(60, 8)
    assert inception_score(logits, seed=1) == inception_score(logits, seed=1)
    assert inception_score(logits, seed=1) != inception_score(logits, seed=2)
    alike = 1e4 * torch.eye(6).repeat_interleave(10, 0)
    assert inception_score(alike, splits=6, shuffle=False).mean == pytest.approx(1, rel=1e-12)
    assert inception_score(alike, splits=6).mean > 3


# A peer
@pytest.mark.parametrize(("count", "splits", "shuffle"), [(100, 10, True), (103, 10, True), (57, 4, False)])
def test_equals_torch_fidelity(count: int, splits: int, shuffle: bool) -> None:
    peer = pytest.importorskip("torch_fidelity.metric_isc", reason="torch-fidelity is not installed")
    logits = random_logits(count, 20)
    theirs = peer.isc_features_to_metric(logits, splits=splits, shuffle=shuffle, rng_seed=2020)
    ours = inception_score(logits, splits=splits, shuffle=shuffle)
    assert ours.mean == pytest.approx(theirs[peer.KEY_METRIC_ISC_MEAN], rel=1e-12)
    assert ours.std == pytest.approx(theirs[peer.KEY_METRIC_ISC_STD], rel=1e-10)


# Mistakes
def test_mistakes() -> None:
    logits = random_logits(6, 3)
    with pytest.raises(EvalError, match="over 10 splits cannot be taken of 6 images"):
        inception_score(logits)
    with pytest.raises(EvalError, match="over 0 splits"):
        inception_score(logits, splits=0)
    with pytest.raises(EvalError, match="not finite"):
        inception_score(logits / 0, splits=2)
