"""The folder that `sample --codes` writes: edits of images whose style codes were found."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from einops import rearrange, repeat
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.data.names import file_name, unique_names
from brushwork.data.writing import save_image
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import Codes, render_codes
from brushwork.models.latent.directions import Direction, direction_matrix
from brushwork.models.latent.walks import mixed
from brushwork.models.stage import layer_count

from .film import codes_walk, write_walk
from .image_folders import MIN_CELL, SHORT, direction_file, save_grid

ROWS, MIXED, WALK = 24, 8, 4
"""Codes in figures of styles and directions, in that of style mixing, and in the walk."""
OWN = "inverted"
"""Name of the images in their own style."""


@dataclass(frozen=True, kw_only=True)
class CodeFolder:
    """Writes images of codes and figures of edits to `out`."""

    generator: Generator
    codes: Codes
    out: Path

    # Figures
    def write_figures(self, styles: Float[Tensor, "s k"], names: Sequence[str]) -> str:
        """Write styles.png, every code in its own style and in each of `styles`; mixing.png, the coarse
        layers of each code with the fine ones of each other; and walk.gif. Return their names."""
        some = self._first(ROWS)
        images = [render_codes(self.generator, some)]
        images += [render_codes(self.generator, some, some.in_style(self.generator, one)) for one in styles]
        self._save("styles.png", torch.stack(images, dim=1), some.names, [OWN, *names])
        if len(self.codes) == 1:
            return "styles.png"
        few, layer = self._first(MIXED), layer_count(self.generator.trained_stage.resolution) // 2
        w = mixed(few.w, few.w, layer)
        rows = repeat(torch.arange(len(few)), "r -> (r c)", c=len(few))
        images = render_codes(self.generator, few.take(rows), w.flatten(0, 1)).unflatten(0, w.shape[:2])
        self._save("mixing.png", images, few.names, few.names)
        way = codes_walk(self.generator, self._first(WALK))
        write_walk(self.out / "walk.gif", way, SHORT, side=MIN_CELL)
        return "styles.png, mixing.png and walk.gif"

    def write_directions(self, directions: Sequence[Direction], strengths: Sequence[float]) -> str:
        """Write codes moved by each strength to direction-<name>.png, and return its name: every code along
        one direction, or the first code along several, a row each."""
        some = self._first(1 if len(directions) > 1 else ROWS)
        draw = partial(render_codes, self.generator, some)
        images = direction_matrix(directions, some.w, strengths, draw)
        labels = some.names if len(directions) == 1 else [direction.name for direction in directions]
        name = direction_file(directions)
        self._save(name, images, labels, [f"{strength:+g}" for strength in strengths])
        return name

    # Single images
    def write_images(self, styles: Float[Tensor, "s k"], names: Sequence[str]) -> int:
        """Write every code in each style to out/<style>/<name>.png. Return how many."""
        folders = unique_names(map(file_name, names), taken=(OWN,))
        for folder, style in zip(folders, styles, strict=True):
            images = render_codes(self.generator, self.codes, self.codes.in_style(self.generator, style))
            self._write(folder, images)
        self._write(OWN, render_codes(self.generator, self.codes))
        return (len(folders) + 1) * len(self.codes)

    def write_moved(self, direction: Direction, strength: float) -> int:
        """Write every code moved along a direction to out/<direction>/<name>.png. Return how many."""
        w = direction.move(self.codes.w, torch.full((len(self.codes),), strength))
        folder = file_name(f"{direction.name} {strength:+g}".replace(":", "-"))
        self._write(folder, render_codes(self.generator, self.codes, w))
        return len(self.codes)

    def _write(self, folder: str, images: UInt8[Tensor, "n c h w"]) -> None:
        for name, image in zip(self.codes.names, images, strict=True):
            save_image(self.out / folder / f"{name}.png", image.permute(1, 2, 0).numpy())

    def _first(self, count: int) -> Codes:
        return self.codes.take(torch.arange(min(count, len(self.codes))))

    def _save(
        self, name: str, images: UInt8[Tensor, "r c d h w"], rows: Sequence[object], columns: Sequence[object]
    ) -> None:
        save_grid(self.out / name, rearrange(images, "r c d h w -> r c h w d").numpy(), rows, columns)
