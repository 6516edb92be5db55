"""A procedural collection with known modes: shape x colour x place, the same in every style.

Every style has the same 64 modes, each in several images with a small jitter. The modes that a generator
misses can be counted exactly, while a Fréchet distance only hints at them.

An image is recognised by its nearest template among all modes at several jitters. Distances are Euclidean,
between images that are blurred by a 32nd of their side: jitter and soft edges change single pixels along a
contour, another shape changes more. Let D(m) be the distance between mode m and the nearest other mode, over
all their templates. An image shows mode m if its distance is below D(m) / 2. Templates of two modes m and n
lie at least max(D(m), D(n)) apart, so these balls never meet: an image shows one mode or none.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.functional import gaussian_blur

from ..files import write_file
from ..images import png_bytes
from .toy import PlacedShape, Subject, blend, place_shape, to_uint8

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
BLOCK = 512

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


# Counting
def count_modes(images: Tensor, style: str) -> Tensor:
    """Counts the uint8 images (N, 3, R, R), R from 16 up, that show each mode in a style of MODE_STYLES.

    Returns int64 (64,), in the order of MODES. Images that show no mode count nowhere.
    """
    templates, radius = mode_bank(style, images.shape[-1])
    counts = torch.zeros(len(MODES), dtype=torch.int64)
    for block in images.cpu().split(BLOCK):
        distances = torch.cdist(_features(block), templates.flatten(0, 1))  # (B, 64 * 81)
        distance, mode = distances.unflatten(1, templates.shape[:2]).amin(2).min(1)
        counts += torch.bincount(mode[distance < radius[mode]], minlength=len(MODES))
    return counts


@lru_cache(maxsize=8)
def mode_bank(style: str, size: int) -> tuple[Tensor, Tensor]:
    """Draws every mode at each combination of the ends and the middle of the four jitters, 81 templates.

    Returns the templates, float (64, 81, D), and half the distance of each mode to the nearest other, (64,).
    """
    jitters = list(itertools.product((-0.7, 0.0, 0.7), repeat=4))
    images = np.stack([[mode_image(mode, style, size, jitter) for jitter in jitters] for mode in MODES])
    templates = torch.stack([_features(torch.from_numpy(own).permute(0, 3, 1, 2)) for own in images])
    modes = torch.arange(len(MODES))
    radius = [torch.cdist(templates[m], templates[modes != m].flatten(0, 1)).min() / 2 for m in modes]
    return templates, torch.stack(radius)


def _features(images: Tensor) -> Tensor:
    """Blurs uint8 (N, 3, R, R) by a 32nd of the side, halves the side, and flattens to float (N, D)."""
    sigma = images.shape[-1] / 32
    blurred = gaussian_blur(images.float() / 255, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma, sigma])
    return avg_pool2d(blurred, 2).flatten(1)
