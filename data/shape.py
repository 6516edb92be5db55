"""The shape of packed images: sides in quarters of the resolution, which is the shorter side."""

import math
import re
from collections.abc import Iterable

from .errors import DataError

Base = tuple[int, int]
"""Rows and columns for a resolution of 4: one of them is 4, the other from 4 to 16."""
SQUARE: Base = (4, 4)
MOST = 4.0
"""The longest side may be so many times the shorter one."""


def size_at(resolution: int, base: Base) -> tuple[int, int]:
    """Returns height and width at a resolution."""
    rows, columns = base
    return rows * resolution // 4, columns * resolution // 4


def base_of(height: int, width: int) -> Base:
    """Returns the base of images of a size, the inverse of `size_at`."""
    resolution = min(height, width)
    return height * 4 // resolution, width * 4 // resolution


def nearest_base(aspect: float) -> Base:
    """Returns the base nearest to an aspect, width by height: 1.5 -> (4, 6)."""
    long = max(aspect, 1 / aspect)
    quarters = min(range(4, 17), key=lambda n: abs(math.log(n / 4 / long)))
    return (4, quarters) if aspect >= 1 else (quarters, 4)


def cut_share(height: int, width: int, base: Base) -> float:
    """Returns the share of an image's area that is cut off by a crop to the aspect of `base`."""
    ratio = width * base[0] / (height * base[1])
    return 1 - min(ratio, 1 / ratio)


def parse_aspect(text: str) -> float:
    """Returns width by height of a text such as 3:2. Raises DataError if it is none, or beyond 4:1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text)
    width, height = (float(part) for part in match.groups()) if match else (0.0, 0.0)
    if not (width and height):
        raise DataError(f"The aspect '{text}' is no ratio of width to height: give one such as 3:2, or auto.")
    if not 1 / MOST <= width / height <= MOST:
        raise DataError(f"The aspect {text} is beyond 4:1: cut such images into parts, or choose 4:1 or 1:4.")
    return width / height


def median_aspect(sizes: Iterable[tuple[int, int]]) -> float:
    """Returns the median of width by height of (width, height) pairs, at most 4:1."""
    aspects = sorted(width / height for width, height in sizes)
    middle = aspects[len(aspects) // 2] if aspects else 1.0
    return min(max(middle, 1 / MOST), MOST)
