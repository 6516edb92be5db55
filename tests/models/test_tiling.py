"""Squares that cover a picture: what they weigh, and that nobody sees where they meet."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from brushwork.models.feature_statistics import instance_normalised
from brushwork.models.layers import Resample, convolve
from brushwork.models.modulation import adain
from brushwork.models.tiling import (
    ContinuedEdges,
    Place,
    SharedStatistics,
    Tiling,
    axis_weights,
    evenly,
    extent,
    fading,
    reflected,
    square_count,
    tiled,
)

SIDE = 16
SIZES = [(16, 16), (17, 16), (24, 24), (5, 16), (16, 3), (1, 1), (1, 40), (7, 61), (40, 33), (100, 17)]


def kept(squares: Tensor, places: Sequence[Place]) -> Tensor:
    return squares.float()


def local(x: Tensor) -> Tensor:
    """A sum over the 5 x 5 pixels around each, with zeros beyond the edge: what is missed there shows."""
    return F.avg_pool2d(x, 5, stride=1, padding=2) * 25


# Weights
@pytest.mark.parametrize("side", [8, 16, 32, 256])
@pytest.mark.parametrize("length", [1, 8, 17, 100, 1000])
def test_weights_sum_to_exactly_one(side: int, length: int) -> None:
    total = torch.zeros(extent(length, side))
    for i, weights in enumerate(axis_weights(length, side)):
        assert weights.min() >= 0
        total[i * side // 2 : i * side // 2 + side] += weights
    assert (total == 1).all()
    # Of rows and columns together, too: no rounding in the products.
    both = sum(a[:, None] * b for a in edge_pair(side) for b in edge_pair(side))
    assert isinstance(both, Tensor)
    assert (both == 1).all()


def edge_pair(side: int) -> tuple[Tensor, Tensor]:
    """Two squares' weights where they overlap."""
    return fading(side), fading(side).flip(0)


@pytest.mark.parametrize("side", [8, 32, 128])
def test_weights_rise_smoothly_from_nothing(side: int) -> None:
    fade = fading(side)
    steps = fade.diff()
    assert (fade[: side // 8] == 0).all()
    assert (fade[-(side // 8) :] == 1).all()
    assert (steps >= 0).all()
    assert steps.max() <= 1.1 * torch.pi / 2 / (side // 4), "no step above the steepest of a squared sine"


# Geometry
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pictures_are_covered_and_cut_back(height: int, width: int) -> None:
    tiling = Tiling(height=height, width=width, side=SIDE)
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    extended = tiling.extend(images)
    assert extended.shape[2:] == tiling.extended
    assert tiling.extended[0] < max(height, SIDE) + SIDE // 2 + 2 * (SIDE // 8)
    assert height <= SIDE or tiling.margins[0] >= SIDE // 8, "the edge of a square is nobody's"
    torch.testing.assert_close(tiling.cut_back(extended), images, rtol=0, atol=0)
    covered = torch.zeros(2, *tiling.extended, dtype=torch.bool)
    for place in tiling.places(2):
        square = covered[place.picture, place.top : place.top + SIDE, place.left : place.left + SIDE]
        assert square.shape == (SIDE, SIDE)
        square[:] = True
    assert covered.all()
    assert len(tiling.places(2)) == 2 * square_count(height, SIDE) * square_count(width, SIDE)


def test_what_is_added_is_added_evenly() -> None:
    assert Tiling(height=5, width=16, side=SIDE).margins == (5, 0)
    assert Tiling(height=17, width=21, side=SIDE).margins == (3, 5)
    assert Tiling(height=17, width=21, side=SIDE).extended == (24, 32)


def test_reflection_repeats_as_often_as_it_must() -> None:
    assert reflected(3, 0, 3).tolist() == [0, 1, 2]
    assert reflected(3, 4, 10).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert reflected(1, 2, 5).tolist() == [0] * 5
    x = torch.arange(5.0)
    padded = F.pad(x[None, None], (3, 4), mode="reflect")[0, 0]
    assert torch.equal(x[reflected(5, 3, 12)], padded)


# Pictures
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_squares_left_alone_are_the_picture(height: int, width: int) -> None:
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    assert torch.equal(tiled(images, kept, side=SIDE, batch=5).round().byte(), images)


def test_a_picture_of_one_square_is_drawn_at_one_go() -> None:
    images = torch.randn(3, 3, SIDE, SIDE)
    assert torch.equal(tiled(images, lambda x, _: local(x), side=SIDE), local(images))


@pytest.mark.parametrize(("height", "width"), [(40, 33), (16, 56), (64, 64)])
def test_a_local_change_does_not_show_the_squares(height: int, width: int) -> None:
    """As if done to the extended picture, though every square has an edge beyond which it saw zeros."""
    images = torch.rand(2, 3, height, width)
    tiling = Tiling(height=height, width=width, side=SIDE)
    at_once = tiling.cut_back(local(tiling.extend(images)))
    torch.testing.assert_close(tiled(images, lambda x, _: local(x), side=SIDE), at_once)


def test_a_local_change_does_not_depend_on_where_squares_lie() -> None:
    """The same pixels in pictures cut at other places, away from the pictures' edges."""
    image = torch.rand(1, 3, 80, 80)
    whole = tiled(image, lambda x, _: local(x), side=SIDE)
    for offset in (1, 3, 6):
        part = tiled(image[:, :, offset:, offset:], lambda x, _: local(x), side=SIDE)
        torch.testing.assert_close(part[:, :, 4:-4, 4:-4], whole[:, :, offset + 4 : -4, offset + 4 : -4])


def test_neighbours_that_differ_meet_without_a_seam() -> None:
    """Squares drawn black and white in turn: no step between pixels exceeds that of the weights."""

    def alternate(squares: Tensor, places: Sequence[Place]) -> Tensor:
        levels = torch.tensor([float((p.top + p.left) // (SIDE // 2) % 2) for p in places])
        return levels[:, None, None, None].expand(-1, 1, SIDE, SIDE)

    drawn = tiled(torch.zeros(1, 3, 64, 64), alternate, side=SIDE)
    steepest = fading(SIDE).diff().max() + 1e-6
    assert drawn.amax() == 1
    assert drawn.amin() == 0
    assert drawn.diff(dim=2).abs().max() <= steepest
    assert drawn.diff(dim=3).abs().max() <= steepest


def test_no_more_squares_than_the_batch_at_once() -> None:
    seen: list[int] = []

    def counted(squares: Tensor, places: Sequence[Place]) -> Tensor:
        seen.append(len(squares))
        assert [p.picture for p in places] == sorted(p.picture for p in places)
        return squares

    tiled(torch.zeros(2, 3, 40, 40), counted, side=SIDE, batch=6)
    assert max(seen) == 6
    assert sum(seen) == 2 * 5 * 5


# Statistics
def as_one(squares: Tensor) -> Tensor:
    """Squares (n, c, h, w) one below the other: (1, c, n h, w)."""
    return rearrange(squares, "n c h w -> 1 c (n h) w")


def test_statistics_are_those_of_all_squares_together() -> None:
    """Where no pixel sees another, squares with shared statistics are the whole picture, piece by piece."""
    levels, contrasts = torch.tensor([0.0, 2.0, -1.0, 5.0]), torch.tensor([0.01, 1.0, 3.0, 0.5])
    squares = torch.randn(4, 3, 32, 32) * contrasts[:, None, None, None] + levels[:, None, None, None]
    scale, shift = torch.rand(1, 3), torch.rand(1, 3)
    shared = SharedStatistics()
    with shared:
        first = [instance_normalised(squares), adain(squares, scale.expand(4, 3), shift.expand(4, 3))]
    whole = [instance_normalised(as_one(squares)), adain(as_one(squares), scale, shift)]
    for drawn, expected in zip(first, whole, strict=True):
        torch.testing.assert_close(as_one(drawn), expected, rtol=1e-3, atol=2e-3)
    with shared:  # a later pass, of some of them
        again = [instance_normalised(squares[2:3]), adain(squares[2:3], scale, shift)]
    for drawn, before in zip(again, first, strict=True):
        torch.testing.assert_close(drawn, before[2:3])
    alone = instance_normalised(squares)
    assert not torch.allclose(alone, first[0], atol=0.1), "outside nothing is shared"


def test_one_square_has_the_statistics_it_has() -> None:
    square = torch.randn(1, 3, 16, 16)
    with SharedStatistics():
        shared = instance_normalised(square)
    torch.testing.assert_close(shared, instance_normalised(square))


def test_what_is_not_over_space_is_left_alone() -> None:
    squares = torch.randn(4, 3, 16, 16)
    with SharedStatistics():
        means, variance, single = squares.mean(dim=1), torch.var_mean(squares, dim=1)[0], squares.mean()
    assert torch.equal(means, squares.mean(dim=1))
    assert torch.equal(variance, squares.var(dim=1))
    assert torch.equal(single, squares.mean())


@pytest.mark.parametrize("resample", ["none", "down"])
def test_a_slope_goes_on_beyond_the_edges(resample: Resample) -> None:
    """A square cut out of a slope is convolved as if the rest were there."""
    down, across = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    slope, weight = (0.3 * down - 0.2 * across + 1).expand(1, 4, 16, 16), torch.randn(5, 4, 3, 3)
    whole = convolve(slope, weight, resample)
    inside = 4 if resample == "none" else 2
    with ContinuedEdges():
        found = convolve(slope[:, :, 4:-4, 4:-4], weight, resample)
    torch.testing.assert_close(found, whole[:, :, inside:-inside, inside:-inside], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("resample", ["none", "up", "down"])
def test_continued_edges_change_nothing_else(resample: Resample) -> None:
    x, weight = torch.randn(2, 4, 8, 8), torch.randn(5, 4, 3, 3)
    plain = convolve(x, weight, resample)
    with ContinuedEdges():
        found = convolve(x, weight, resample)
    edge = found.shape[-1] // 4
    inner = slice(edge, -edge)
    torch.testing.assert_close(found[:, :, inner, inner], plain[:, :, inner, inner])
    assert not torch.allclose(found, plain)


def test_a_sample_is_spread_over_all() -> None:
    places = Tiling(height=200, width=100, side=SIDE).places(1)
    assert evenly(places, 1000) == places
    some = evenly(places, 10)
    assert len(set(some)) == 10
    assert min(p.top for p in some) < 30
    assert max(p.top for p in some) > 160
