"""Tiles that cover an image, their weights, and results without seams."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.models import tiling as tiles
from brushwork.models.layers import Resample, convolve
from brushwork.models.tiling import Tile, Tiling, ramp, reflected, tile_count, tiled

SIDE = 16


def local(x: Tensor, _: Sequence[Tile] = ()) -> Tensor:
    """A sum over 5 x 5 pixels, with zeros beyond the edge: what a tile does not see shows."""
    return F.avg_pool2d(x, 5, stride=1, padding=2) * 25


@pytest.mark.parametrize("side", [8, 10, 16, 20, 256])
@pytest.mark.parametrize("length", [1, 17, 1000])
def test_weights_sum_to_exactly_one(side: int, length: int) -> None:
    total = torch.zeros(tiles.extent(length, side))
    for i, weights in enumerate(tiles.axis_weights(length, side)):
        assert weights.min() >= 0
        total[i * side // 2 : i * side // 2 + side] += weights
    assert (total == 1).all()
    rise = ramp(side)
    assert (rise.diff() >= 0).all()
    assert rise.diff().max() <= 1.1 * torch.pi / 2 / (side // 4), "no steeper than a squared sine"
    assert (rise[: side // 8] == 0).all()
    assert (rise[-(side // 8) :] == 1).all()
    pair = rise, rise.flip(0)
    both = torch.stack([a[:, None] * b for a in pair for b in pair]).sum(dim=0)
    assert (both == 1).all(), "products of rows and columns are not rounded"


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (17, 16), (5, 16), (1, 1), (7, 61), (40, 33), (100, 17)]
)
def test_images_are_covered_and_cropped(height: int, width: int) -> None:
    tiling = Tiling(height=height, width=width, size=(SIDE, SIDE))
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    extended = tiling.extend(images)
    assert extended.shape[2:] == tiling.extended
    assert tiling.extended[0] < max(height, SIDE) + SIDE // 2 + 2 * (SIDE // 8)
    assert height <= SIDE or tiling.margins[0] >= SIDE // 8, "no pixel lies where all tiles weigh nothing"
    assert torch.equal(tiling.crop(extended), images)
    covered, every = torch.zeros(2, *tiling.extended, dtype=torch.bool), tiling.tiles(2)
    for tile in every:
        part = covered[tile.image, tile.top : tile.top + SIDE, tile.left : tile.left + SIDE]
        assert part.shape == (SIDE, SIDE)
        part[:] = True
    assert covered.all()
    assert len(every) == 2 * tile_count(height, SIDE) * tile_count(width, SIDE)
    some = tiles.spread(every, 10)
    assert len(set(some)) == min(10, len(every))
    assert {tile.image for tile in some} == {0, 1}


def test_margins_are_even_and_reflection_repeats() -> None:
    assert Tiling(height=5, width=16, size=(SIDE, SIDE)).margins == (5, 0)
    assert Tiling(height=17, width=21, size=(SIDE, SIDE)).margins == (3, 5)
    assert reflected(3, 4, 10).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert reflected(1, 2, 5).tolist() == [0] * 5


@pytest.mark.parametrize("size", [(SIDE, SIDE), (16, 20)])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 33), (16, 56)])
def test_a_local_change_does_not_show_the_tiles(height: int, width: int, size: tuple[int, int]) -> None:
    """The result is that of the extended image at once, although every tile saw zeros beyond its edge."""
    images = torch.rand(2, 3, height, width)
    assert torch.equal(tiled(images, lambda x, _: x.round(), size=size, batch=5), images.round())
    tiling = Tiling(height=height, width=width, size=size)
    at_once = tiling.crop(local(tiling.extend(images)))
    torch.testing.assert_close(tiled(images, local, size=size), at_once)


def test_different_neighbours_meet_without_a_seam_in_batches() -> None:
    """Tiles black and white in turn: no step between pixels exceeds that of the weights."""
    sizes: list[int] = []

    def alternate(pixels: Tensor, some: Sequence[Tile]) -> Tensor:
        sizes.append(len(pixels))
        levels = torch.tensor([float((tile.top + tile.left) // (SIDE // 2) % 2) for tile in some])
        return levels[:, None, None, None].expand(-1, 1, SIDE, SIDE)

    result = tiled(torch.zeros(2, 3, 40, 40), alternate, size=(SIDE, SIDE), batch=6)
    assert max(sizes) == 6
    assert sum(sizes) == 2 * 5 * 5
    assert (result.amin(), result.amax()) == (0, 1)
    for dim in (2, 3):
        assert result.diff(dim=dim).abs().max() <= ramp(SIDE).diff().max() + 1e-6


@pytest.mark.parametrize(("resample", "inside"), [("none", 4), ("down", 2), ("up", 8)])
def test_a_slope_continues_beyond_the_edges(resample: Resample, inside: int) -> None:
    """A tile of a slope is convolved as if the rest were there."""
    down, across = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    slope, weight = (0.3 * down - 0.2 * across + 1).expand(1, 4, 16, 16), torch.randn(5, 4, 3, 3)
    whole = convolve(slope, weight, resample)
    with tiles.ContinuedEdges():
        result = convolve(slope[:, :, 4:-4, 4:-4], weight, resample)
    if resample == "up":  # its filter sees the two values of a pixel in turn, which are no slope
        inside, result = inside + 1, result[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(result, whole[:, :, inside:-inside, inside:-inside], atol=1e-4, rtol=1e-4)
