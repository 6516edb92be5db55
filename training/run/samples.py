"""Sample grids during training, always of the same latent codes and contents."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.images import image_grid
from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.data.writing import save_image
from brushwork.models.generator import Generator
from brushwork.models.restyling import own_style_codes, restyle, to_float
from brushwork.models.sampling import sample_matrix, to_uint8
from brushwork.models.stage import Stage

from ..augment import AugmentConfig, augment
from ..rng import BatchRNG

COLUMNS = 12
SHOWN = 64
"""Images below this size are enlarged to it."""
ADA_SHOWN = (0.2, 0.5, 0.8)
"""Probabilities of adaptive augmentation in its grid."""


def sample_grid(generator: Generator, *, title: str = "") -> np.ndarray:
    """A grid of styles (rows) and seeds 0 to 11 (columns) below a title, uint8 (H, W, 3)."""
    names = generator.style_names or ("unlabelled",)
    styles = torch.eye(len(generator.style_names)) if generator.style_names else torch.zeros(1, 0)
    images = sample_matrix(generator, styles, torch.arange(COLUMNS))
    return _grid(images, names, [str(seed) for seed in range(COLUMNS)], title)


def shown_contents(dataset: ImageDataset | StoredDataset) -> UInt8[Tensor, "n c h w"]:
    """Up to twelve images, evenly spaced."""
    count = min(COLUMNS, len(dataset))
    return dataset.take((2 * torch.arange(count) + 1) * len(dataset) // (2 * count)).cpu()


def restyled_grid(generator: Generator, contents: UInt8[Tensor, "n c h w"], *, styles: bool) -> np.ndarray:
    """A grid of the contents, their reconstructions and, with `styles`, each content in every style."""
    size, count, known = generator.trained_stage.resolution, len(contents), generator.style_names
    small = F.avg_pool2d(contents.float(), min(contents.shape[2:]) // size).round().to(torch.uint8)
    labels = [torch.zeros(count, len(known))]
    labels += [row.expand(count, -1) for row in torch.eye(len(known))] if styles else []
    rows = [small]
    for label in labels:
        codes = repeat(own_style_codes(generator, small, label), "n d -> n l d", l=generator.layers)
        rows.append(restyle(generator, small, codes, torch.arange(count)))
    return _grid(torch.stack(rows), ("content", "reconstructed", *(known if styles else ())), [""] * count)


def augmented_grid(images: UInt8[Tensor, "n c h w"], config: AugmentConfig, seed: int) -> np.ndarray | None:
    """A grid of real images and what the discriminator sees of them, with adaptive augmentation at three
    probabilities; None if it sees images unchanged."""
    if config == AugmentConfig():
        return None
    rows, names = [images], ["real"]
    for p in ADA_SHOWN if config.ada else (0.0,):
        rng = BatchRNG(seed, 0, "augmented", rows=range(len(images)))
        rows.append(to_uint8(augment(to_float(images), config, rng, p)))
        names.append(f"p = {p}" if config.ada else "augmented")
    return _grid(torch.stack(rows), names, [""] * len(images))


def save_grid(folder: Path, grid: np.ndarray, nimg: int, stage: Stage, kind: str) -> None:
    """Writes folder/000012345-32px.png; grids of other kinds than samples have the kind in their name."""
    suffix = "" if kind == "samples" else f"-{kind}"
    save_image(folder / f"{nimg:09d}-{stage.resolution}px{suffix}.png", grid)


def _grid(
    images: UInt8[Tensor, "k n c h w"], rows: Sequence[str], columns: Sequence[str], title: str = ""
) -> np.ndarray:
    cells = rearrange(images, "k n c h w -> k n h w c").numpy()
    scale = max(1, SHOWN // min(images.shape[-2:]))
    return np.asarray(image_grid(cells, row_labels=rows, column_labels=columns, title=title, scale=scale))
