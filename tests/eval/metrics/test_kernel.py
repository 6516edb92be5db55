"""A closed form, and torch-fidelity's value."""

import math

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_kid import kid_features_to_metric

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.kernel import cmmd, kid, random_subsets, squared_mmds


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m", "dim"), [(2, 2, 1), (10, 30, 7), (50, 40, 256)])
def test_zeros_against_ones(n: int, m: int, dim: int) -> None:
    """k is 1 among zeros, 8 among ones, 1 across: 1 + 8 - 2."""
    found = kid(torch.zeros(n, dim), torch.ones(m, dim), subsets=5, subset_size=20)
    assert found.mean == pytest.approx(7, rel=1e-14)
    assert found.std == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize(("n", "m", "size"), [(90, 70, 30), (40, 200, 40), (30, 30, 30), (500, 60, 7)])
def test_one_kernel_for_all_subsets_equals_one_per_subset(
    n: int, m: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = features(0, n, 16) + 1, 1.2 * features(1, m, 16)
    subsets = random_subsets(n, m, 9, size, seed=5)
    assert all(len(set(i.tolist())) == len(set(j.tolist())) == size for i, j in subsets)
    alone = squared_mmds(x, y, subsets, whole=False)
    for block in (1, 8 * m * 7, 2**26):
        monkeypatch.setattr("brushwork.eval.metrics.kernel.BLOCK", block)
        torch.testing.assert_close(squared_mmds(x, y, subsets, whole=True), alone, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("n", "m", "size"), [(60, 80, 60), (70, 60, 25), (300, 260, 10)])
def test_equals_torch_fidelity(n: int, m: int, size: int) -> None:
    x, y = features(0, n, 12).double(), 1.3 * features(1, m, 12).double() + 0.2
    ours = kid(x, y, subsets=20, subset_size=size)
    theirs = kid_features_to_metric(x, y, kid_subsets=20, kid_subset_size=size, verbose=False)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-11)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9, abs=1e-12)
    assert kid(x, y, subsets=20, subset_size=10, seed=1) != kid(x, y, subsets=20, subset_size=10, seed=2)


def test_one_image_a_side_is_refused() -> None:
    x = features(0, 5, 3)
    with pytest.raises(EvalError, match="needs 2 images a side at least and one has 1"):
        kid(x, x[:1])


def test_cmmd_by_hand() -> None:
    """Two directions at right angles are 2 apart, squared: k is exp(-2 / 200)."""
    one, other = torch.eye(4)[:1], torch.eye(4)[1:2]
    k = math.exp(-0.01)
    assert cmmd(one, other) == pytest.approx(1000 * (2 - 2 * k))
    both = torch.cat([one, other])
    assert cmmd(both, one) == pytest.approx(1000 * ((2 + 2 * k) / 4 + 1 - 2 * (1 + k) / 2))
    assert cmmd(both, both) == pytest.approx(0, abs=1e-9)


def test_cmmd_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (torch.nn.functional.normalize(features(seed, 40 + seed, 8)) for seed in range(2))
    whole = cmmd(x, y)
    monkeypatch.setattr("brushwork.eval.metrics.neighbours.BLOCK", 8 * 41 * 3)
    assert cmmd(x, y) == pytest.approx(whole, rel=1e-12)
