"""How pictures become those of a data set: decoded, fitted, encoded and fingerprinted, several at once."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock

import numpy as np
from PIL import Image

from ..errors import DataError
from ..folder import Found
from ..images import WHITE, Colour, Fit, Picture, UnreadableError, decode, fit_image, open_image, png_bytes
from ..progress import Progress
from ..split import TEST_FRACTION, split_of
from .duplicates import NEAR_BITS, Duplicates, Print, Problem, print_of

WINDOW = 256
LARGE = 2**24
"""Pixels from which on pictures are prepared one at a time: threads together would take gigabytes."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """How pictures become a data set."""

    resolution: int
    """Side of the packed pictures in pixels: a power of two, at least 8."""
    fit: Fit = "crop"
    """What happens to pictures that are not square: crop, pad or squash."""
    background: Colour = WHITE
    """The colour behind transparent pictures and in the bars of `pad`, as R G B of 0 to 255."""
    test_fraction: float = TEST_FRACTION
    """Share of the subjects that training never sees, chosen by the hash of the subject's name."""
    min_size: int | None = None
    """Pictures with a shorter side than this are left out; by default a quarter of the resolution."""
    duplicates: Duplicates = "drop"
    """Whether exact repeats within a style are dropped or kept; they are reported either way."""
    near_bits: int = NEAR_BITS
    """Pictures of one style whose 64-bit hashes differ by at most this are reported; -1 turns it off."""
    strict: bool = False
    """Fail, after writing the report, where anything is wrong with any picture."""

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            near = max(8, 2 ** round(np.log2(max(8, self.resolution))))
            raise DataError(f"The resolution {self.resolution} is no power of two from 8 up: try {near}.")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise DataError(f"The background {self.background} is no colour: give three numbers of 0 to 255.")
        if not -1 <= self.near_bits <= 32:
            raise DataError(f"near_bits {self.near_bits} is outside -1 to 32: choose e.g. {NEAR_BITS}.")
        if self.min_size is not None and self.min_size < 1:
            raise DataError(
                f"min_size {self.min_size} is below 1: choose the shortest side to accept, in pixels."
            )
        split_of("", self.test_fraction)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A picture as it is packed, and what is to be said of it."""

    found: Found
    pixels: np.ndarray
    png: bytes
    print: Print
    problems: tuple[Problem, ...]
    profile: str
    cut: float
    """Share of the area that is cut off."""


def prepare_all(found: Sequence[Found], config: PackConfig) -> Iterator[Prepared | Problem]:
    """Decodes in threads (Pillow lets go of the interpreter), in order, holding one window in memory."""
    with (
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
        Progress(total=len(found), unit="img") as bar,
    ):
        for start in range(0, len(found), WINDOW):
            window = found[start : start + WINDOW]
            for made in pool.map(lambda one: _prepare(one, config), window):
                yield made
                bar.update()


def _prepare(found: Found, config: PackConfig) -> Prepared | Problem:
    try:
        with open_image(found.path, reduce=True) as image, _room_for(image):
            picture = decode(image, found.path, background=config.background)
            return _prepared(found, picture, config)
    except UnreadableError as error:
        return Problem(kind="unreadable", source=found.source, detail=error.reason)


_one_large = Lock()


def _room_for(image: Image.Image) -> AbstractContextManager[object]:
    return _one_large if image.width * image.height > LARGE else nullcontext()


def _prepared(found: Found, picture: Picture, config: PackConfig) -> Prepared | Problem:
    array = picture.pixels
    height, width = array.shape[:2]
    least = config.min_size or config.resolution // 4
    if min(height, width) < least:
        return Problem(kind="too small", source=found.source, detail=f"{width} x {height}, minimum {least}")
    pixels = fit_image(array, config.resolution, config.fit, config.background)
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(array.ravel().data)
    split, sha256 = split_of(found.subject, config.test_fraction), digest.hexdigest()
    return Prepared(
        found=found,
        pixels=pixels,
        png=png_bytes(pixels),
        print=print_of(array, source=found.source, style=found.style, split=split, sha256=sha256),
        problems=tuple(_odd(found, picture)),
        profile=picture.profile,
        cut=1 - min(height, width) / max(height, width) if config.fit == "crop" else 0.0,
    )


def _odd(found: Found, picture: Picture) -> Iterator[Problem]:
    if picture.animated:
        yield Problem(kind="animated", source=found.source, detail="its first frame")
    if picture.profile_fault:
        yield Problem(kind="bad profile", source=found.source, detail=picture.profile_fault)
