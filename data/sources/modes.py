"""A procedural collection whose modes are known: shape x colour x place, the same in every style.

Each style holds the same 64 modes, and each mode is drawn several times with a small jitter. So the modes
that a generator misses can be counted exactly, where a Fréchet distance only hints at them.

A picture is recognised by its nearest template, over a bank of every mode at several jitters. Distances are
Euclidean, between pictures that are blurred by a 32nd of their side: jitter and soft edges change single
pixels along a contour, another shape changes more. A picture counts only where its distance is below half the
distance D(m) between its mode m and the nearest other mode, over all their templates. Templates of two modes
m and n lie at least max(D(m), D(n)) apart, so the balls of radius D(m) / 2 and D(n) / 2 around them never
meet: a picture is recognised as one mode or as none.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.functional import gaussian_blur

from ..errors import DataError
from ..files import write_file
from ..images import png_bytes
from .toy import PlacedShape, Subject, place_shape

SHAPES = ("cross", "ring", "square", "triangle")
COLOURS = {
    "red": (0.85, 0.10, 0.15),
    "green": (0.05, 0.60, 0.20),
    "blue": (0.10, 0.25, 0.85),
    "yellow": (0.95, 0.75, 0.05),
}
PLACES = {
    "top-left": (0.28, 0.28),
    "top-right": (0.72, 0.28),
    "bottom-left": (0.28, 0.72),
    "bottom-right": (0.72, 0.72),
}
MODE_STYLES = ("filled", "inverted", "outline", "striped")
RADIUS = 0.2
# The largest jitter: half a pixel of 32 in either direction, a twenty-fifth of the radius, five degrees.
SHIFT, GROWTH, TURN = 0.5 / 32, 0.04, np.radians(5)
BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One of the 64 modes: a shape in a colour at a place."""

    shape: str
    colour: str
    place: str

    @property
    def name(self) -> str:
        return f"{self.shape}-{self.colour}-{self.place}"


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """How one drawing of a mode differs from another. Every value is a share of the largest, -1 to 1."""

    right: float = 0.0
    down: float = 0.0
    growth: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ModeCount:
    """How many pictures show each mode of MODES; `counts` is int64 (64,)."""

    counts: Tensor
    pictures: int

    @property
    def found(self) -> int:
        """Modes that at least one picture shows."""
        return int((self.counts > 0).sum())

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the modes that no picture shows."""
        return tuple(mode.name for mode, count in zip(MODES, self.counts.tolist(), strict=True) if not count)

    @property
    def recognised(self) -> float:
        """Share of the pictures that show any mode."""
        return int(self.counts.sum()) / self.pictures if self.pictures else 0.0


MODES = tuple(
    Mode(shape=shape, colour=colour, place=place)
    for shape, colour, place in itertools.product(SHAPES, COLOURS, PLACES)
)

# Drawing


def write_modes(directory: Path, *, repeats: int = 10, size: int = 32, seed: int = 0) -> int:
    """Writes `directory/<style>/<mode>-<number>.png` and returns the number of pictures in each style.

    A name stands for one mode and one jitter in every style, so that it is the same subject to `pack`, whose
    split by name leaves every mode in the training split.

    Raises:
        DataError: `repeats` below 1, or `size` below 16, where the shapes cannot be told apart.
    """
    if repeats < 1 or size < 16:
        raise DataError(f"{repeats} repeats at {size} px are unusable: choose 1 or more, at 16 px or more.")
    for style in MODE_STYLES:
        (directory / style).mkdir(parents=True, exist_ok=True)
        for mode, number in itertools.product(MODES, range(repeats)):
            image = mode_image(mode, style, size, mode_jitter(mode, number, seed))
            write_file(directory / style / f"{mode.name}-{number:02}.png", png_bytes(image))
    return len(MODES) * repeats


def mode_jitter(mode: Mode, number: int, seed: int = 0) -> Jitter:
    """The jitter of drawing `number` of a mode: a function of its arguments, uniform in every value."""
    rng = np.random.default_rng([seed & (2**64 - 1), MODES.index(mode), number])
    right, down, growth, turn = rng.uniform(-1, 1, 4).tolist()
    return Jitter(right=right, down=down, growth=growth, turn=turn)


def mode_image(mode: Mode, style: str, size: int, jitter: Jitter | None = None) -> np.ndarray:
    """Draws uint8 (size, size, 3)."""
    jitter = jitter or Jitter()
    x, y = PLACES[mode.place]
    subject = Subject(
        kind=mode.shape,
        centre=(x + SHIFT * jitter.right, y + SHIFT * jitter.down),
        radius=RADIUS * (1 + GROWTH * jitter.growth),
        turn=TURN * jitter.turn,
        colour=np.array(COLOURS[mode.colour]),
    )
    image = _PAINTERS[style](place_shape(subject, size), subject.colour)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _blend(cover: np.ndarray, ink: np.ndarray, ground: np.ndarray) -> np.ndarray:
    return cover[..., None] * ink + (1 - cover[..., None]) * ground


def _outline(shape: PlacedShape, colour: np.ndarray) -> np.ndarray:
    return _blend(np.clip(1.5 - np.abs(shape.distance) * shape.soft, 0, 1), colour, np.ones(3))


def _striped(shape: PlacedShape, colour: np.ndarray) -> np.ndarray:
    """Stripes of the colour and of a tint of it, which stay where they are in the shape."""
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * 6 * shape.y)
    return _blend(shape.inside, _blend(stripes, colour, 0.4 * colour + 0.6), np.ones(3))


_PAINTERS: dict[str, Callable[[PlacedShape, np.ndarray], np.ndarray]] = {
    "filled": lambda shape, colour: _blend(shape.inside, colour, np.ones(3)),
    "inverted": lambda shape, colour: _blend(shape.inside, np.ones(3), colour),
    "outline": _outline,
    "striped": _striped,
}

# Counting


def count_modes(images: Tensor, style: int | str) -> ModeCount:
    """Counts the modes of `style` that uint8 (N, 3, R, R) show."""
    shown = recognise_modes(images, style)
    counts = torch.bincount(shown[shown >= 0], minlength=len(MODES))
    return ModeCount(counts=counts, pictures=len(images))


def recognise_modes(images: Tensor, style: int | str) -> Tensor:
    """The index in MODES of the mode that each of uint8 (N, 3, R, R) shows, int64 (N,); -1 for none.

    Args:
        images: square pictures of any size from 16 px up.
        style: a name of MODE_STYLES or its index there, which is its label in the packed data set.

    Raises:
        DataError: unknown style, or images of another type or shape.
    """
    name = _style_name(style)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or (
        images.shape[2] != images.shape[3] or images.shape[2] < 16
    ):  # fmt: skip
        shape = tuple(images.shape)
        raise DataError(f"Modes are counted in uint8 (N, 3, R, R), R from 16 up, not {images.dtype} {shape}.")
    bank = mode_bank(name, images.shape[-1])
    blocks = [_nearest(block, bank) for block in images.cpu().split(BLOCK)] or [torch.empty(0).long()]
    return torch.cat(blocks)


def _style_name(style: int | str) -> str:
    if isinstance(style, str) and style in MODE_STYLES:
        return style
    if isinstance(style, int) and 0 <= style < len(MODE_STYLES):
        return MODE_STYLES[style]
    raise DataError(f"The style {style!r} has no modes: choose from {', '.join(MODE_STYLES)}.")


@dataclass(frozen=True, kw_only=True)
class ModeBank:
    """Reduced templates float (64, T, D), T jitters of each mode, and the radius float (64,) of each mode."""

    templates: Tensor
    radius: Tensor


@lru_cache(maxsize=8)
def mode_bank(style: str, size: int) -> ModeBank:
    """Draws the templates of a style, and takes half the distance to the nearest other mode as the radius."""
    drawn = np.stack([[mode_image(mode, style, size, jitter) for jitter in _grid()] for mode in MODES])
    templates = torch.stack([_reduce(torch.from_numpy(own).permute(0, 3, 1, 2)) for own in drawn])
    flat = templates.flatten(0, 1)
    owner = torch.arange(len(MODES)).repeat_interleave(templates.shape[1])
    radius = torch.empty(len(MODES))
    for index, own in enumerate(templates):
        radius[index] = torch.cdist(own, flat[owner != index]).min() / 2
    return ModeBank(templates=templates, radius=radius)


def _grid() -> Iterator[Jitter]:
    """Templates at every combination of the ends and the middle of the four jitters: 81 a mode."""
    for right, down, growth, turn in itertools.product((-0.7, 0.0, 0.7), repeat=4):
        yield Jitter(right=right, down=down, growth=growth, turn=turn)


def _reduce(images: Tensor) -> Tensor:
    """Blurs uint8 (N, 3, R, R) by a 32nd of the side, halves the side, and flattens to float (N, D)."""
    sigma = images.shape[-1] / 32
    blurred = gaussian_blur(images.float() / 255, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma, sigma])
    return avg_pool2d(blurred, 2).flatten(1)


def _nearest(images: Tensor, bank: ModeBank) -> Tensor:
    distances = torch.cdist(_reduce(images), bank.templates.flatten(0, 1))  # (N, 64 T)
    by_mode = distances.unflatten(1, bank.templates.shape[:2]).amin(2)  # (N, 64)
    distance, mode = by_mode.min(1)
    return torch.where(distance < bank.radius[mode], mode, -1)
