"""Closed forms, the plain double sum, and torch-fidelity's number."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.kernel import PolynomialKernel, draw_subsets, kid, squared_mmds


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def by_hand(x: Tensor, y: Tensor, degree: int = 3, coef: float = 1.0) -> float:
    """The definition, pair by pair."""

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a.double() @ b.double()) / len(a) + coef) ** degree

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


# Closed forms (metrics.md 5)
@pytest.mark.parametrize(("n", "m", "dim"), [(2, 2, 1), (10, 30, 7), (50, 40, 256)])
def test_zeros_against_ones(n: int, m: int, dim: int) -> None:
    """k is 1 among zeros, 8 among ones, 1 across: 1 + 8 - 2."""
    figures = kid(torch.zeros(n, dim), torch.ones(m, dim), subsets=5, subset_size=20)
    assert figures.mean == pytest.approx(7, rel=1e-14)
    assert figures.std == pytest.approx(0, abs=1e-13)
    assert figures.subset_size == min(n, m, 20)


def test_negative_on_itself() -> None:
    """The diagonal is left out within and counted across: -2 (mean of k(x, x) - mean of k(x, x')) / n."""
    x = features(0, 60, 5)
    figures = kid(x, x, subsets=1, subset_size=60)
    k = (x.double() @ x.double().T / 5 + 1) ** 3
    diagonal, others = k.diagonal().mean(), (k.sum() - k.trace()) / (60 * 59)
    assert figures.mean == pytest.approx(float(-2 * (diagonal - others) / 60), rel=1e-12)
    assert figures.mean < 0


def test_a_linear_kernel_sees_the_means() -> None:
    """Of degree 1: |mean x - mean y|^2 / d, less tr S / (n d) a side for the bias that is taken away."""
    x, y = features(0, 50, 6).double(), features(1, 50, 6).double() + 1
    apart = (x.mean(0) - y.mean(0)).square().sum()
    bias = (torch.cov(x.T).trace() + torch.cov(y.T).trace()) / 50
    figures = kid(x, y, degree=1, subsets=1, subset_size=50)
    assert figures.mean == pytest.approx(float((apart - bias) / 6), rel=1e-12)


@pytest.mark.parametrize(("degree", "coef"), [(3, 1.0), (2, 0.5)])
def test_equals_the_definition(degree: int, coef: float) -> None:
    x, y = features(0, 12, 4), features(1, 12, 4) * 1.5
    figures = kid(x, y, subsets=1, degree=degree, coef=coef)
    assert figures.mean == pytest.approx(by_hand(x, y, degree, coef), rel=1e-12)
    # One over d is written as gamma by those who know d.
    assert kid(x, y, subsets=1, degree=degree, coef=coef, gamma=0.25) == figures


# Subsets
@pytest.mark.parametrize(("n", "m", "size"), [(90, 70, 30), (40, 200, 40), (30, 30, 30), (500, 60, 7)])
def test_from_all_pictures_or_from_the_subset_alone(
    n: int, m: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = features(0, n, 16) + 1, 1.2 * features(1, m, 16)
    drawn = draw_subsets(n, m, 9, size, seed=5)
    alone = squared_mmds(x, y, drawn, PolynomialKernel(), whole=False)
    for block in (1, 8 * m * 7, 2**26):
        monkeypatch.setattr("brushwork.eval.metrics.kernel.BLOCK", block)
        whole = squared_mmds(x, y, drawn, PolynomialKernel(), whole=True)
        torch.testing.assert_close(whole, alone, rtol=1e-11, atol=1e-13)
    i, j = drawn[3]
    if size < 10:
        assert float(alone[3]) == pytest.approx(by_hand(x[i], y[j]), rel=1e-11)


def test_subsets_are_drawn_without_replacement_and_by_the_seed() -> None:
    drawn = draw_subsets(50, 9, 20, 9, seed=1)
    assert all(len(set(i.tolist())) == 9 and set(j.tolist()) == set(range(9)) for i, j in drawn)
    x, y = features(0, 50, 4), features(1, 60, 4)
    how = {"subsets": 10, "subset_size": 20}
    assert kid(x, y, seed=1, **how) == kid(x, y, seed=1, **how)
    assert kid(x, y, seed=1, **how).mean != kid(x, y, seed=2, **how).mean


def test_mean_and_spread_are_over_the_subsets() -> None:
    x, y = features(0, 50, 4), features(1, 60, 4) + 0.3
    values = squared_mmds(x, y, draw_subsets(50, 60, 8, 20, 2020), PolynomialKernel(), whole=False)
    figures = kid(x, y, subsets=8, subset_size=20)
    assert figures.mean == pytest.approx(float(values.mean()), rel=1e-12)
    assert figures.std == pytest.approx(float((values - values.mean()).square().mean().sqrt()), rel=1e-12)


# Properties
def test_unbiased_on_sets_of_one_distribution() -> None:
    """Over many draws the mean is 0 within its own standard error; the biased estimate is at 2 k / n."""
    values = torch.tensor([kid(features(s, 20, 3), features(s + 500, 20, 3)).mean for s in range(200)])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 200**0.5
    assert float(values.min()) < 0


def test_symmetric_blind_to_order_and_growing() -> None:
    x, y = features(0, 80, 6), features(1, 80, 6)
    there = kid(x, 2 * y, subsets=1).mean
    assert kid(2 * y, x, subsets=1).mean == pytest.approx(there, rel=1e-12)
    assert kid(x.flip(0), 2 * y.roll(3, 0), subsets=1).mean == pytest.approx(there, rel=1e-12)
    shifted = [kid(x, y + s, subsets=1).mean for s in (0.0, 0.2, 0.5, 1.0)]
    assert shifted == sorted(shifted)


# A peer
@pytest.mark.parametrize(
    ("n", "m", "size", "subsets"),
    [(150, 120, 50, 20), (100, 100, 100, 10), (1100, 300, 40, 5)],  # whole, whole, subset by subset
)
def test_equals_torch_fidelity(n: int, m: int, size: int, subsets: int) -> None:
    peer = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is not installed")
    x, y = features(0, n, 32).abs(), features(1, m, 32).abs() * 1.1
    how = {"kid_subsets": subsets, "kid_subset_size": size, "verbose": False}
    ours = kid(x, y, subsets=subsets, subset_size=size)
    # In its own float32, and in the float64 that it takes if it is given it.
    single = peer.kid_features_to_metric(x, y, **how)
    double = peer.kid_features_to_metric(x.double(), y.double(), **how)
    for figure, name in ((ours.mean, peer.KEY_METRIC_KID_MEAN), (ours.std, peer.KEY_METRIC_KID_STD)):
        assert figure == pytest.approx(double[name], rel=1e-11)
        assert figure == pytest.approx(single[name], abs=1e-6)


# Mistakes
def test_mistakes() -> None:
    x = features(0, 6, 2)
    with pytest.raises(EvalError, match="one has 1"):
        kid(x, x[:1])
    with pytest.raises(EvalError, match="over 0 subsets"):
        kid(x, x, subsets=0)
    with pytest.raises(EvalError, match="subsets of 1 images"):
        kid(x, x, subset_size=1)
    with pytest.raises(EvalError, match="of 2 images are not finite"):
        kid(x, x.clone().index_fill_(0, torch.tensor([1, 4]), torch.inf))
