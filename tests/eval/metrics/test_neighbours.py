"""Blocked distances against plain ones, and a check for copies that knows copies."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.neighbours import copies, nearest, squared_blocks


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def plain(x: Tensor, y: Tensor) -> Tensor:
    """Distances by differences."""
    return (x.double()[:, None] - y.double()[None]).square().sum(2).sqrt()


# Distances
@pytest.mark.parametrize("block", [1, 8 * 30 * 7, 2**20])  # a row, seven rows, all rows at once
def test_blocks_are_the_distances(block: int) -> None:
    x, y = 2 * features(0, 50, 9) + 5, features(1, 30, 9)
    parts = list(squared_blocks(x, y, block=block))
    assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]
    assert all(len(squared) * 30 * 8 <= max(block, 30 * 8) for _, squared in parts)
    torch.testing.assert_close(torch.cat([s for _, s in parts]).sqrt(), plain(x, y), rtol=1e-12, atol=0)


def test_far_from_the_origin_nothing_is_lost() -> None:
    """About the origin, squares of 1e14 would leave four digits of these squared distances."""
    x, y = features(0, 20, 5).double() + 1e7, features(1, 20, 5).double() + 1e7
    (_, squared), = squared_blocks(x, y)  # fmt: skip
    torch.testing.assert_close(squared.sqrt(), plain(x, y), rtol=1e-12, atol=0)


# Nearest
@pytest.mark.parametrize("block", [1, 1000, 2**20])
@pytest.mark.parametrize(("n", "m"), [(40, 60), (40, 1), (1, 3)])
def test_nearest_is_the_minimum(n: int, m: int, block: int) -> None:
    x, y = features(0, n, 7), features(1, m, 7)
    found, expected = nearest(x, y, block=block), plain(x, y).min(1)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.distances, expected.values, rtol=1e-14, atol=0)


def test_copies_are_at_distance_zero_and_near_copies_are_not() -> None:
    """A copy and its neighbour by 1e-7, of norm 1e3: the matrix product cannot tell them apart."""
    base = 100 * features(0, 50, 100).double()
    queries = base[:10].clone()
    crowded = torch.cat([queries + 1e-7, base, queries - 1e-7])
    found = nearest(queries, crowded)
    assert torch.equal(found.indices, torch.arange(10, 20))
    assert torch.equal(found.distances, torch.zeros(10, dtype=torch.float64))
    without = nearest(queries, crowded[:10])
    torch.testing.assert_close(
        without.distances, torch.full((10,), 1e-6, dtype=torch.float64), rtol=1e-5, atol=0
    )


def test_bad_features() -> None:
    x = features(0, 3, 2)
    with pytest.raises(EvalError, match="one has 0"):
        nearest(x, x[:0])
    with pytest.raises(EvalError, match="of 1 images are not finite"):
        nearest(x, x.clone().index_fill_(0, torch.tensor([1]), torch.nan))


# Memorisation
def test_copies_are_found() -> None:
    train, held_out = features(0, 300, 16), features(1, 200, 16)
    figures = copies(train[50:150], held_out, train)
    assert figures.share == 1
    assert figures.ratio == 0
    assert torch.equal(figures.indices, torch.arange(50, 150))
    half = copies(torch.cat([train[:50], held_out[:50] + 20]), held_out, train)
    assert half.share == 0.5


@pytest.mark.parametrize(
    ("count", "quantile", "below"), [(201, 0.0, 0), (201, 0.01, 2), (150, 0.01, 1), (40, 0.25, 9)]
)
def test_held_out_pictures_score_the_quantile(count: int, quantile: float, below: int) -> None:
    """The threshold is a held-out picture's own distance; (count - 1) * quantile of them are below it."""
    train, held_out = features(0, 300, 16), features(1, count, 16)
    figures = copies(held_out, held_out, train, quantile=quantile)
    assert figures.share == pytest.approx((below + 1) / count)
    assert figures.ratio == 1
    assert figures.threshold == float(figures.distances.sort().values[below])


def test_new_pictures_of_the_same_distribution_are_near_the_quantile() -> None:
    train, held_out, new = features(0, 500, 8), features(1, 1000, 8), features(2, 1000, 8)
    figures = copies(new, held_out, train, quantile=0.05)
    assert figures.share == pytest.approx(0.05, abs=0.02)
    assert figures.ratio == pytest.approx(1, abs=0.05)


def test_share_grows_as_samples_near_the_training_pictures() -> None:
    train, held_out, noise = features(0, 300, 16), features(1, 200, 16), features(2, 300, 16)
    figures = [copies(train + s * noise, held_out, train) for s in (0.1, 0.4, 0.6, 1.0)]
    shares = [f.share for f in figures]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1 > shares[-1]
    ratios = [f.ratio for f in figures]
    assert ratios == sorted(ratios)


def test_mistakes() -> None:
    train, held_out = features(0, 20, 4), features(1, 20, 4)
    with pytest.raises(EvalError, match=r"quantile 1\.5"):
        copies(held_out, held_out, train, quantile=1.5)
    with pytest.raises(EvalError, match="hold out"):
        copies(held_out, train, train)
