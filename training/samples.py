"""Sample grids during training: the same codes every time, so that the pictures can be compared."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from brushwork.data.images import image_grid
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample_matrix
from brushwork.models.synthesis import Stage

COLUMNS = 12
SHOWN = 64
"""Pictures below this size are enlarged to it."""


def sample_grid(generator: Generator, stage: Stage) -> np.ndarray:
    """Rows of styles, columns of seeds 0 to 11, drawn at `stage`: uint8 (H, W, 3)."""
    names = generator.style_names or ("unlabelled",)
    styles = torch.eye(len(generator.style_names)) if generator.style_names else torch.zeros(1, 0)
    images = sample_matrix(generator, styles, torch.arange(COLUMNS), stage=stage)
    cells = images.permute(0, 1, 3, 4, 2).numpy()  # (rows, columns, h, w, 3)
    seeds = [str(seed) for seed in range(COLUMNS)]
    scale = max(1, SHOWN // stage.resolution)
    return np.asarray(image_grid(cells, row_labels=names, column_labels=seeds, scale=scale))


def save_sample_grid(folder: Path, generator: Generator, nimg: int, stage: Stage) -> np.ndarray:
    """Writes folder/000012345-32px.png, named by time and resolution, and returns the picture."""
    grid = sample_grid(generator, stage)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid).save(folder / f"{nimg:09d}-{stage.resolution}px.png")
    return grid
