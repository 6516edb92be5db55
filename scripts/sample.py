"""The door `brushwork sample`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from einops import rearrange, repeat
from PIL import Image
from torch import Tensor

from brushwork.data.images import image_grid
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.redrawing import codes_of_looks
from brushwork.models.sampling import (
    interpolation_frames,
    mixing_matrix,
    render,
    sample_matrix,
    style_weights,
    truncation_matrix,
)
from brushwork.models.snapshot import load_generator
from brushwork.models.synthesis import layer_count
from brushwork.scripts.restyling import fitted_picture, looks_of

SHOWN = 64
"""Pictures smaller than this are enlarged to it in the figures."""
TRUNCATIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class SampleArguments:
    """Draws pictures from a trained run: single images, a labelled grid, and figures of style mixing,
    truncation and interpolation.

    Example, seconds on a CPU:
        brushwork sample runs/emoji-32 --styles noto,openmoji --seeds 0-11
        brushwork sample runs/emoji-32 --styles noto=0.5+openmoji=0.5 --psi 0.7
        brushwork sample runs/emoji-32-restyle --like drawing.png
    """

    run: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot file or a Hub repository."""
    styles: str = "all"
    """Styles separated by commas; each a name, a blend (noto=0.3+openmoji=0.7) or none (the null style)."""
    like: tuple[Path, ...] = ()
    """Pictures of one style: instead, new ones that look like them, for a run with encoders. Layers that see
    the coarse of a picture follow each seed's code in --styles, one here (default: --like-style), the others
    the looks."""
    like_style: str = "none"
    """The name of the style that the pictures of --like are in, where the run knows it: read off with it."""
    seeds: str = "0-11"
    """Seeds: numbers and ranges, separated by commas. One seed is one pose, in every style."""
    psi: float = 1.0
    """Truncation: 1 as drawn, towards 0 nearer to the style's average (safer, less varied)."""
    cutoff: int | None = None
    """Truncate only the layers below this one; None: all."""
    mixing_layer: int | None = None
    """First layer that comes from the second code in the figure of style mixing; None: the middle one. With
    --like, the first that follows the looks; None: the one at which a picture's content would enter."""
    images: bool = True
    """Write every picture to a file of its own."""
    out: Path | None = None
    """Folder for the pictures; default: RUN/generated, or ./generated where RUN is no folder."""


def parse_seeds(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7].

    Raises:
        ModelError: the text is no list of numbers and ranges.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ModelError(f"cannot read the seeds {text!r}: write numbers and ranges, as in 0-11,40.")
        first = int(match[1])
        seeds += range(first, int(match[2] or first) + 1)
    if not seeds:
        raise ModelError(f"the seeds {text!r} name no number: a range goes upwards, as in 0-11.")
    return seeds


def main(args: SampleArguments) -> None:
    """Draws everything, then says where it lies."""
    generator = load_generator(args.run)
    seeds = torch.tensor(parse_seeds(args.seeds))
    out = args.out or (Path(args.run) / "generated" if Path(args.run).is_dir() else Path("generated"))
    if args.like:
        draw_like(generator, args, seeds, out)
        return
    texts = list(generator.style_names or ["none"]) if args.styles == "all" else args.styles.split(",")
    styles = torch.stack([style_weights(text.strip(), generator.style_names) for text in texts])
    out.mkdir(parents=True, exist_ok=True)
    images = sample_matrix(generator, styles, seeds, psi=args.psi, cutoff=args.cutoff)
    columns = [str(int(seed)) for seed in seeds]
    save_grid(out / "grid.png", images, texts, columns)
    if args.images:
        save_images(out, images, texts, columns)
    write_figures(generator, styles, seeds, texts, out, layer=args.mixing_layer, psi=args.psi)
    print(f"grid, mixing, truncation and interpolation figures: {out}")


def draw_like(generator: Generator, args: SampleArguments, seeds: Tensor, out: Path) -> None:
    """like.png, the pictures followed above what was drawn, and every drawing to a file of its own.

    Raises ModelError for a run without encoders, DataError for what is no picture.
    """
    pictures = [fitted_picture(path, generator) for path in args.like]
    looks = looks_of(generator, pictures, args.like_style)
    style = style_weights(args.like_style if args.styles == "all" else args.styles, generator.style_names)
    styles = repeat(style, "s -> n s", n=len(seeds))
    codes = codes_of_looks(
        generator, looks, styles, seeds, psi=args.psi, cutoff=args.cutoff, layer=args.mixing_layer
    )
    images, name = render(generator, codes, seeds), f"like {args.like[0].stem}"
    out.mkdir(parents=True, exist_ok=True)
    save_likeness(out / "like.png", pictures, images, [str(int(seed)) for seed in seeds])
    if args.images:
        save_images(out, images[None], [name], [str(int(seed)) for seed in seeds])
    print(f"like.png, {len(images)} pictures: {out}")


def save_likeness(path: Path, pictures: list[np.ndarray], images: Tensor, seeds: list[str]) -> None:
    """The pictures (h, w, 3) that were followed, and below them drawings (n, 3, h, w)."""
    rows = [pictures[: len(seeds)], list(rearrange(images, "n d h w -> n h w d").numpy())]
    scale = max(1, SHOWN // images.shape[-1])
    image_grid(rows, row_labels=["like", "drawn"], column_labels=seeds, scale=scale).save(path)


def write_figures(
    generator: Generator,
    styles: Tensor,
    seeds: Tensor,
    names: list[str],
    out: Path,
    *,
    layer: int | None,
    psi: float,
) -> None:
    """mixing.png (first style), truncation.png (first seed, every style), interpolation.gif (every style)."""
    few, others = seeds[:6], seeds[:6] + int(seeds.max()) + 1
    rows, columns = ([str(int(seed)) for seed in some] for some in (few, others))
    middle = layer_count(generator.trained_stage.resolution) // 2
    mixed = mixing_matrix(generator, styles[0], few, others, layer=layer or middle, psi=psi)
    save_grid(out / "mixing.png", mixed, rows, columns)
    truncated = truncation_matrix(generator, styles, int(seeds[0]), TRUNCATIONS)
    save_grid(out / "truncation.png", truncated, names, [f"psi {value:g}" for value in TRUNCATIONS])
    frames = interpolation_frames(generator, styles, seeds[:4], steps=12, psi=psi)
    pictures = [enlarged(rearrange(frame, "s c h w -> h (s w) c").numpy()) for frame in frames]
    pictures[0].save(
        out / "interpolation.gif", save_all=True, append_images=pictures[1:], duration=60, loop=0
    )


def save_grid(path: Path, images: Tensor, rows: list[str], columns: list[str]) -> None:
    """Writes (rows, columns, 3, h, w) uint8 as a labelled grid."""
    cells = rearrange(images, "r c d h w -> r c h w d").numpy()
    scale = max(1, SHOWN // images.shape[-1])
    image_grid(cells, row_labels=rows, column_labels=columns, scale=scale).save(path)


def enlarged(pixels: np.ndarray) -> Image.Image:
    """A picture (h, w, 3), its pixels enlarged so that it can be looked at."""
    picture, scale = Image.fromarray(pixels), max(1, SHOWN // pixels.shape[0])
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def save_images(out: Path, images: Tensor, names: list[str], seeds: list[str]) -> None:
    """out/<style>/seed<seed>.png, at their own size."""
    for name, row in zip(names, images, strict=True):
        folder = out / re.sub(r"[^\w.=+-]", "_", name)
        folder.mkdir(exist_ok=True)
        for seed, image in zip(seeds, row, strict=True):
            Image.fromarray(rearrange(image, "c h w -> h w c").numpy()).save(folder / f"seed{seed}.png")


def door() -> None:
    """Parses the command line and draws."""
    from brushwork.scripts.cli import run

    run(SampleArguments, main)


if __name__ == "__main__":
    door()
