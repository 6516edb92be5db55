"""Toy images for benchmarks and tests: the same shapes in several styles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.data.errors import DataError
from brushwork.data.files import write_file
from brushwork.data.images import png_bytes
from brushwork.data.sources.shapes import (
    DISTANCES,
    Field,
    PlacedShape,
    Subject,
    blend,
    place_shape,
    to_uint8,
)


def toy_subject(number: int, seed: int = 0) -> Subject:
    """Returns subject `number`, a function of its arguments."""
    rng = np.random.default_rng([seed & (2**64 - 1), number])
    hue = rng.uniform(0, 2 * np.pi)
    return Subject(
        kind=tuple(DISTANCES)[number % len(DISTANCES)],
        centre=(rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)),
        radius=rng.uniform(0.2, 0.34),
        rotation=rng.uniform(0, 2 * np.pi),
        colour=0.45 + 0.4 * np.cos(hue + np.array([0, 2, 4]) * np.pi / 3),
    )


def toy_image(subject: Subject, style: int, size: int) -> np.ndarray:
    """Draws uint8 (size, size, 3). Styles cycle through MANNERS, on tinted paper after the first cycle."""
    cycle, manner = divmod(style, len(MANNERS))
    paper = np.ones(3) - 0.25 * (np.arange(3) == (cycle - 1) % 3) * min(cycle, 1)
    return to_uint8(blend(*_MANNERS[MANNERS[manner]](place_shape(subject, size), subject.colour, paper)))


def toy_dataset(*, styles: int = 4, subjects: int = 24, size: int = 32, seed: int = 0) -> ImageDataset:
    """Draws images of the same subjects in every style, style by style."""
    if not 1 <= styles <= 24:
        raise DataError(f"{styles} toy styles cannot be distinguished: choose 1 to 24.")
    images = [
        toy_image(toy_subject(n, seed), style, size) for style in range(styles) for n in range(subjects)
    ]
    return ImageDataset(
        images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        styles=torch.arange(styles).repeat_interleave(subjects),
        subjects=tuple(f"{n:04}" for n in range(subjects)) * styles,
        style_names=tuple(f"{style:02}-{MANNERS[style % len(MANNERS)]}" for style in range(styles)),
        fingerprint=f"toy-{styles}-{subjects}-{size}-{seed}",
    )


def write_toy(
    directory: Path, *, styles: int = 4, subjects: int = 24, size: int = 32, seed: int = 0
) -> tuple[str, ...]:
    """Writes `directory/<style>/<subject>.png`, and returns the names of the styles in alphabetical order."""
    toy = toy_dataset(styles=styles, subjects=subjects, size=size, seed=seed)
    for image, style, subject in zip(toy.images, toy.styles.tolist(), toy.subjects, strict=True):
        path = directory / toy.style_names[style] / f"{subject}.png"
        write_file(path, png_bytes(image.permute(1, 2, 0).contiguous().numpy()))
    return toy.style_names


# Manners: cover, ink and ground of a shape, given its colour and the colour of the paper

_Paint = tuple[Field, np.ndarray, np.ndarray]


def _gradient(shape: PlacedShape, colour: np.ndarray, paper: np.ndarray) -> _Paint:
    shade = np.clip(0.5 + 1.5 * (shape.y - shape.x), 0, 1)[..., None]
    return shape.cover, colour * (1 - 0.8 * shade) + 0.5 * (1 - shade), paper


def _dotted(shape: PlacedShape, colour: np.ndarray, paper: np.ndarray) -> _Paint:
    waves = np.cos(2 * np.pi * 8 * shape.x) * np.cos(2 * np.pi * 8 * shape.y)
    return shape.cover * (waves > 0), colour, paper


def _striped(shape: PlacedShape, colour: np.ndarray, paper: np.ndarray) -> _Paint:
    return shape.cover * (np.cos(2 * np.pi * 8 * (shape.x + shape.y)) > 0), np.full(3, 0.2), paper


_MANNERS: dict[str, Callable[[PlacedShape, np.ndarray, np.ndarray], _Paint]] = {
    "filled": lambda shape, colour, paper: (shape.cover, colour, paper),
    "outline": lambda shape, colour, paper: (shape.outline, np.full(3, 0.1), paper),
    "gradient": _gradient,
    "dotted": _dotted,
    "inverted": lambda shape, colour, paper: (shape.cover, paper, colour * 0.6),
    "striped": _striped,
}
MANNERS = tuple(_MANNERS)


def noise_images(
    count: int, *, seed: int, size: int = 64, contrast: float = 1.0
) -> UInt8[Tensor, "count 3 size size"]:
    """Coloured noise at 2, 4, 8, 16 and 32 cells a side in turn, enlarged to `size`."""
    generator = torch.Generator().manual_seed(seed)
    images = [
        F.interpolate(
            torch.randn(1, 3, 2 ** (1 + i % 5), 2 ** (1 + i % 5), generator=generator),
            size=(size, size), mode="bilinear",
        )
        for i in range(count)
    ]  # fmt: skip
    return (torch.cat(images) * 64 * contrast + 128).clamp(0, 255).to(torch.uint8)
