"""Pictures during training: the same codes and contents every time, so that grids can be compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.images import image_grid
from brushwork.data.loader import Pictures, StoredPictures
from brushwork.data.writing import save_picture
from brushwork.models.generator import Generator
from brushwork.models.restyling import own_style_codes, restyle
from brushwork.models.sampling import sample_matrix
from brushwork.models.stage import Stage

COLUMNS = 12
SHOWN = 64
"""Pictures below this size are enlarged to it."""


def sample_grid(generator: Generator, *, title: str = "") -> np.ndarray:
    """Rows of styles, columns of seeds 0 to 11, below a title: uint8 (H, W, 3)."""
    names = generator.style_names or ("unlabelled",)
    styles = torch.eye(len(generator.style_names)) if generator.style_names else torch.zeros(1, 0)
    images = sample_matrix(generator, styles, torch.arange(COLUMNS))
    return _grid(images, names, [str(seed) for seed in range(COLUMNS)], title)


def shown_contents(pictures: Pictures | StoredPictures) -> UInt8[Tensor, "n 3 r r"]:
    """Twelve pictures (or as many as there are), spread evenly over all."""
    count = min(COLUMNS, len(pictures))
    return pictures.take((2 * torch.arange(count) + 1) * len(pictures) // (2 * count)).cpu()


def restyled_grid(generator: Generator, contents: UInt8[Tensor, "n 3 r r"], *, styles: bool) -> np.ndarray:
    """Below the contents: each rebuilt from its own content and looks, and with `styles` redrawn in every
    style."""
    size, count, known = generator.trained_stage.resolution, len(contents), generator.style_names
    seen = F.avg_pool2d(contents.float(), contents.shape[-1] // size).round().to(torch.uint8)
    labels = [torch.zeros(count, len(known))]
    labels += [row.expand(count, -1) for row in torch.eye(len(known))] if styles else []
    rows = [seen]
    for label in labels:
        codes = repeat(own_style_codes(generator, seen, label), "n d -> n l d", l=generator.layers)
        rows.append(restyle(generator, seen, codes, torch.arange(count)))
    return _grid(torch.stack(rows), ("content", "rebuilt", *(known if styles else ())), [""] * count)


def save_grid(folder: Path, grid: np.ndarray, nimg: int, stage: Stage, kind: str) -> None:
    """Writes folder/000012345-32px.png, named by time and resolution; kinds but samples are named, too."""
    suffix = "" if kind == "samples" else f"-{kind}"
    save_picture(folder / f"{nimg:09d}-{stage.resolution}px{suffix}.png", grid)


def _grid(
    images: UInt8[Tensor, "k n 3 r r"], rows: Sequence[str], columns: Sequence[str], title: str = ""
) -> np.ndarray:
    cells = rearrange(images, "k n c h w -> k n h w c").numpy()
    scale = max(1, SHOWN // images.shape[-1])
    return np.asarray(image_grid(cells, row_labels=rows, column_labels=columns, title=title, scale=scale))
