"""Grids hold the right images in the right order."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.eval.report import page
from brushwork.eval.report.page import nearest_grid, real_grid, samples_grid
from brushwork.eval.results import Picks
from brushwork.eval.sources import Stored

NAMES = ("flat", "round")


def coloured(count: int, size: int = 8, offset: int = 0) -> Tensor:
    """Image i has the single colour (20 i + offset, 100, 0)."""
    images = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    images[:, 0] = (20 * torch.arange(count) + offset)[:, None, None].to(torch.uint8)
    images[:, 1] = 100
    return images


def source(size: int = 8, styles: tuple[int, ...] = (0, 1, 0, 1, 0, 0)) -> Stored:
    return Stored(images=coloured(len(styles), size), styles=torch.tensor(styles))


def reds(grid: Image.Image) -> list[list[int]]:
    """Red values of the images, row by row."""
    pixels = np.asarray(grid)
    inside = (pixels[..., 1] == 100) & (pixels[..., 2] == 0)
    rows: dict[int, dict[int, int]] = {}
    for red in np.unique(pixels[inside][:, 0]).tolist():
        y, x = np.argwhere(inside & (pixels[..., 0] == red)).min(0).tolist()
        rows.setdefault(y, {})[x] = red
    return [[row[x] for x in sorted(row)] for _, row in sorted(rows.items())]


def test_samples_are_the_first_of_each_style() -> None:
    assert reds(samples_grid(source(), NAMES, per_style=3)) == [[0, 40, 80], [20, 60]]
    assert reds(samples_grid(source(styles=(0, 0, 0)), NAMES)) == [[0, 20, 40]], "a style without images"


@pytest.mark.parametrize("size", [8, 32])
def test_nearest_stand_above_their_training_images_of_any_size(size: int) -> None:
    picks = Picks(nearest=torch.tensor([3, 0]), nearest_train=torch.tensor([1, 4]))
    assert reds(nearest_grid(source(), picks, coloured(6, size, offset=5))) == [[60, 0], [25, 85]]


@pytest.mark.parametrize(("size", "shown"), [(8, 96), (32, 96), (64, 64), (128, 128), (400, page.LARGE)])
def test_small_images_are_magnified_and_large_ones_reduced(size: int, shown: int) -> None:
    grid = samples_grid(source(size=size, styles=(0,)), ("flat",))
    assert len(np.flatnonzero((np.asarray(grid)[..., 1] == 100).any(1))) == shown


def test_a_wide_image_is_reduced_in_its_aspect() -> None:
    images = coloured(1, 400).repeat(1, 1, 1, 2)
    grid = np.asarray(samples_grid(Stored(images=images, styles=torch.tensor([0])), ("flat",)))
    assert (grid == (0, 100, 0)).all(axis=2).sum() == 160 * 80
    assert len(grid) < 100, "no bars above and below"


def test_real_images_are_evenly_spaced_in_the_rows_of_the_samples() -> None:
    """Styles in the order of the report; images without a label are left out."""
    styles = torch.tensor([0, 1, 0, 1, -1, 0, 0])
    pictures = ImageDataset(
        images=coloured(7),
        styles=styles,
        subjects=tuple("abcdefg"),
        style_names=("flat", "round"),
        fingerprint="",
    )
    assert reds(real_grid(pictures, ("round", "flat"), per_style=2)) == [[20, 60], [0, 100]]
    assert reds(real_grid(pictures, ("flat",), per_style=9)) == [[0, 40, 100, 120]]
    assert reds(real_grid(pictures, (), per_style=3)) == [[0, 40, 80]]
