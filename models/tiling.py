"""Pictures of any size as overlapping squares of one size, and back without seams, in bounded memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Shaped
from torch import Tensor
from torch.overrides import TorchFunctionMode

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

    Pictures are extended by reflection, evenly at opposite edges. Along an axis that is no longer than a
    square there is one; else as many as also reach over both edges by the eighth that does not count.
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

    def cut(self, extended: Shaped[Tensor, "n c h2 w2"], places: Sequence[Place]) -> Tensor:
        """The squares (B, C, side, side) at `places`."""
        ends = ((p, p.top + self.side, p.left + self.side) for p in places)
        return torch.stack([extended[p.picture, :, p.top : low, p.left : right] for p, low, right in ends])

    def cut_back(self, images: Shaped[Tensor, "n c h2 w2"]) -> Shaped[Tensor, "n c h w"]:
        top, left = self.margins
        return images[:, :, top : top + self.height, left : left + self.width]


# One axis
def square_count(length: int, side: int) -> int:
    """Squares along an axis, one every half side."""
    if length <= side:
        return 1
    return 1 + math.ceil((length + 2 * (side // 8) - side) / (side // 2))


def extent(length: int, side: int) -> int:
    """What that many squares reach over: `length` or more."""
    return side + (square_count(length, side) - 1) * (side // 2)


def reflected(length: int, before: int, total: int) -> Int64[Tensor, "total"]:
    """Indices that extend an axis to `total` by reflection about its first and last pixel, however often."""
    period = max(1, 2 * (length - 1))
    place = (torch.arange(total) - before) % period
    return torch.minimum(place, period - place) if length > 1 else torch.zeros_like(place)


def fading(side: int) -> Float32[Tensor, "half"]:
    """The first half of a square's weights: 0 over an eighth of the side, which sees least of the picture;
    over a quarter, the rise of a squared sine; then 1. Reversed, it is 1 minus itself."""
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


# Networks that are shown one square of a picture
SPATIAL_MEANS = (torch.mean, torch.Tensor.mean)
SAMPLE = 64
"""Squares that statistics are taken over, at most: a fixed number, whatever the batch."""


class SharedStatistics(TorchFunctionMode):
    """Within it, what a network takes means of over space, of values or of squares, is all squares together.

    Instance normalisation and AdaIN bring every square to one contrast: the empty ones of a large picture
    would have their noise blown up to that of the busy ones, and each square its own colours. The first pass,
    over squares (B, C, H, W) of one picture, pools their statistics layer by layer, much as one pass over
    the whole picture would; every later one takes those. So do thumbnails serve in Chen et al. 2022 ("Towards
    Ultra-Resolution Neural Style Transfer via Thumbnail Instance Normalization", arXiv:2103.11784), whose
    statistics are those of another scale.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Tensor] = []
        """Means (1, C), in the order in which a pass asks for them."""
        self.asked = 0

    def __enter__(self) -> "SharedStatistics":
        self.asked = 0
        super().__enter__()
        return self

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))  # the protocol of PyTorch
        if (kwargs or {}).get("dim") != (2, 3) or func not in SPATIAL_MEANS:
            return found
        self.asked += 1
        if self.asked > len(self.known):
            self.known.append(found.mean(dim=0, keepdim=True))
        return self.known[self.asked - 1].expand_as(found)


class ContinuedEdges(TorchFunctionMode):
    """Within it, convolutions see maps continued beyond their edges where they would see zeros.

    Zeros tell a network where in a square it is, up to the middle: at the lowest resolutions a few
    convolutions reach that far. On smooth ground all squares would show the same pattern, a lattice.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.conv2d and kwargs.get("padding"):
            x = continued(args[0], kwargs.pop("padding"))
            return func(x, *args[1:], **kwargs)
        if func is F.conv_transpose2d:  # of stride 2: a place beyond the edge adds two to the result
            return func(continued(args[0], 1), *args[1:], **kwargs)[:, :, 2:-2, 2:-2]
        return func(*args, **kwargs)


def continued(x: Float[Tensor, "n c h w"], by: int) -> Float[Tensor, "n c h2 w2"]:
    """With `by` places more at every edge: its mirror image, turned about the edge's value. What is flat or
    has a slope goes on so; mirrored alone, a slope would turn back."""
    around = (by, by, by, by)
    return 2 * F.pad(x, around, mode="replicate") - F.pad(x, around, mode="reflect")


def evenly(places: Sequence[Place], most: int = SAMPLE) -> list[Place]:
    """No more than `most` of them, spread over all."""
    count = min(most, len(places))
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


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
        drawn = draw(tiling.cut(extended, some), some)
        if canvas is None:
            canvas = drawn.new_zeros(len(images), drawn.shape[1], *tiling.extended)
        for place, square in zip(some, drawn, strict=True):
            weight = rows[place.top // hop][:, None] * columns[place.left // hop]
            target = canvas[place.picture, :, place.top : place.top + side, place.left : place.left + side]
            target += square * weight
    assert canvas is not None
    return tiling.cut_back(canvas)
