"""Decodes, fits, encodes and hashes the images of a collection, several at once."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import numpy as np

from ..errors import DataError
from ..folder import ImageFile
from ..images import WHITE, Colour, Fit, Picture, UnreadableError, decode, fit_image, open_image, png_bytes
from ..progress import Progress
from ..split import TEST_FRACTION, split_of
from .duplicates import ImageHash, Problem, hash_image

WINDOW = 256
"""Prepared images that are held in memory."""
LARGE = 2**24
"""Images with more pixels are prepared one at a time: several threads would need gigabytes."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """How a folder of pictures becomes a data set."""

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

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            near = max(8, 2 ** round(np.log2(max(8, self.resolution))))
            raise DataError(f"The resolution {self.resolution} is no power of two from 8 up: try {near}.")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise DataError(f"The background {self.background} is no colour: give three numbers of 0 to 255.")
        if self.min_size is not None and self.min_size < 1:
            raise DataError(
                f"min_size {self.min_size} is below 1: choose the shortest side to accept, in pixels."
            )
        split_of("", self.test_fraction)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image as it is packed."""

    pixels: np.ndarray
    """uint8 (R, R, 3)."""
    png: bytes
    hash: ImageHash
    problems: tuple[Problem, ...]
    cropped: float
    """Share of the area that was cut off."""


def prepare_all(files: Sequence[ImageFile], config: PackConfig) -> Iterator[Prepared | Problem]:
    """Yields each image in order, or why it is left out. Decodes in threads, with one window in memory."""
    with (
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
        Progress(total=len(files), unit="img") as bar,
    ):
        for start in range(0, len(files), WINDOW):
            for result in pool.map(lambda file: _prepare(file, config), files[start : start + WINDOW]):
                yield result
                bar.update()


_one_large = Lock()


def _prepare(file: ImageFile, config: PackConfig) -> Prepared | Problem:
    try:
        with (
            open_image(file.path, reduce=True) as image,
            _one_large if image.width * image.height > LARGE else nullcontext(),
        ):
            return _prepared(file, decode(image, file.path, background=config.background), config)
    except UnreadableError as error:
        return Problem(kind="unreadable", source=file.source, detail=error.reason)


def _prepared(file: ImageFile, picture: Picture, config: PackConfig) -> Prepared | Problem:
    height, width = picture.pixels.shape[:2]
    least = config.min_size or config.resolution // 4
    if min(height, width) < least:
        return Problem(kind="too small", source=file.source, detail=f"{width} x {height}, minimum {least}")
    problems = []
    if picture.animated:
        problems.append(Problem(kind="animated", source=file.source, detail="its first frame"))
    if picture.profile_fault:
        problems.append(Problem(kind="bad profile", source=file.source, detail=picture.profile_fault))
    pixels = fit_image(picture.pixels, config.resolution, config.fit, config.background)
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(picture.pixels.ravel().data)
    split, sha256 = split_of(file.subject, config.test_fraction), digest.hexdigest()
    return Prepared(
        pixels=pixels,
        png=png_bytes(pixels),
        hash=hash_image(picture.pixels, source=file.source, style=file.style, split=split, sha256=sha256),
        problems=tuple(problems),
        cropped=1 - min(height, width) / max(height, width) if config.fit == "crop" else 0.0,
    )
