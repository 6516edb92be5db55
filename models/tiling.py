"""Pictures of any size as overlapping squares of one size, and back without seams, in bounded memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor

STEPS = 2**11
"""Weights are whole numbers of this part of 1: sums of their products over rows and columns are exact."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a square lies: the picture's number, and its corner in the extended picture, in pixels."""

    picture: int
    top: int
    left: int


Draw = Callable[[Tensor, Sequence[Place]], Tensor]
"""Squares (B, C, side, side) and their places -> float (B, D, side, side)."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Squares of `side` (a multiple of 8), one every half side, that cover pictures of height x width.

    Pictures are extended by reflection, evenly at opposite edges, until a whole number of squares fits: one
    that is no larger than a square gets one.
    """

    height: int
    width: int
    side: int

    @property
    def extended(self) -> tuple[int, int]:
        """Height and width of the extended picture."""
        return extent(self.height, self.side), extent(self.width, self.side)

    @property
    def margins(self) -> tuple[int, int]:
        """What was added above, and at the left."""
        height, width = self.extended
        return (height - self.height) // 2, (width - self.width) // 2

    def places(self, pictures: int) -> list[Place]:
        """Those of every square of every picture, one picture after the other."""
        (height, width), hop = self.extended, self.side // 2
        return [
            Place(picture=picture, top=top, left=left)
            for picture in range(pictures)
            for top in range(0, height - hop, hop)
            for left in range(0, width - hop, hop)
        ]

    def extend(self, images: Shaped[Tensor, "n c h w"]) -> Shaped[Tensor, "n c h2 w2"]:
        (top, left), (height, width) = self.margins, self.extended
        rows, columns = reflected(self.height, top, height), reflected(self.width, left, width)
        return images.index_select(2, rows).index_select(3, columns)

    def cut_back(self, images: Shaped[Tensor, "n c h2 w2"]) -> Shaped[Tensor, "n c h w"]:
        top, left = self.margins
        return images[:, :, top : top + self.height, left : left + self.width]


# One axis
def square_count(length: int, side: int) -> int:
    """Squares along an axis, one every half side."""
    return 1 + max(0, -(-(length - side) // (side // 2)))


def extent(length: int, side: int) -> int:
    """What that many squares reach over: `length` or more."""
    return side + (square_count(length, side) - 1) * (side // 2)


def reflected(length: int, before: int, total: int) -> Int64[Tensor, "total"]:
    """Indices that extend an axis to `total` by reflection about its first and last pixel, however often."""
    period = max(1, 2 * (length - 1))
    place = (torch.arange(total) - before) % period
    return torch.minimum(place, period - place) if length > 1 else torch.zeros_like(place)


def fading(side: int) -> Float32[Tensor, "half"]:
    """The first half of a square's weights: 0 over an eighth of the side, where a network sees the padding
    beyond its picture; over a quarter, the rise of a squared sine; then 1. Reversed, it is 1 minus itself."""
    margin, ramp = side // 8, side // 4
    angle = (torch.arange(ramp, dtype=torch.float64) + 0.5) / ramp * torch.pi / 2
    slope = (angle[: ramp // 2].sin().square() * STEPS).round() / STEPS
    return torch.cat([torch.zeros(margin), slope, 1 - slope.flip(0), torch.ones(margin)]).float()


def axis_weights(length: int, side: int) -> Float32[Tensor, "squares side"]:
    """Weights of each square along an axis: at every pixel they sum to exactly 1, and the first and last
    square weigh 1 up to the edge of the extended picture."""
    fade, one = fading(side), torch.ones(side // 2)
    last = square_count(length, side) - 1
    return torch.stack(
        [torch.cat([one if i == 0 else fade, one if i == last else fade.flip(0)]) for i in range(last + 1)]
    )


# Whole pictures
def tiled(
    images: Shaped[Tensor, "n c h w"], draw: Draw, *, side: int, batch: int = 64
) -> Float[Tensor, "n d h w"]:
    """Each square drawn anew, and laid beside its neighbours with weights that sum to 1.

    No more than `batch` squares are drawn at once. What `draw` does to a pixel by no more than its
    surroundings of side / 8 comes out as if done to the extended picture at one go.
    """
    tiling = Tiling(height=images.shape[2], width=images.shape[3], side=side)
    extended, hop = tiling.extend(images), side // 2
    rows, columns = axis_weights(tiling.height, side), axis_weights(tiling.width, side)
    places = tiling.places(len(images))
    canvas: Tensor | None = None
    for start in range(0, len(places), batch):
        some = places[start : start + batch]
        squares = [extended[p.picture, :, p.top : p.top + side, p.left : p.left + side] for p in some]
        drawn = draw(torch.stack(squares), some)
        if canvas is None:
            canvas = drawn.new_zeros(len(images), drawn.shape[1], *tiling.extended)
        for place, square in zip(some, drawn, strict=True):
            weight = rows[place.top // hop][:, None] * columns[place.left // hop]
            target = canvas[place.picture, :, place.top : place.top + side, place.left : place.left + side]
            target += square * weight
    assert canvas is not None
    return tiling.cut_back(canvas)
