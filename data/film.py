"""Films: MP4 of any length in bounded memory, and short GIF and WebP."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .errors import DataError
from .files import staged_file

SUFFIXES = (".mp4", ".gif", ".webp")
MOST = 1000
"""Frames of a GIF or WebP, which Pillow keeps in memory."""
QUALITY = "18"
"""H.264's constant rate factor: hardly to be told from the frames."""


def require_film(path: Path, count: int) -> None:
    """Raises DataError for a suffix that is no film's, and for more frames than a GIF or WebP may have."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"'{path.name}' is no name of a film: end it with {', '.join(SUFFIXES)}.")
    if path.suffix != ".mp4" and count > MOST:
        raise DataError(
            f"'{path.name}' would have {count} frames, and {path.suffix} has at most {MOST}: write .mp4, "
            "which may have any length."
        )


def write_film(path: Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """Writes frames, uint8 (H, W, 3) of one size, by the suffix of `path`; a GIF or WebP repeats for ever.

    The file appears whole or not at all. Raises DataError as `require_film` does.
    """
    with staged_file(path) as file:
        if path.suffix == ".mp4":
            _write_mp4(file, frames, fps)
            return
        require_film(path, 0)
        images = [Image.fromarray(frame) for frame in islice(frames, MOST + 1)]
        require_film(path, len(images))
        images[0].save(
            file, path.suffix[1:].upper(), save_all=True, append_images=images[1:],
            duration=round(1000 / fps), loop=0,
        )  # fmt: skip


def _write_mp4(file: BinaryIO, frames: Iterable[np.ndarray], fps: int) -> None:
    import av  # of the extra `film`

    with av.open(file, "w", format="mp4") as container:
        stream: Any = None
        for frame in even(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": QUALITY})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def even(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Repeats the last row and column of frames with an odd number of them, which H.264 does not take."""
    for frame in frames:
        height, width = frame.shape[:2]
        yield np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
