"""The work of `brushwork restyle`: contents times styles to files, a grid, and a manifest to measure by."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange, repeat
from PIL import Image
from torch import Tensor

from brushwork.data.contents import Cutout, Original
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv
from brushwork.data.images import fit_image, image_grid, read_image
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_picture
from brushwork.models.generator import Generator
from brushwork.models.restyling import (
    Mode,
    content_style_codes,
    own_style_codes,
    reference_style_code,
    restyle_matrix,
)
from brushwork.models.sampling import style_codes
from brushwork.models.styles import split_styles, style_weights
from brushwork.scripts.inputs import LeftOut, readable

AT_ONCE = 2**22
"""Pixels redrawn at once, in all pictures and styles together, which bounds the memory."""
MOST = 64
"""Pictures at once, however small."""
GRID_ROWS, GRID_SIDE = 12, 256
"""Contents in the grid, and the most pixels that a cell measures."""
SHOWN = 64
"""Cells smaller than this are enlarged to it."""
CONTENTS, FITTED = "contents", "fitted"
"""Folders beside those of the styles: what the manifest lists at the network's resolution."""
GRID, MANIFEST = "grid.png", "pairs.csv"

Group = list[tuple[Original, Cutout]]

StyleCode = Literal["content", "latent"]


# Targets
@dataclass(frozen=True, kw_only=True)
class Target:
    """A style to redraw in."""

    name: str
    """As the manifest gives it."""
    codes: Tensor | None = None
    """w for each layer, float (L, D), the same for all pictures; None where they are read off each."""
    weights: Tensor | None = None
    """(S,): each picture's own style is encoded under these."""
    psi: float = 1.0
    """Truncation of what is read off."""
    label: str | None = None
    """The one style that it is: pictures that are in it already are passed over."""
    picture: np.ndarray | None = None
    """The single picture that it was read off, uint8 (R, R, 3)."""

    def suits(self, original: Original) -> bool:
        return self.label is None or self.label != original.style

    def codes_for(self, generator: Generator, images: Tensor) -> Tensor:
        """Of uint8 (N, 3, H, W): float (N, L, D)."""
        if self.codes is not None:
            return repeat(self.codes, "l d -> n l d", n=len(images))
        assert self.weights is not None
        styles = self.weights.expand(len(images), -1)
        return content_style_codes(generator, images, styles, psi=self.psi)


def style_texts(text: str, names: Sequence[str]) -> list[str]:
    """What a list of styles names, each once; all styles for "all"."""
    if text == "all":
        return list(names) or ["none"]
    return list(dict.fromkeys(split_styles(text, names)))


def targets_of_labels(
    generator: Generator, texts: Sequence[str], *, style_code: StyleCode, seed: int, psi: float
) -> list[Target]:
    """Styles and blends by name, with each picture's own style code or that of one seed for all.

    Raises ModelError for unknown ones.
    """
    names = generator.style_names
    styles = torch.stack([style_weights(text, names) for text in texts])
    labels = [text if text in names else None for text in texts]
    if style_code == "content":
        return [
            Target(name=text, weights=weights, psi=psi, label=label)
            for text, weights, label in zip(texts, styles, labels, strict=True)
        ]
    codes = style_codes(generator, styles, torch.full((len(texts),), seed), psi=psi)
    return [
        Target(name=text, codes=code, label=label)
        for text, code, label in zip(texts, codes, labels, strict=True)
    ]


def target_of_images(generator: Generator, paths: Sequence[Path], known: str) -> Target:
    """The style of one or several pictures; `known` is its name, or "none"."""
    pictures = [fitted_picture(path, generator) for path in paths]
    style_features = style_code_of(generator, pictures, known)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Target(
        name=f"like {paths[0].stem}{more}" if known == "none" else known,
        codes=repeat(style_features, "1 d -> l d", l=generator.layers),
        picture=pictures[0] if len(pictures) == 1 else None,
    )


def fitted_picture(path: Path, generator: Generator) -> np.ndarray:
    """The middle of a picture at the network's resolution, uint8 (R, R, 3). Raises DataError for no
    picture."""
    return fit_image(read_image(path), generator.trained_stage.resolution)


def style_code_of(generator: Generator, pictures: Sequence[np.ndarray], known: str) -> Tensor:
    """The style code (1, D) of pictures of one style. Raises ModelError where `known` is no style."""
    images = torch.stack([as_tensor(pixels) for pixels in pictures])
    return reference_style_code(generator, images, style_weights(known, generator.style_names))


# Redrawing
@dataclass(frozen=True, kw_only=True)
class Restyling:
    """How contents are redrawn."""

    generator: Generator
    targets: Sequence[Target]
    strength: float = 1.0
    mode: Mode = "tiled"
    seed: int = 0

    def run(self, originals: Sequence[Original], out: Path) -> "Restyled":
        """Redraws every content that can be read in every target that suits it.

        Raises DataError where none suits any.
        """
        left_out = LeftOut()
        album = Album(out, self.targets, self.generator.trained_stage.resolution, originals)
        total = sum(target.suits(original) for original in originals for target in self.targets)
        if total == 0:
            raise DataError(
                f"All {len(originals)} contents are in style '{self.targets[0].name}' already: name another."
            )
        with Progress(total=total, desc="restyle", unit="img", leave=False) as bar:
            for group in groups(readable(originals, left_out)):
                for original, cutout in group:
                    album.add_content(original, cutout)
                for target, drawn in self.redrawn(group):
                    for (original, cutout), pixels in zip(group, drawn, strict=True):
                        if self.targets[target].suits(original):
                            album.add_result(original, cutout, target, pixels)
                            bar.update()
        album.finish()
        return Restyled(
            results=len(album.rows), contents=album.contents, larger=album.larger, left_out=left_out
        )

    def redrawn(self, group: Group) -> Iterator[tuple[int, np.ndarray]]:
        """Each target that suits any of the group, and the whole group in it, uint8 (N, H, W, 3)."""
        images = torch.stack([as_tensor(cutout.pixels) for _, cutout in group])
        own = own_style_codes(self.generator, images, self.labels(group)) if self.strength < 1 else None
        wanted = [i for i, target in enumerate(self.targets) if any(target.suits(one) for one, _ in group)]
        step = max(1, AT_ONCE // (len(group) * images.shape[2] * images.shape[3]))
        for start in range(0, len(wanted), step):
            some = wanted[start : start + step]
            codes = torch.stack([self.targets[target].codes_for(self.generator, images) for target in some])
            drawn = restyle_matrix(
                self.generator, images, codes, torch.full((len(group),), self.seed), strength=self.strength,
                own=own, mode=self.mode,
            )  # fmt: skip
            yield from zip(some, rearrange(drawn, "k n c h w -> k n h w c").numpy(), strict=True)

    def labels(self, group: Group) -> Tensor:
        """(N, S): the style that each is in, where it is known and the network's."""
        names = self.generator.style_names
        known = [one.style if one.style in names else "none" for one, _ in group]
        return torch.stack([style_weights(style or "none", names) for style in known])


@dataclass(frozen=True, kw_only=True)
class Restyled:
    """How many results there are, of how many contents, how many of these were larger than the network's
    pictures, and what could not be read."""

    results: int
    contents: int
    larger: int
    left_out: LeftOut


def groups(pictures: Iterable[tuple[Original, Cutout]]) -> Iterator[Group]:
    """The pictures in their order, those of one size together as far as memory is to bear."""
    group: Group = []
    for original, cutout in pictures:
        height, width = cutout.pixels.shape[:2]
        most = min(MOST, max(1, AT_ONCE // (height * width)))
        if group and (group[0][1].pixels.shape != cutout.pixels.shape or len(group) == most):
            yield group
            group = []
        group.append((original, cutout))
    if group:
        yield group


# Files
class Album:
    """Results as out/<style>/<name>.png, with grid.png and with pairs.csv for `brushwork measure`.

    The manifest lists pictures at the network's resolution, the reference data set's: where results or
    contents have another size, copies that are cut to the middle square and resized, as `brushwork pack`
    does it.
    """

    def __init__(
        self, out: Path, targets: Sequence[Target], side: int, originals: Sequence[Original]
    ) -> None:
        self.out, self.targets, self.side = out, targets, side
        names = (file_name(target.name) for target in targets)
        self.folders = unique_names(names, taken=(CONTENTS, FITTED, GRID, MANIFEST))
        count = min(GRID_ROWS, len(originals))
        self.picks = {originals[(2 * i + 1) * len(originals) // (2 * count)].name for i in range(count)}
        self.cells: dict[str, list[np.ndarray | None]] = {}
        self.rows: list[dict[str, str]] = []
        self.contents = self.larger = 0

    def add_content(self, original: Original, cutout: Cutout) -> None:
        save_picture(self.out / CONTENTS / f"{original.name}.png", self.fitted(cutout.pixels))
        self.contents += 1
        self.larger += max(cutout.pixels.shape) > self.side
        if original.name in self.picks:
            self.cells[original.name] = [thumbnail(cutout.pixels), *[None] * len(self.targets)]

    def add_result(self, original: Original, cutout: Cutout, target: int, pixels: np.ndarray) -> None:
        output = f"{self.folders[target]}/{original.name}.png"
        save_picture(self.out / output, cutout.recoloured(pixels))
        if pixels.shape[:2] != (self.side, self.side):
            output = f"{FITTED}/{output}"
            save_picture(self.out / output, self.fitted(pixels))
        if original.name in self.picks:
            self.cells[original.name][target + 1] = thumbnail(pixels)
        row = {
            "output": output, "content": f"{CONTENTS}/{original.name}.png",
            "style": self.targets[target].name, "subject": original.subject,
        }  # fmt: skip
        if self.targets[target].picture is not None:
            row["reference"] = self.reference(target)
        self.rows.append(row)

    def finish(self) -> None:
        """Writes the style pictures, the manifest and the grid; nothing without a result."""
        if not self.rows:
            return
        for i, target in enumerate(self.targets):
            if target.picture is not None:
                save_picture(self.out / self.reference(i), target.picture)
        write_csv(self.out / MANIFEST, self.rows)
        if self.cells:
            save_picture(self.out / GRID, self.grid())

    def grid(self) -> Image.Image:
        """Contents by styles, above them the pictures that the styles were read off."""
        labels, rows = list(self.cells), list(self.cells.values())
        if any(target.picture is not None for target in self.targets):
            labels, rows = ["style", *labels], [[None, *[target.picture for target in self.targets]], *rows]
        side = max(max(cell.shape[:2]) for cells in rows for cell in cells if cell is not None)
        cells = [[None if cell is None else fit_image(cell, side, "pad") for cell in row] for row in rows]
        headings = ["content", *[target.name for target in self.targets]]
        scale = max(1, SHOWN // side)
        return image_grid(cells, row_labels=labels, column_labels=headings, scale=scale)

    def fitted(self, pixels: np.ndarray) -> Image.Image:
        return Image.fromarray(fit_image(pixels, self.side))

    def reference(self, target: int) -> str:
        return f"{FITTED}/{self.folders[target]}.png"


def as_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to (3, H, W)"""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """The picture in its shape, no larger than a cell of the grid."""
    image = Image.fromarray(pixels)
    image.thumbnail((GRID_SIDE, GRID_SIDE), Image.Resampling.LANCZOS)
    return np.array(image)
