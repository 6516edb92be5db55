"""Writes images as PNG, many at a time in threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from .files import write_file
from .images import png_bytes


def free_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def save_image(path: Path, picture: np.ndarray | Image.Image, note: str = "") -> None:
    """Writes uint8 (H, W, 3) or a Pillow image as PNG, whole or not at all; see `png_note`."""
    write_file(path, png_bytes(picture, note))


def write_images(
    batches: Iterable[tuple[Sequence[Path], np.ndarray]],
    *,
    threads: int,
    note: str = "",
    written: Callable[[], object] = lambda: None,
) -> None:
    """Writes every image of every batch to its path, each whole or not at all.

    At most two batches wait while the iterator makes the next one. After an error of the iterator, or OSError
    of a thread, files that are being encoded are finished, and waiting ones are dropped.

    `batches` are paths and as many images, uint8 (n, H, W, 3); `written` is called after each image.
    """
    waiting: deque[Future[None]] = deque()
    pool = ThreadPoolExecutor(threads)

    def finish_all_but(count: int) -> None:
        while len(waiting) > count:
            waiting.popleft().result()
            written()

    try:
        for paths, pictures in batches:
            finish_all_but(len(paths))
            for path, pixels in zip(paths, pictures, strict=True):
                waiting.append(pool.submit(save_image, path, pixels, note))
        finish_all_but(0)
    finally:
        pool.shutdown(cancel_futures=True)
