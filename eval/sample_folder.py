"""Samples of a generator in a folder, one image per file, with figures of its latent space."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.images import gif_bytes
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores, write_pictures
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

from .restyled_folder import enlargement, save_grid

COLUMNS = 24
"""Seeds in the grid, at most."""
FIGURES = ("grid.png", "like.png", "mixing.png", "truncation.png", "interpolation.gif")
"""Files beside the folders of the styles."""
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

    def __post_init__(self) -> None:
        if self.cutoff is not None and self.cutoff > self.generator.layers:
            raise ModelError(
                f"cutoff {self.cutoff}: choose 0 to {self.generator.layers}, the layers there are."
            )

    # Style codes of style weights and seeds
    def latent_codes(self) -> Codes:
        """Return the codes of samples of named styles."""
        return partial(style_codes, self.generator, psi=self.psi, cutoff=self.cutoff)

    def codes_like(self, style_code: Float[Tensor, "1 d"]) -> Codes:
        """Return the codes of samples like other images."""
        return partial(
            codes_of_style_features, self.generator, style_code, psi=self.psi, cutoff=self.cutoff,
            layer=self.mixing_layer,
        )  # fmt: skip

    # Figures
    def write_figures(self, styles: Float[Tensor, "s k"], names: Sequence[str]) -> None:
        """Write mixing.png of the first style, and of every style grid.png, truncation.png (of the first
        seed) and interpolation.gif.

        Raises:
            ModelError: `mixing_layer` is out of range, or a style is untrained.
        """
        generator, shown, few = self.generator, self.seeds[:COLUMNS], self.seeds[:6]
        others = torch.tensor([(int(seed) + int(self.seeds.max()) + 1) % 2**63 for seed in few])
        middle = layer_count(generator.trained_stage.resolution) // 2
        layer = middle if self.mixing_layer is None else self.mixing_layer
        mixed = mixing_matrix(generator, styles[0], few, others, layer=layer, psi=self.psi)
        self._save("mixing.png", mixed, numbers(few), numbers(others))
        images = sample_matrix(generator, styles, shown, psi=self.psi, cutoff=self.cutoff)
        self._save("grid.png", images, names, numbers(shown))
        trained = [i for i, style in enumerate(styles) if not generator.mapping.untrained_styles(style[None])]
        if trained:  # the others have no average to truncate to
            truncated = truncation_matrix(generator, styles[trained], int(self.seeds[0]), TRUNCATIONS)
            columns = [f"psi {psi:g}" for psi in TRUNCATIONS]
            self._save("truncation.png", truncated, [names[i] for i in trained], columns)
        frames = interpolation_frames(generator, styles, self.seeds[:4], steps=12, psi=self.psi)
        pictures = [enlarged(rearrange(frame, "s c h w -> h (s w) c").numpy()) for frame in frames]
        write_file(self.out / "interpolation.gif", gif_bytes(pictures, milliseconds=60))

    def write_likeness(
        self, codes: Codes, style: Float[Tensor, "k"], style_images: Sequence[np.ndarray]
    ) -> None:
        """Write like.png: the style images (h, w, 3), and below them samples of `codes`."""
        seeds = self.seeds[:COLUMNS]
        images = render(self.generator, codes(repeat(style, "k -> n k", n=len(seeds)), seeds), seeds)
        rows = [style_images[: len(seeds)], list(rearrange(images, "n c h w -> n h w c").numpy())]
        save_grid(self.out / "like.png", rows, ["style", "samples"], numbers(seeds))

    def _save(
        self, name: str, images: UInt8[Tensor, "r c 3 h w"], rows: Sequence[str], columns: Sequence[str]
    ) -> None:
        save_grid(self.out / name, rearrange(images, "r c d h w -> r c h w d").numpy(), rows, columns)

    # Single images
    def write_images(
        self,
        codes: Codes,
        styles: Float[Tensor, "s k"],
        names: Sequence[str],
        *,
        batch: int = 64,
        precision: Precision = "fp32",
        skip_existing: bool = False,
    ) -> int:
        """Write every style with every seed to out/<style>/seed<seed>.png, at the trained resolution.

        Args:
            names: of the styles, for their folders.
            batch: images generated at once.
            skip_existing: leave whole PNG files of the same name alone.

        Returns:
            How many images were generated.
        """
        paths = [
            self.out / folder / f"seed{seed}.png"
            for folder in unique_names(map(file_name, names), taken=FIGURES)
            for seed in self.seeds.tolist()
        ]
        wanted = [i for i, path in enumerate(paths) if not (skip_existing and is_whole_png(path))]
        generated = sample_batches(
            self.generator, codes, styles, self.seeds, torch.tensor(wanted, dtype=torch.int64), batch=batch,
            precision=precision,
        )  # fmt: skip

        def batches() -> Iterator[tuple[Sequence[Path], np.ndarray]]:
            for some in generated:
                images = rearrange(some.images, "n c h w -> n h w c").numpy()
                yield [paths[cell] for cell in some.cells.tolist()], images

        with Progress(total=len(wanted), desc="sample", unit="img") as bar:
            write_pictures(batches(), threads=free_cores(), written=bar.update)
        return len(wanted)


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


def enlarged(pixels: np.ndarray) -> Image.Image:
    """Return an image (h, w, 3), enlarged as in the grids."""
    picture, scale = Image.fromarray(pixels), enlargement(pixels.shape[0])
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
