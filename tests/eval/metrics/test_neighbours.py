"""Distances in blocks, the formulas of precision and recall with all their ties, copies, and diversity."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics import neighbours as module
from brushwork.eval.metrics.neighbours import diversity, find_copies, memberships, nearest, radii


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def plain(x: Tensor, y: Tensor) -> Tensor:
    """Distances from differences."""
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> list[float]:
    """Precision, recall, density, coverage."""
    found = memberships(real, fake, k=k)
    parts = (found.balls > 0, found.recalled, found.balls, found.covered)
    means = [float(part.double().mean()) for part in parts]
    return [*means[:2], means[2] / k, means[3]]


def naive(real: Tensor, fake: Tensor, k: int) -> list[float]:
    """The formulas on whole matrices of distances."""
    real_radii = plain(real, real).sort(dim=1).values[:, k]
    fake_radii = plain(fake, fake).sort(dim=1).values[:, k]
    cross = plain(real, fake)
    in_real = cross < real_radii[:, None]
    parts = (in_real.any(0), (cross < fake_radii).any(1), in_real.sum(0).double() / k, in_real.any(1))
    return [float(part.double().mean()) for part in parts]


@pytest.mark.parametrize("block", [1, 8 * 30 * 7, 2**20])  # a row, seven rows, all rows at once
def test_blocks_are_exact_far_from_the_origin(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the origin, squares of 1e14 would leave four digits of these squared distances."""
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = features(0, 50, 9).double() + 1e7, features(1, 30, 9).double() + 1e7
    parts = list(module.squared_blocks(x, y))
    assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]
    assert all(len(squared) * 30 * 8 <= max(block, 30 * 8) for _, squared in parts)
    torch.testing.assert_close(torch.cat([s for _, s in parts]).sqrt(), plain(x, y), rtol=1e-12, atol=0)


@pytest.mark.parametrize("block", [1, 1000, 2**20])
@pytest.mark.parametrize(("n", "m"), [(40, 60), (40, 1), (1, 3)])
def test_nearest_is_the_minimum(n: int, m: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = features(0, n, 7), features(1, m, 7)
    found, expected = nearest(x, y), plain(x, y).min(1)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.distances, expected.values, rtol=1e-14, atol=0)


def test_nearest_tells_a_copy_from_a_near_copy() -> None:
    """A copy and its neighbour by 1e-7, of norm 1e3, which the matrix product cannot separate."""
    base = 100 * features(0, 50, 100).double()
    queries = base[:10].clone()
    crowded = torch.cat([queries + 1e-7, base, queries - 1e-7])
    found = nearest(queries, crowded)
    assert torch.equal(found.indices, torch.arange(10, 20))
    assert torch.equal(found.distances, torch.zeros(10, dtype=torch.float64))


def test_memberships_by_hand() -> None:
    """With k = 1, real 0, 1 and 5 have radii 1, 1 and 4; samples 0.5, 8 and 30 have 7.5, 7.5 and 22."""
    found = memberships(line(0, 1, 5), line(0.5, 8, 30), k=1)
    assert found.balls.tolist() == [2, 1, 0]
    assert found.covered.tolist() == found.recalled.tolist() == [True, True, True]
    assert radii(line(0, 1, 3, 7), 3).tolist() == pytest.approx([7, 6, 4, 7])
    assert radii(line(2, 2, 2, 5), 2).tolist() == pytest.approx([0, 0, 0, 3])


@pytest.mark.parametrize("shift", [0.0, 0.1, 1e3])
@pytest.mark.parametrize("block", [8 * 7 * 200, 2**26])
def test_identical_sets_score_one(shift: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image at the end of a ball is outside: counting one such in ten would make the density 1.02."""
    monkeypatch.setattr(module, "BLOCK", block)
    for x in (features(0, 200, 50) + shift, features(1, 300, 3).double() + shift):
        shuffled = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
        assert prdc(x, shuffled) == prdc(x, x.clone()) == [1, 1, 1, 1]


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 12345.678])
def test_sets_without_spread_and_sets_far_apart_score_zero(value: float) -> None:
    rows = features(0, 1, 64) * value
    assert prdc(rows.repeat(30, 1), rows.repeat(20, 1)) == [0, 0, 0, 0]
    assert prdc(features(0, 50, 8), features(1, 50, 8) + 100) == [0, 0, 0, 0]


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("block", [5000, 2**26])
@pytest.mark.parametrize(("n", "m", "dim", "scale"), [(80, 120, 6, 0.9), (120, 31, 6, 1.3), (90, 90, 500, 1)])
def test_equals_the_naive_formula(
    n: int, m: int, dim: int, scale: float, k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    real, fake = features(0, n, dim), scale * features(1, m, dim) + 0.2
    assert prdc(real, fake, k) == pytest.approx(naive(real, fake, k), rel=1e-14)


def test_mistakes_are_named() -> None:
    x = features(0, 6, 2)
    for sides in ((x, x[:5]), (x[:5], x)):
        with pytest.raises(EvalError, match="need 6 images a side at least and one has 5"):
            memberships(*sides)
    with pytest.raises(EvalError, match="hold out"):
        find_copies(x, x, x)


@pytest.mark.parametrize(("count", "copied"), [(201, 3), (150, 2), (40, 1)])
def test_held_out_images_score_the_quantile(count: int, copied: int) -> None:
    """The threshold is the distance of a held-out image; (count - 1) / 100 of them are below it."""
    train, held_out = features(0, 300, 16), features(1, count, 16)
    found = find_copies(held_out, held_out, train)
    assert int(found.copied.sum()) == copied
    assert found.ratio == 1


def test_diversity_of_known_distances() -> None:
    """A 3-4-5 triangle, a pair of twins, one alone, none."""
    x = torch.tensor([[0.0, 0], [3, 0], [3, 4], [7, 7], [7, 7], [1, 1]])
    found = diversity(x, torch.tensor([0, 0, 0, 1, 1, 2]), 4)
    assert found.tolist() == pytest.approx([4, 0, torch.nan, torch.nan], nan_ok=True)


def test_random_pairs_approximate_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, styles = features(0, 300, 5), torch.zeros(300, dtype=torch.int64)
    monkeypatch.setattr(module, "PAIRS", 300 * 299 // 2)
    exact = float(diversity(x, styles, 1))
    assert exact == pytest.approx(float(torch.pdist(x).mean()), rel=1e-6)
    monkeypatch.setattr(module, "PAIRS", 5000)
    assert float(diversity(x, styles, 1)) == pytest.approx(exact, rel=0.02)
    assert diversity(x, styles, 1) != exact
    # A pair has two different images, which are all equally far apart here.
    monkeypatch.setattr(module, "PAIRS", 200)
    assert float(diversity(torch.eye(30), styles[:30], 1)) == pytest.approx(2**0.5)
