"""What `brushwork stylize` leaves: pictures, a grid of them, and a manifest to measure by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.contents import Cutout, Original, list_originals
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv
from brushwork.data.images import fit_image, image_grid, read_image
from brushwork.data.names import file_name, unique_names
from brushwork.data.writing import save_picture
from brushwork.training.style_transfer.files import JOB

FITTED, FITTED_SIDE = "fitted", 256
"""Folder, and side in pixels, of the square copies that the manifest lists."""
GRID, MANIFEST = "grid.png", "pairs.csv"
TAKEN = (FITTED, "contents", "styles", GRID, MANIFEST, JOB)
"""What else lies beside the folders of the styles, and of their square copies."""
CELL, GRID_ROWS = 256, 12


# Styles
@dataclass(frozen=True, kw_only=True)
class Target:
    """One or several pictures whose style is followed together."""

    name: str
    pictures: tuple[Original, ...]

    def shown(self, weights: Sequence[float] = ()) -> np.ndarray:
        """The picture; of several a square of strips, each as wide as its weight, in which statistics are
        blended like the drawing's."""
        if len(self.pictures) == 1:
            return self.pictures[0].read().pixels
        squares = [fit_image(picture.read().pixels, FITTED_SIDE) for picture in self.pictures]
        ends = np.cumsum([0, *(weights or [1] * len(squares))])
        edges = (ends / ends[-1] * FITTED_SIDE).round().astype(int).tolist()
        strips = [square[:, a:b] for square, a, b in zip(squares, edges, edges[1:], strict=False)]
        return np.concatenate(strips, axis=1)


def targets_of(styles: Sequence[Path]) -> list[Target]:
    """A folder alone: each of its pictures by itself. Several pictures: their blend.

    Raises DataError for a folder among several, and where there is no picture."""
    if len(styles) == 1:
        return [Target(name=one.name, pictures=(one,)) for one in list_originals(styles)]
    folders = [path for path in styles if path.is_dir()]
    if folders:
        raise DataError(
            f"'{folders[0]}' is a folder among {len(styles)} styles: give one folder, whose pictures are "
            "followed one by one, or pictures, which are blended."
        )
    found = list_originals(styles)
    return [Target(name="+".join(one.name for one in found), pictures=tuple(found))]


# Results
class Album:
    """Results as out/<style>/<content>.png, grid.png, and pairs.csv for `brushwork measure`."""

    def __init__(
        self, *, out: Path, targets: Sequence[Target], originals: Sequence[Original],
        weights: Sequence[float] = (),
    ) -> None:  # fmt: skip
        self.out, self.targets, self.weights = out, targets, weights
        self.shown = [original.name for original in originals[:GRID_ROWS]]
        self.cells: dict[str, dict[str, np.ndarray]] = {}
        """By content and style; under no style the content itself."""
        self.rows: list[dict[str, str]] = []
        names = [target.name for target in targets]
        folders = unique_names((file_name(name.replace("/", "_")) for name in names), taken=TAKEN)
        self.folders = dict(zip(names, folders, strict=True))
        contents = [original.name for original in originals]
        # The plot of `cat` is `cat-losses`, which a content may be called, too.
        files = unique_names(contents, taken=[f"{name}-losses" for name in contents])
        self.files = dict(zip(contents, files, strict=True))

    def path(self, original: Original, target: Target) -> Path:
        return self.out / self.folders[target.name] / f"{self.files[original.name]}.png"

    def add(self, original: Original, target: Target, cutout: Cutout) -> None:
        """Takes in a result that is there. Raises DataError where it cannot be read."""
        pixels = read_image(self.path(original, target))
        if original.name in self.shown:
            row = self.cells.setdefault(original.name, {"": cell(cutout.pixels)})
            row[target.name] = cell(pixels)
        names = {
            "output": f"{FITTED}/{self.folders[target.name]}/{original.name}.png",
            "content": f"{FITTED}/contents/{original.name}.png",
            "reference": f"{FITTED}/styles/{self.folders[target.name]}.png",
        }
        reference = target.shown(self.weights)
        for name, picture in zip(names.values(), (pixels, cutout.pixels, reference), strict=True):
            save_picture(self.out / name, fit_image(picture, FITTED_SIDE))
        self.rows.append({**names, "style": target.name, "subject": original.subject})

    def finish(self) -> None:
        """Writes the manifest and the grid, of all styles in which there is a result."""
        if not self.rows:
            return
        write_csv(self.out / MANIFEST, self.rows)
        drawn = {row["style"] for row in self.rows}
        targets = [target for target in self.targets if target.name in drawn]
        names = ["", *(target.name for target in targets)]
        styles = [None, *(cell(target.shown(self.weights)) for target in targets)]
        rows = [styles, *([row.get(name) for name in names] for row in self.cells.values())]
        cells = [[None if one is None else fit_image(one, CELL, "pad") for one in row] for row in rows]
        grid = image_grid(cells, row_labels=["style", *self.cells], column_labels=["content", *names[1:]])
        save_picture(self.out / GRID, grid)


def save_stylized(path: Path, cutout: Cutout, drawn: Tensor) -> None:
    """With the content's opacity, resized where the size was changed."""
    pixels = as_array(drawn)
    alpha = cutout.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        alpha = np.array(Image.fromarray(alpha).resize(size, Image.Resampling.LANCZOS))
    save_picture(path, Cutout(pixels=pixels, alpha=alpha).recoloured(pixels))


# Pixels
def as_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to (3, H, W)"""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def as_array(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).contiguous().numpy()


def read_mask(path: Path) -> Tensor:
    """Light is in, dark is out: uint8 (H, W)."""
    return torch.from_numpy(np.array(Image.fromarray(read_image(path)).convert("L")))


def cell(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return np.array(image)
