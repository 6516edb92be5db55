"""Samples of a generator in a folder, one image per file, with figures of its latent space."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from brushwork.data.files import read_json, write_file, write_json
from brushwork.data.images import gif_bytes, image_grid
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores, save_picture, write_pictures
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.restyling import codes_of_style_features
from brushwork.models.sampling import (
    Codes,
    Precision,
    interpolation_frames,
    mixing_matrix,
    render,
    sample_batches,
    sample_matrix,
    style_codes,
    truncation_matrix,
)
from brushwork.models.stage import layer_count

from .restyled_folder import MIN_CELL

COLUMNS = 24
"""Seeds in the grid, at most."""
SETTINGS = "settings.json"
FIGURES = ("grid.png", "like.png", "mixing.png", "truncation.png", "interpolation.gif", SETTINGS)
"""Files beside the folders of the styles."""
SEVERAL = "several"
"""The recorded value of a setting that differs among the images of a folder."""
TRUNCATIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, kw_only=True)
class SampleFolder:
    """Writes samples of some seeds, and figures of them, to `out`.

    Raises:
        ModelError: `cutoff` is above the number of layers.
    """

    generator: Generator
    out: Path
    seeds: Tensor
    """int64 (n,)"""
    psi: float = 1.0
    cutoff: int | None = None
    """Truncate only the layers below this one; None: all."""
    mixing_layer: int | None = None
    """First layer of the second code in style mixing; None: the middle one. With style images, the first
    layer that takes their style; None: the first one that content reaches."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What the single images depend on besides style and seed; recorded in settings.json for each style."""
    skip_existing: bool = False
    """Leave whole PNG files of the same name alone."""

    def __post_init__(self) -> None:
        if self.cutoff is not None and self.cutoff > self.generator.layers:
            raise ModelError(
                f"cutoff {self.cutoff}: choose 0 to {self.generator.layers}, the layers there are."
            )

    @property
    def first_seeds(self) -> Int64[Tensor, "c"]:
        """Those that the grid shows."""
        return self.seeds[:COLUMNS]

    def latent_codes(self) -> Codes:
        """Return the function from style weights and seeds to style codes, for samples of named styles."""
        options = {"psi": self.psi, "cutoff": self.cutoff}
        return lambda styles, seeds: style_codes(self.generator, styles, seeds, **options)

    def codes_like(self, style_code: Float[Tensor, "1 d"]) -> Codes:
        """Return the function from style weights and seeds to style codes, for samples like other images."""
        latent, layer = self.latent_codes(), self.mixing_layer
        return lambda styles, seeds: codes_of_style_features(
            self.generator, style_code, latent(styles, seeds), layer
        )

    # Figures
    def write_figures(self, styles: Float[Tensor, "s k"], names: Sequence[str]) -> None:
        """Write mixing.png of the first style, and of every style grid.png, truncation.png (of the first
        seed) and interpolation.gif.

        Raises:
            ModelError: `mixing_layer` is out of range, or a style is untrained.
        """
        generator, few = self.generator, self.seeds[:6]
        others = torch.tensor([(int(seed) + int(self.seeds.max()) + 1) % 2**63 for seed in few])
        middle = layer_count(generator.trained_stage.resolution) // 2
        layer = middle if self.mixing_layer is None else self.mixing_layer
        mixed = mixing_matrix(generator, styles[0], few, others, layer=layer, psi=self.psi)
        self._save_grid("mixing.png", mixed, numbers(few), numbers(others))
        images = sample_matrix(generator, styles, self.first_seeds, psi=self.psi, cutoff=self.cutoff)
        self._save_grid("grid.png", images, names, numbers(self.first_seeds))
        trained = [i for i, style in enumerate(styles) if not generator.mapping.untrained_styles(style[None])]
        if trained:  # the others have no average to truncate to
            truncated = truncation_matrix(generator, styles[trained], int(self.seeds[0]), TRUNCATIONS)
            columns = [f"psi {psi:g}" for psi in TRUNCATIONS]
            self._save_grid("truncation.png", truncated, [names[i] for i in trained], columns)
        frames = interpolation_frames(generator, styles, self.seeds[:4], steps=12, psi=self.psi)
        pictures = [enlarged(rearrange(frame, "s c h w -> h (s w) c").numpy()) for frame in frames]
        write_file(self.out / "interpolation.gif", gif_bytes(pictures, milliseconds=60))

    def write_likeness(
        self, codes: Codes, style: Float[Tensor, "k"], style_images: Sequence[np.ndarray]
    ) -> None:
        """Write like.png: the style images (h, w, 3), and below them samples of `codes`."""
        seeds = self.first_seeds
        images = render(self.generator, codes(repeat(style, "k -> n k", n=len(seeds)), seeds), seeds)
        rows = [style_images[: len(seeds)], list(rearrange(images, "n c h w -> n h w c").numpy())]
        grid = image_grid(
            rows,
            row_labels=["style", "samples"],
            column_labels=numbers(seeds),
            scale=scale_of(images.shape[-1]),
        )
        save_picture(self.out / "like.png", grid)

    def _save_grid(
        self, name: str, images: UInt8[Tensor, "r c 3 h w"], rows: Sequence[str], columns: Sequence[str]
    ) -> None:
        cells = rearrange(images, "r c d h w -> r c h w d").numpy()
        scale = scale_of(images.shape[-1])
        save_picture(self.out / name, image_grid(cells, row_labels=rows, column_labels=columns, scale=scale))

    # Single images
    def folders(self, names: Sequence[str]) -> list[str]:
        """Return the names of the styles' folders."""
        return unique_names(map(file_name, names), taken=FIGURES)

    def check_settings(self, names: Sequence[str]) -> None:
        """Raise ModelError if `skip_existing` would keep images of other settings."""
        recorded = read_settings(self.out)
        for folder in self.folders(names) if self.skip_existing else ():
            for name, value in self.settings.items():
                found = recorded.get(folder, {}).get(name, value)
                if found != value:
                    raise ModelError(
                        f"{self.out / folder} has images of {name} {found!s:.12}, not {value!s:.12}: leave "
                        "out --skip-existing, or name another folder (--out)."
                    )

    def _record(self, folders: Sequence[str], before: Sequence[Path]) -> None:
        """Record the settings of the images in `folders`, where those of `before` keep theirs."""
        recorded, kept = read_settings(self.out), {path.parent.name for path in before}
        for folder in folders:
            old = recorded.get(folder)
            if folder not in kept:
                recorded[folder] = dict(self.settings)
            elif old is not None:
                recorded[folder] = {
                    name: value if old.get(name) == value else SEVERAL
                    for name, value in self.settings.items()
                }
        write_json(self.out / SETTINGS, recorded)

    def write_images(
        self,
        codes: Codes,
        styles: Float[Tensor, "s k"],
        names: Sequence[str],
        *,
        batch: int = 64,
        precision: Precision = "fp32",
    ) -> int:
        """Write every style with every seed to out/<style>/seed<seed>.png, at the trained resolution.

        Args:
            names: of the styles, for their folders.
            batch: images generated at once.

        Returns:
            How many images were generated.
        """
        folders = self.folders(names)
        paths = [self.out / folder / f"seed{seed}.png" for folder in folders for seed in self.seeds.tolist()]
        skipped = {path for path in paths if self.skip_existing and is_whole_png(path)}
        cells = torch.tensor([i for i, path in enumerate(paths) if path not in skipped], dtype=torch.int64)
        before = list(self.out.glob("*/seed*.png"))
        self._record(folders, before)
        generated = sample_batches(
            self.generator, codes, styles, self.seeds, cells, batch=batch, precision=precision
        )

        def batches() -> Iterator[tuple[Sequence[Path], np.ndarray]]:
            for some in generated:
                yield (
                    [paths[cell] for cell in some.cells.tolist()],
                    rearrange(some.images, "n c h w -> n h w c").numpy(),
                )

        with Progress(total=len(cells), desc="sample", unit="img") as bar:
            write_pictures(batches(), threads=free_cores(), written=bar.update)
        self._record(folders, list(set(before) - set(paths) | skipped))
        return len(cells)


def read_settings(out: Path) -> dict[str, dict[str, object]]:
    """Return the settings of the images in a folder of samples, by style; none for images of earlier
    versions.

    Raises:
        ModelError: settings.json is damaged.
    """
    try:
        return read_json(out / SETTINGS, dict[str, dict[str, object]])
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{out / SETTINGS} is damaged ({error}): delete it.") from error


def is_whole_png(path: Path) -> bool:
    """Whether a file begins as a PNG and ends with its end chunk."""
    try:
        with path.open("rb") as file:
            start = file.read(len(PNG_START))
            file.seek(-len(PNG_END), 2)
            return start == PNG_START and file.read() == PNG_END
    except OSError:  # missing, or shorter than the end chunk
        return False


def numbers(seeds: Int64[Tensor, "n"]) -> list[str]:
    return [str(seed) for seed in seeds.tolist()]


def scale_of(side: int) -> int:
    """By how much a figure enlarges images of `side` pixels."""
    return max(1, MIN_CELL // side)


def enlarged(pixels: np.ndarray) -> Image.Image:
    """Return an image (h, w, 3), enlarged as in the grids."""
    picture, scale = Image.fromarray(pixels), scale_of(pixels.shape[0])
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
