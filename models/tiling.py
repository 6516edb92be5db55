"""Images of any size as overlapping tiles, and back without seams, in bounded memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor
from torch.overrides import TorchFunctionMode

STEPS = 2**11
"""Weights are multiples of 1 / STEPS: sums of their products over rows and columns are exact."""
STATISTICS_TILES = 64
"""Tiles, at most, from which `norm.SharedStatistics` are taken: a fixed number, whatever the batch."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Index of the image, and the corner of the tile in the extended image, in pixels."""

    image: int
    top: int
    left: int


Process = Callable[[Tensor, Sequence[Tile]], Tensor]
"""Pixels (B, C, h, w) of some tiles -> float (B, D, h, w)."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Tiles of `size` (height and width, both even), one every half side, that cover images.

    Images are extended by reflection, evenly at opposite edges. On an axis longer than a tile, the tiles
    reach over both edges by the eighth of a side that has no weight.
    """

    height: int
    width: int
    size: tuple[int, int]

    @property
    def extended(self) -> tuple[int, int]:
        """Height and width of the extended image."""
        return extent(self.height, self.size[0]), extent(self.width, self.size[1])

    @property
    def margins(self) -> tuple[int, int]:
        """Pixels added at the top and at the left."""
        height, width = self.extended
        return (height - self.height) // 2, (width - self.width) // 2

    def tiles(self, images: int) -> list[Tile]:
        """All tiles of that many images, image by image."""
        (height, width), (down, right) = self.extended, (side // 2 for side in self.size)
        return [
            Tile(image=image, top=top, left=left)
            for image in range(images)
            for top in range(0, height - down, down)
            for left in range(0, width - right, right)
        ]

    def index(self, tile: Tile, size: tuple[int, int]) -> tuple[int, slice, slice, slice]:
        """The index of a tile in extended images, or in maps whose tiles have `size`."""
        (height, width), (most_rows, most_columns) = size, self.size
        top, left = tile.top * height // most_rows, tile.left * width // most_columns
        return tile.image, slice(None), slice(top, top + height), slice(left, left + width)

    def extend(self, images: Shaped[Tensor, "n c h w"]) -> Shaped[Tensor, "n c h2 w2"]:
        (top, left), (height, width) = self.margins, self.extended
        rows, columns = reflected(self.height, top, height), reflected(self.width, left, width)
        return images.index_select(2, rows).index_select(3, columns)

    def cut(self, extended: Shaped[Tensor, "n c h2 w2"], tiles: Sequence[Tile]) -> Tensor:
        """Returns the pixels of tiles, (B, C, h, w)."""
        return torch.stack([extended[self.index(tile, self.size)] for tile in tiles])

    def crop(self, extended: Shaped[Tensor, "n c h2 w2"]) -> Shaped[Tensor, "n c h w"]:
        """Removes the margins."""
        top, left = self.margins
        return extended[:, :, top : top + self.height, left : left + self.width]


# One axis
def tile_count(length: int, side: int) -> int:
    """Tiles along an axis, one every half side."""
    return 1 if length <= side else 1 + math.ceil((length + 2 * (side // 8) - side) / (side // 2))


def extent(length: int, side: int) -> int:
    """Pixels that the tiles along an axis cover, at least `length`."""
    return side + (tile_count(length, side) - 1) * (side // 2)


def reflected(length: int, before: int, total: int) -> Int64[Tensor, "total"]:
    """Indices that extend an axis to `total` by repeated reflection about its first and last pixel."""
    around = (before, total - length - before)
    return torch.from_numpy(np.pad(np.arange(length), around, mode="reflect"))


def ramp(side: int) -> Float32[Tensor, "half"]:
    """The first half of a tile's weights: 0 over an eighth of the side, then the rise of a squared sine over
    about a quarter, then 1. Reversed, it is 1 minus itself."""
    margin = side // 8
    rise = side // 2 - 2 * margin
    angle = (torch.arange(rise, dtype=torch.float64) + 0.5) / rise * torch.pi / 2
    slope = (angle[: rise // 2].sin().square() * STEPS).round() / STEPS
    middle = torch.full((rise % 2,), 0.5)
    return torch.cat([torch.zeros(margin), slope, middle, 1 - slope.flip(0), torch.ones(margin)]).float()


def axis_weights(length: int, side: int) -> Float32[Tensor, "tiles side"]:
    """Weights of each tile along an axis. They sum to exactly 1 at every pixel; the first and last tile
    weigh 1 up to the edge of the extended image."""
    rise = ramp(side)
    weights = torch.cat([rise, rise.flip(0)]).repeat(tile_count(length, side), 1)
    weights[0, : side // 2] = weights[-1, side // 2 :] = 1
    return weights


# Edges
class ContinuedEdges(TorchFunctionMode):
    """Context manager in which convolutions continue maps beyond their edges instead of padding with zeros,
    from which a network sees where in a tile it is: on smooth ground all tiles would show one pattern, a
    lattice."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.conv2d and kwargs.get("padding"):
            x = continued(args[0], kwargs.pop("padding"))
            return func(x, *args[1:], **kwargs)
        if func is F.conv_transpose2d:  # of stride 2: each position beyond the edge adds two to the result
            return func(continued(args[0], 1), *args[1:], **kwargs)[:, :, 2:-2, 2:-2]
        return func(*args, **kwargs)


def continued(x: Float[Tensor, "n c h w"], by: int) -> Float[Tensor, "n c h2 w2"]:
    """Extends maps by their mirror image, turned about the value at the edge, which continues slopes."""
    around = (by, by, by, by)
    return 2 * F.pad(x, around, mode="replicate") - F.pad(x, around, mode="reflect")


# Whole images
def spread(tiles: Sequence[Tile], most: int = STATISTICS_TILES) -> list[Tile]:
    """Returns at most `most` of the tiles, spread evenly."""
    count = min(most, len(tiles))
    return [tiles[(2 * i + 1) * len(tiles) // (2 * count)] for i in range(count)]


def tiled(
    images: Shaped[Tensor, "n c h w"], process: Process, *, size: tuple[int, int], batch: int = 64
) -> Float[Tensor, "n d h w"]:
    """Processes images tile by tile, at most `batch` at once, and blends the results with weights of sum 1.

    If an output pixel depends on at most side / 8 pixels around it, the result is that of processing the
    extended image at once.
    """
    tiling = Tiling(height=images.shape[2], width=images.shape[3], size=size)
    extended, (down, right) = tiling.extend(images), (side // 2 for side in size)
    rows, columns = axis_weights(tiling.height, size[0]), axis_weights(tiling.width, size[1])
    tiles = tiling.tiles(len(images))
    canvas: Tensor | None = None
    for start in range(0, len(tiles), batch):
        some = tiles[start : start + batch]
        results = process(tiling.cut(extended, some), some)
        if canvas is None:
            canvas = results.new_zeros(len(images), results.shape[1], *tiling.extended)
        for tile, pixels in zip(some, results, strict=True):
            weight = rows[tile.top // down][:, None] * columns[tile.left // right]
            canvas[tiling.index(tile, size)] += pixels * weight
    assert canvas is not None
    return tiling.crop(canvas)
