"""The folders that `sample` and `restyle` write: images by style, labelled grids, and a manifest for
`brushwork measure`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from brushwork.data.contents import Cutout, Original
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv
from brushwork.data.images import (
    WHITE,
    Cell,
    fit_image,
    image_grid,
    png_note,
    read_image,
)
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores, save_image, write_images
from brushwork.models.generator import Generator
from brushwork.models.latent.directions import Direction, direction_matrix
from brushwork.models.restyling import (
    Mode,
    codes_of_style_features,
    content_style_codes,
    own_style_codes,
    reference_style_code,
    restyle_matrix,
)
from brushwork.models.sampling import (
    CodeSource,
    Precision,
    mixing_matrix,
    render,
    sample_batches,
    sample_matrix,
    style_codes,
    truncation_matrix,
)
from brushwork.models.styles import split_styles, style_weights

from .film import FilmConfig, seeds_walk, write_walk

BATCH_PIXELS = 2**22
"""Pixels restyled at once, over all images and styles: a bound for the memory."""
BATCH = 64
"""Images restyled at once, however small."""
CONTENTS, FITTED = "contents", "fitted"
"""Folders beside those of the styles, for what the manifest lists at the network's resolution."""
GRID, MANIFEST = "grid.png", "pairs.csv"
GRID_ROWS, GRID_SIDE = 12, 256
"""Contents in the grid of `restyle`, and the longest side of one of its cells in pixels."""
COLUMNS = 24
"""Seeds in the grid of `sample`, at most."""
MIN_CELL = 64
"""Images with fewer pixels a side are enlarged to this in figures."""
FIGURES = ("grid.png", "like.png", "mixing.png", "truncation.png", "interpolation.gif")
"""Files beside the folders of the styles."""
SHORT = FilmConfig(frames=12, fps=16, easing="linear")
"""The film among the figures."""
TRUNCATIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)

Group = list[tuple[Original, Cutout]]
StyleCode = Literal["content", "latent"]


# Styles
@dataclass(frozen=True, kw_only=True)
class Target:
    """A style to restyle images to."""

    name: str
    """As the manifest gives it."""
    codes: Callable[[Tensor], Tensor]
    """Images uint8 (n, 3, h, w) -> the style codes of each, float (n, l, d)."""
    label: str | None = None
    """The label, if it is one: images with this label are skipped."""
    image: np.ndarray | None = None
    """The style image, if it is a single one, uint8 (R, R, 3)."""

    def suits(self, original: Original) -> bool:
        return self.label is None or self.label != original.style


def style_texts(text: str, names: Sequence[str]) -> list[str]:
    """Return the styles of a comma-separated list, each once; every style for "all"."""
    if text == "all":
        return list(names) or ["none"]
    return list(dict.fromkeys(split_styles(text, names)))


def targets_of_styles(
    generator: Generator, texts: Sequence[str], *, style_code: StyleCode, seed: int, psi: float
) -> list[Target]:
    """Return the targets of names and blends. Their codes are those of each image itself ("content"), or of
    the latent code of `seed` ("latent"), truncated by `psi`.

    Raises:
        ModelError: an unknown style, or a blend with invalid weights.
    """
    names = generator.style_names
    styles = torch.stack([style_weights(text, names) for text in texts])
    if style_code == "content":

        def own(weights: Tensor, images: Tensor) -> Tensor:
            return content_style_codes(generator, images, weights.expand(len(images), -1), psi=psi)

        codes = [partial(own, weights) for weights in styles]
    else:
        latent = style_codes(generator, styles, torch.full((len(texts),), seed), psi=psi)
        codes = [partial(_same_codes, code) for code in latent]
    labels = [text if text in names else None for text in texts]
    each = zip(texts, codes, labels, strict=True)
    return [Target(name=text, codes=some, label=label) for text, some, label in each]


def _same_codes(code: Float[Tensor, "l d"], images: Tensor) -> Tensor:
    return repeat(code, "l d -> n l d", n=len(images))


def target_of_images(generator: Generator, paths: Sequence[Path], label: str) -> Target:
    """Return the style of images, called `label` unless that is "none". Raises as `read_style_images`."""
    images, code = read_style_images(generator, paths, label)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Target(
        name=f"like {paths[0].stem}{more}" if label == "none" else label,
        codes=partial(_same_codes, repeat(code, "1 d -> l d", l=generator.layers)),
        image=images[0] if len(images) == 1 else None,
    )


def read_style_images(
    generator: Generator, paths: Sequence[Path], label: str
) -> tuple[list[np.ndarray], Float[Tensor, "1 d"]]:
    """Return image files, cropped to the size of the network as uint8 (H, W, C), and their style code.

    Raises:
        DataError: a file is not an image.
        ModelError: the generator has no encoders, or `label` is neither a style nor "none".
    """
    _ = generator.encoders  # raises before any file is read
    ground = WHITE if generator.config.channels == 3 else None
    images = [fit_image(read_image(path, background=ground), generator.trained_size) for path in paths]
    weights = style_weights(label, generator.style_names)
    return images, reference_style_code(generator, as_tensors(images), weights)


# Restyling
@dataclass(kw_only=True)
class RestyledFolder:
    """Restyles contents to out/<style>/<name>.png, with grid.png and pairs.csv.

    The manifest lists images at the network's resolution, as the reference data set has them. Where contents
    or results have another size, it lists copies that are cropped and resized as by `brushwork pack`.
    """

    generator: Generator
    targets: Sequence[Target]
    out: Path
    strength: float
    mode: Mode
    seed: int
    contents: int = 0
    """How many contents have been read."""
    larger: int = 0
    """How many of them are larger than the network's images."""
    rows: list[dict[str, str]] = field(default_factory=list)
    """The manifest's rows, one for each result."""
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    """The grid's rows: a content and its results, by the content's name."""

    @cached_property
    def folders(self) -> list[str]:
        names = (file_name(target.name) for target in self.targets)
        return unique_names(names, taken=(CONTENTS, FITTED, GRID, MANIFEST))

    @property
    def size(self) -> tuple[int, int]:
        return self.generator.trained_size

    def pixels(self, cutout: Cutout) -> np.ndarray:
        """Return uint8 (H, W, C) as the generator takes it."""
        return cutout.pixels if self.generator.config.channels == 3 else cutout.with_alpha()

    def write(self, originals: Sequence[Original], readable: Iterable[tuple[Original, Cutout]]) -> None:
        """Restyle the `readable` ones of the contents `originals` to every target that suits them.

        Raises:
            DataError: every content is in every target style already.
        """
        total = sum(target.suits(original) for original in originals for target in self.targets)
        if total == 0:
            raise DataError(
                f"All {len(originals)} contents are in style '{self.targets[0].name}' already: name another."
            )
        count = min(GRID_ROWS, len(originals))
        in_grid = {originals[(2 * i + 1) * len(originals) // (2 * count)].name for i in range(count)}
        with Progress(total=total, desc="restyle", unit="img", leave=False) as bar:
            for group in groups(readable):
                for original, cutout in group:
                    self._add_content(original, cutout, original.name in in_grid)
                for target, images in self._restyled(group):
                    for (original, cutout), pixels in zip(group, images, strict=True):
                        if self.targets[target].suits(original):
                            self._add_result(original, cutout, target, pixels)
                            bar.update()
        if self.rows:
            self._finish()

    def _restyled(self, group: Group) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each target that suits any of the group, and the whole group in it, uint8 (N, H, W, 3)."""
        images, names = as_tensors([self.pixels(cutout) for _, cutout in group]), self.generator.style_names
        known = [one.style if one.style in names else "none" for one, _ in group]
        labels = torch.stack([style_weights(style or "none", names) for style in known])
        own = own_style_codes(self.generator, images, labels) if self.strength < 1 else None
        suited = [i for i, target in enumerate(self.targets) if any(target.suits(one) for one, _ in group)]
        step = max(1, BATCH_PIXELS // (len(group) * images.shape[2] * images.shape[3]))
        for start in range(0, len(suited), step):
            some = suited[start : start + step]
            restyled = restyle_matrix(
                self.generator, images, torch.stack([self.targets[target].codes(images) for target in some]),
                torch.full((len(group),), self.seed), strength=self.strength, own=own, mode=self.mode,
            )  # fmt: skip
            yield from zip(some, rearrange(restyled, "k n c h w -> k n h w c").numpy(), strict=True)

    # Files
    def _add_content(self, original: Original, cutout: Cutout, in_grid: bool) -> None:
        save_image(self.out / CONTENTS / f"{original.name}.png", fit_image(self.pixels(cutout), self.size))
        self.contents += 1
        self.larger += any(side > most for side, most in zip(cutout.pixels.shape[:2], self.size, strict=True))
        if in_grid:
            self.cells[original.name] = [thumbnail(self.pixels(cutout)), *[None] * len(self.targets)]

    def _add_result(self, original: Original, cutout: Cutout, target: int, pixels: np.ndarray) -> None:
        output = f"{self.folders[target]}/{original.name}.png"
        save_image(self.out / output, pixels if pixels.shape[2] == 4 else cutout.recoloured(pixels))
        if pixels.shape[:2] != self.size:
            output = f"{FITTED}/{output}"
            save_image(self.out / output, fit_image(pixels, self.size))
        if original.name in self.cells:
            self.cells[original.name][target + 1] = thumbnail(pixels)
        row = {
            "output": output, "content": f"{CONTENTS}/{original.name}.png",
            "style": self.targets[target].name, "subject": original.subject,
        }  # fmt: skip
        if self.targets[target].image is not None:
            row["reference"] = self._reference(target)
        self.rows.append(row)

    def _finish(self) -> None:
        """Write the style images, the manifest and the grid, contents by styles."""
        images = [target.image for target in self.targets]
        for i, image in enumerate(images):
            if image is not None:
                save_image(self.out / self._reference(i), image)
        write_csv(self.out / MANIFEST, self.rows)
        if not self.cells:
            return
        labels, rows = list(self.cells), list(self.cells.values())
        if any(image is not None for image in images):
            labels, rows = ["style", *labels], [[None, *images], *rows]
        side = max(max(cell.shape[:2]) for row in rows for cell in row if cell is not None)
        cells = [
            [None if cell is None else fit_image(cell, (side, side), "pad") for cell in row] for row in rows
        ]
        save_grid(self.out / GRID, cells, labels, ["content", *[target.name for target in self.targets]])

    def _reference(self, target: int) -> str:
        return f"{FITTED}/{self.folders[target]}.png"


def groups(images: Iterable[tuple[Original, Cutout]]) -> Iterator[Group]:
    """Yield the images in their order, successive ones of one size together, as far as memory allows."""
    for (height, width, _), alike in groupby(images, key=lambda image: image[1].pixels.shape):
        most = min(BATCH, max(1, BATCH_PIXELS // (height * width)))
        while group := list(islice(alike, most)):
            yield group


# Samples
@dataclass(frozen=True, kw_only=True)
class SampleFolder:
    """Writes samples of some seeds, and figures of them, to `out`."""

    generator: Generator
    out: Path
    seeds: Tensor
    """int64 (n,)"""
    psi: float = 1.0

    # Style codes of style weights and seeds
    def latent_codes(self) -> CodeSource:
        return partial(style_codes, self.generator, psi=self.psi)

    def codes_like(self, style_code: Float[Tensor, "1 d"]) -> CodeSource:
        """Return the codes of samples like other images."""
        latent = self.latent_codes()
        return lambda styles, seeds: codes_of_style_features(
            self.generator, style_code, latent(styles, seeds)
        )

    # Figures
    def write_figures(self, styles: Float[Tensor, "s k"], names: Sequence[str]) -> None:
        """Write mixing.png of the first style, and of every style grid.png, truncation.png (of the first
        seed) and interpolation.gif.

        Raises:
            ModelError: a style is untrained.
        """
        generator, shown, few = self.generator, self.seeds[:COLUMNS], self.seeds[:6]
        others = torch.tensor([(int(seed) + int(self.seeds.max()) + 1) % 2**63 for seed in few])
        mixed = mixing_matrix(generator, styles[0], few, others, psi=self.psi)
        self._save("mixing.png", mixed, few.tolist(), others.tolist())
        images = sample_matrix(generator, styles, shown, psi=self.psi)
        self._save("grid.png", images, names, shown.tolist())
        trained = [i for i, style in enumerate(styles) if not generator.mapping.untrained_styles(style[None])]
        if trained:  # the others have no average to truncate to
            truncated = truncation_matrix(generator, styles[trained], int(self.seeds[0]), TRUNCATIONS)
            columns = [f"psi {psi:g}" for psi in TRUNCATIONS]
            self._save("truncation.png", truncated, [names[i] for i in trained], columns)
        way = seeds_walk(generator, self.latent_codes(), styles, self.seeds[:4])
        write_walk(self.out / "interpolation.gif", way, SHORT, side=MIN_CELL)

    def write_directions(
        self, directions: Sequence[Direction], codes: CodeSource, styles: Float[Tensor, "s k"],
        names: Sequence[str], strengths: Sequence[float],
    ) -> str:  # fmt: skip
        """Write images of `codes` moved by each strength to direction-<name>.png, and return its name: of one
        direction, every style with the first three seeds; of several, one row each, of the first of both."""
        shown = self.seeds[:1] if len(directions) > 1 else self.seeds[:3]
        some = styles[:1] if len(directions) > 1 else styles
        every, seeds = repeat(some, "s k -> (s c) k", c=len(shown)), shown.repeat(len(some))
        draw = partial(render, self.generator, seeds=seeds)
        images = direction_matrix(directions, codes(every, seeds), strengths, draw)
        rows = [direction.name for direction in directions]
        if len(directions) == 1:
            rows = [f"{name}, {seed}" for name in names for seed in shown.tolist()]
        name = direction_file(directions)
        self._save(name, images, rows, [f"{strength:+g}" for strength in strengths])
        return name

    def write_likeness(
        self, codes: CodeSource, style: Float[Tensor, "k"], style_images: Sequence[np.ndarray]
    ) -> None:
        """Write like.png: the style images (h, w, 3), and below them samples of `codes`."""
        seeds = self.seeds[:COLUMNS]
        images = render(self.generator, codes(repeat(style, "k -> n k", n=len(seeds)), seeds), seeds)
        rows = [style_images[: len(seeds)], list(rearrange(images, "n c h w -> n h w c").numpy())]
        save_grid(self.out / "like.png", rows, ["style", "samples"], seeds.tolist())

    def _save(
        self, name: str, images: UInt8[Tensor, "r c d h w"], rows: Sequence[object], columns: Sequence[object]
    ) -> None:
        save_grid(self.out / name, rearrange(images, "r c d h w -> r c h w d").numpy(), rows, columns)

    # Single images
    def write_images(
        self,
        codes: CodeSource,
        styles: Float[Tensor, "s k"],
        names: Sequence[str],
        *,
        batch: int = 64,
        precision: Precision = "fp32",
        note: str = "",
        skip_existing: bool = False,
    ) -> int:
        """Write every style with every seed to out/<style>/seed<seed>.png, `batch` images at once.

        `note` says what the images depend on besides style and seed, and is written into each file. With
        `skip_existing`, whole files with the same note are left alone. Returns how many images were
        generated.
        """
        paths = [
            self.out / folder / f"seed{seed}.png"
            for folder in unique_names(map(file_name, names), taken=FIGURES)
            for seed in self.seeds.tolist()
        ]
        wanted = [i for i, path in enumerate(paths) if not (skip_existing and png_note(path) == note)]
        generated = sample_batches(
            self.generator, codes, styles, self.seeds, torch.tensor(wanted, dtype=torch.int64), batch=batch,
            precision=precision,
        )  # fmt: skip

        def batches() -> Iterator[tuple[Sequence[Path], np.ndarray]]:
            for cells, images in generated:
                pixels = rearrange(images, "n c h w -> n h w c").numpy()
                yield [paths[cell] for cell in cells.tolist()], pixels

        with Progress(total=len(wanted), desc="sample", unit="img") as bar:
            write_images(batches(), threads=free_cores(), note=note, written=bar.update)
        return len(wanted)


# Figures
def direction_file(directions: Sequence[Direction]) -> str:
    """Return the file name of a figure of directions."""
    kind = directions[0].name if len(directions) == 1 else directions[0].name.partition(":")[0]
    return f"direction-{file_name(kind.replace(':', '-'))}.png"


def as_tensors(images: Sequence[np.ndarray]) -> UInt8[Tensor, "n c h w"]:
    """uint8 (H, W, C) of one size to (n, C, H, W)."""
    return torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in images])


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return the image in its aspect, no larger than a cell of the grid."""
    image = Image.fromarray(pixels)
    image.thumbnail((GRID_SIDE, GRID_SIDE), Image.Resampling.LANCZOS)
    return np.array(image)


def save_grid(
    path: Path,
    cells: np.ndarray | Sequence[Sequence[Cell]],
    rows: Sequence[object],
    columns: Sequence[object],
) -> None:
    """Write a labelled grid of images of one size; small ones are enlarged."""
    height, width = next(cell.shape[:2] for row in cells for cell in row if cell is not None)
    grid = image_grid(
        cells,
        row_labels=[*map(str, rows)],
        column_labels=[*map(str, columns)],
        scale=magnification(height, width),
    )
    save_image(path, grid)


def magnification(height: int, width: int) -> int:
    """Return the factor by which images are enlarged in figures."""
    return max(1, MIN_CELL // min(height, width))
