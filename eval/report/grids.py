"""Labelled grids of images: samples, and nearest training images."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from brushwork.data.images import Cell, fit_image, image_grid

from ..features.extract import Source
from ..results import Picks
from .tables import shortened

SAMPLES = "The first pictures of each style"
NEAREST = "Nearest to a training picture"
"""Titles of the grids in the report."""

SMALL, LARGE = 96, 160
"""Pixels. Smaller images are magnified by a whole factor to nearly SMALL, larger ones reduced to LARGE."""


def samples_grid(source: Source, style_names: Sequence[str], per_style: int = 8) -> Image.Image:
    """Returns the first `per_style` images of each style, one row a style, or of all without styles."""
    rows = [(source.styles == s).nonzero().squeeze(1)[:per_style] for s in range(len(style_names))]
    if not style_names:
        rows = [torch.arange(min(per_style, len(source.styles)))]
    return _grid([_cells(source, row) for row in rows], style_names)


def nearest_grid(source: Source, picks: Picks, train_images: UInt8[Tensor, "n 3 h w"]) -> Image.Image:
    """Returns the measured images nearest to a training image, each above that training image.

    A sample that repeats the image below it was memorised. Nearness alone, as of two round yellow faces, is
    no copy.
    """
    near: list[Cell] = [_cell(image) for image in train_images[picks.nearest_train]]
    return _grid([_cells(source, picks.nearest), near], ("measured", "nearest in training"))


# Cells
def _cells(source: Source, indices: Tensor) -> list[Cell]:
    return [_cell(image) for image in source.take(indices)] if len(indices) else []


def _cell(image: UInt8[Tensor, "3 h w"]) -> np.ndarray:
    array = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    return array if max(array.shape) <= LARGE else fit_image(array, LARGE, "pad")


def _grid(rows: list[list[Cell]], row_labels: Sequence[str]) -> Image.Image:
    heights = [cell.shape[0] for row in rows for cell in row if cell is not None]
    scale = max(1, SMALL // heights[0]) if heights else 1
    labels = [shortened(label, 28) for label in row_labels]
    return image_grid(rows, row_labels=labels, scale=scale)
