"""Shapes on a pixel grid, from which procedural collections are drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Field = np.ndarray
"""Values of shape (size, size), one for each pixel."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A shape: kind, centre and radius in units of the side, rotation in radians, RGB colour in [0, 1]."""

    kind: str
    centre: tuple[float, float]
    radius: float
    rotation: float
    colour: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PlacedShape:
    """A shape on the pixel grid, as fields of shape (size, size)."""

    x: Field
    """Columns relative to the centre, in units of the side."""
    y: Field
    """Rows relative to the centre, in units of the side."""
    cover: Field
    """Coverage of each pixel in [0, 1], with one pixel of soft edge."""
    outline: Field
    """Coverage by a line of three pixels along the edge, in [0, 1]."""


def place_shape(subject: Subject, size: int) -> PlacedShape:
    """Evaluates the shape of `subject` at the centres of `size` x `size` pixels."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x, y = x - subject.centre[0], y - subject.centre[1]
    u = (x * np.cos(subject.rotation) + y * np.sin(subject.rotation)) / subject.radius
    v = (y * np.cos(subject.rotation) - x * np.sin(subject.rotation)) / subject.radius
    distance = DISTANCES[subject.kind](u, v) * (subject.radius * size)  # in pixels
    cover, outline = np.clip(0.5 - distance, 0, 1), np.clip(1.5 - np.abs(distance), 0, 1)
    return PlacedShape(x=x, y=y, cover=cover, outline=outline)


def blend(cover: Field, ink: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Paints RGB `ink` on `ground`: (size, size, 3), with the weights `cover`, (size, size) in [0, 1]."""
    return cover[..., None] * ink + (1 - cover[..., None]) * ground


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Converts [0, 1] to uint8."""
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


# Shapes: signed distance in radii, negative inside
def _square(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.85


def _triangle(u: Field, v: Field) -> Field:
    slanted = np.sqrt(3) / 2 * np.abs(u) + v / 2
    return np.maximum(slanted, -v) - 0.6


def _cross(u: Field, v: Field) -> Field:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(long - 1, short - 0.35)


DISTANCES: dict[str, Callable[[Field, Field], Field]] = {
    "circle": lambda u, v: np.hypot(u, v) - 1,
    "square": _square,
    "triangle": _triangle,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.75) - 0.25,
    "cross": _cross,
}
