"""A procedural style data set for tests and first tries: the same shapes rendered in several manners."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import DataError
from ..files import write_file
from ..images import png_bytes
from ..pictures import Pictures

Field = np.ndarray
MANNERS = ("filled", "outline", "gradient", "dotted", "inverted", "striped")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One shape: kind, centre and radius in units of the side, turn in radians, and RGB colour in [0, 1]."""

    kind: str
    centre: tuple[float, float]
    radius: float
    turn: float
    colour: np.ndarray


def toy_subject(number: int, seed: int = 0) -> Subject:
    rng = np.random.default_rng([seed & (2**64 - 1), number])
    hue = rng.uniform(0, 2 * np.pi)
    return Subject(
        kind=tuple(_DISTANCES)[number % len(_DISTANCES)],
        centre=(rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)),
        radius=rng.uniform(0.2, 0.34),
        turn=rng.uniform(0, 2 * np.pi),
        colour=0.45 + 0.4 * np.cos(hue + np.array([0, 2, 4]) * np.pi / 3),
    )


@dataclass(frozen=True, kw_only=True)
class PlacedShape:
    """A shape on the pixel grid, as fields of shape (size, size)."""

    x: Field
    """Columns relative to the centre, in units of the side."""
    y: Field
    """Rows relative to the centre, in units of the side."""
    distance: Field
    """Signed distance from the edge in radii, negative inside."""
    inside: Field
    """Coverage of each pixel in [0, 1], with one pixel of soft edge."""
    soft: float
    """The radius in pixels."""


def place_shape(subject: Subject, size: int) -> PlacedShape:
    """Evaluates the shape of `subject` at the centres of `size` x `size` pixels."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x, y = x - subject.centre[0], y - subject.centre[1]
    u = (x * np.cos(subject.turn) + y * np.sin(subject.turn)) / subject.radius
    v = (y * np.cos(subject.turn) - x * np.sin(subject.turn)) / subject.radius
    soft = subject.radius * size
    distance = _DISTANCES[subject.kind](u, v)
    inside = np.clip(0.5 - distance * soft, 0, 1)
    return PlacedShape(x=x, y=y, distance=distance, inside=inside, soft=soft)


def toy_image(subject: Subject, style: int, size: int) -> np.ndarray:
    """uint8 (size, size, 3); style 0, 1, ... takes MANNERS in turn, on tinted paper after the first round."""
    placed = place_shape(subject, size)
    inside, distance, x, y, soft = placed.inside, placed.distance, placed.x, placed.y, placed.soft
    rounds, manner = divmod(style, len(MANNERS))
    paper = np.ones(3) - 0.25 * (np.arange(3) == (rounds - 1) % 3) * min(rounds, 1)
    cover, ink, ground = _MANNERS[MANNERS[manner]](inside, distance, x, y, soft, subject.colour, paper)
    image = cover[..., None] * ink + (1 - cover[..., None]) * ground
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def write_toy(
    directory: Path, *, styles: int = 4, subjects: int = 24, size: int = 32, seed: int = 0
) -> tuple[str, ...]:
    """Writes `directory/<style>/<subject>.png`, and returns the names of the styles in alphabetical order."""
    names = toy_styles(styles)
    for style, name in enumerate(names):
        (directory / name).mkdir(parents=True, exist_ok=True)
        for number in range(subjects):
            image = toy_image(toy_subject(number, seed), style, size)
            write_file(directory / name / f"{number:04}.png", png_bytes(image))
    return names


def toy_pictures(*, styles: int = 4, subjects: int = 24, size: int = 32, seed: int = 0) -> Pictures:
    """The same pictures in memory, style by style."""
    names = toy_styles(styles)
    drawn = [toy_image(toy_subject(n, seed), style, size) for style in range(styles) for n in range(subjects)]
    return Pictures(
        images=torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous(),
        styles=torch.arange(styles).repeat_interleave(subjects),
        subjects=tuple(f"{n:04}" for n in range(subjects)) * styles,
        style_names=names,
        fingerprint=f"toy-{styles}-{subjects}-{size}-{seed}",
    )


def toy_styles(count: int) -> tuple[str, ...]:
    """Names that sort as they are numbered: '00-filled', '01-outline', ..."""
    if not 1 <= count <= 24:
        raise DataError(f"{count} toy styles cannot be told apart: ask for 1 to 24.")
    return tuple(f"{style:02}-{MANNERS[style % len(MANNERS)]}" for style in range(count))


# Shapes: signed distance in radii, negative inside


def _square(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.85


def _triangle(u: Field, v: Field) -> Field:
    slanted = np.sqrt(3) / 2 * np.abs(u) + v / 2
    return np.maximum(slanted, -v) - 0.6


def _cross(u: Field, v: Field) -> Field:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(long - 1, short - 0.35)


_DISTANCES: dict[str, Callable[[Field, Field], Field]] = {
    "circle": lambda u, v: np.hypot(u, v) - 1,
    "square": _square,
    "triangle": _triangle,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.75) - 0.25,
    "cross": _cross,
}

# Manners: (cover, ink, ground) from the shape's cover and distance, the place, its radius in pixels, colours

_Paint = tuple[Field, Field, Field]


def _outline(inside: Field, d: Field, x: Field, y: Field, soft: float, ink: Field, paper: Field) -> _Paint:
    return np.clip(1.5 - np.abs(d) * soft, 0, 1), np.full(3, 0.1), paper


def _gradient(inside: Field, d: Field, x: Field, y: Field, soft: float, ink: Field, paper: Field) -> _Paint:
    shade = np.clip(0.5 + 1.5 * (y - x), 0, 1)[..., None]
    return inside, ink * (1 - 0.8 * shade) + 0.5 * (1 - shade), paper


def _dotted(inside: Field, d: Field, x: Field, y: Field, soft: float, ink: Field, paper: Field) -> _Paint:
    waves = np.cos(2 * np.pi * 8 * x) * np.cos(2 * np.pi * 8 * y)
    return inside * (waves > 0), ink, paper


def _striped(inside: Field, d: Field, x: Field, y: Field, soft: float, ink: Field, paper: Field) -> _Paint:
    return inside * (np.cos(2 * np.pi * 8 * (x + y)) > 0), np.full(3, 0.2), paper


_MANNERS: dict[str, Callable[[Field, Field, Field, Field, float, Field, Field], _Paint]] = {
    "filled": lambda inside, d, x, y, soft, ink, paper: (inside, ink, paper),
    "outline": _outline,
    "gradient": _gradient,
    "dotted": _dotted,
    "inverted": lambda inside, d, x, y, soft, ink, paper: (inside, paper, ink * 0.6),
    "striped": _striped,
}
