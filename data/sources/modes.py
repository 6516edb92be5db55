"""A procedural collection with known modes: shape x colour x place, the same in every style.

Every style has the same 64 modes, each in several images with a small jitter. The modes that a generator
misses can be counted exactly (`eval/metrics/mode_counts.py`), while a Fréchet distance only hints at
them.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..files import write_file
from ..images import png_bytes
from .shapes import PlacedShape, Subject, blend, place_shape, to_uint8

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
RADIUS = 0.2
SHIFT, GROWTH, ROTATION = 0.5 / 32, 0.04, np.radians(5)
"""The largest jitter: half a pixel of 32 in either direction, a twenty-fifth of the radius, five degrees."""

Mode = tuple[str, str, str]
"""Shape, colour and place."""
MODES: tuple[Mode, ...] = tuple(itertools.product(SHAPES, COLOURS, PLACES))


# Drawing
def write_modes(directory: Path, *, repeats: int = 10, size: int = 32) -> int:
    """Writes `directory/<style>/<mode>-<number>.png` and returns the number of images in each style.

    A name stands for one mode and one jitter in every style, and so for one subject. The split of `pack`
    leaves every mode in the training split. `size` is 16 or more, below which shapes look alike.
    """
    for style, mode, number in itertools.product(MODE_STYLES, MODES, range(repeats)):
        image = mode_image(mode, style, size, mode_jitter(mode, number))
        write_file(directory / style / f"{'-'.join(mode)}-{number:02}.png", png_bytes(image))
    return len(MODES) * repeats


def mode_jitter(mode: Mode, number: int, seed: int = 0) -> Sequence[float]:
    """Returns the jitter of image `number` of a mode: uniform, and a function of its arguments."""
    return np.random.default_rng([seed, MODES.index(mode), number]).uniform(-1, 1, 4).tolist()


def mode_image(mode: Mode, style: str, size: int, jitter: Sequence[float] = (0, 0, 0, 0)) -> np.ndarray:
    """Draws uint8 (size, size, 3). `jitter` is to the right, down, growth and rotation, -1 to 1."""
    shape, colour, place = mode
    right, down, growth, rotation = jitter
    x, y = PLACES[place]
    subject = Subject(
        kind=shape,
        centre=(x + SHIFT * right, y + SHIFT * down),
        radius=RADIUS * (1 + GROWTH * growth),
        rotation=ROTATION * rotation,
        colour=np.array(COLOURS[colour]),
    )
    return to_uint8(_PAINTERS[style](place_shape(subject, size), subject.colour))


def _striped(shape: PlacedShape, colour: np.ndarray) -> np.ndarray:
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * 6 * shape.y)
    return blend(shape.cover, blend(stripes, colour, 0.4 * colour + 0.6), np.ones(3))


_PAINTERS: dict[str, Callable[[PlacedShape, np.ndarray], np.ndarray]] = {
    "filled": lambda shape, colour: blend(shape.cover, colour, np.ones(3)),
    "inverted": lambda shape, colour: blend(shape.cover, np.ones(3), colour),
    "outline": lambda shape, colour: blend(shape.outline, colour, np.ones(3)),
    "striped": _striped,
}
MODE_STYLES = tuple(_PAINTERS)
