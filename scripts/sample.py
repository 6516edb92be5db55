"""The command `brushwork sample`."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from einops import rearrange, repeat
from PIL import Image
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.images import gif_bytes, image_grid
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores, save_picture, write_pictures
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.options import Batch, LayerIndex, Psi, options
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
from brushwork.models.snapshot import load_generator
from brushwork.models.stage import layer_count
from brushwork.models.styles import style_weights
from brushwork.scripts.inputs import report_frames
from brushwork.scripts.restyling import fitted_picture, style_code_of, style_texts

SHOWN = 64
"""Pictures smaller than this are enlarged to it in the figures."""
COLUMNS = 24
"""Seeds that the grid shows at most."""
FIGURES = ("grid.png", "like.png", "mixing.png", "truncation.png", "interpolation.gif")
"""Files beside the folders of the styles."""
MOST_SEEDS = 10**6
TRUNCATIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)


@options
class SampleArguments:
    """Draws pictures from a trained run: single images, a labelled grid of the first 24 seeds, and figures of
    style mixing, truncation and interpolation. Any number of images takes the memory of a few batches.

    Example, seconds on a CPU:
        brushwork sample runs/emoji-32 --styles noto,openmoji --seeds 0-11
        brushwork sample runs/emoji-32 --styles noto=0.5+openmoji=0.5 --psi 0.7
        brushwork sample runs/emoji-32-restyle --style-image drawing.png
        brushwork sample runs/emoji-32 --seeds 0-9999 --skip-existing
    """

    run: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot file or a Hub repository."""
    styles: str = "all"
    """Styles separated by commas; each a name, a blend (noto=0.3+openmoji=0.7) or none (the null style). A
    name that holds a comma, + or = is written as it is."""
    style_image: tuple[Path, ...] = ()
    """Pictures of one style: draws new ones like them, for a run with encoders. The coarse layers follow each
    seed's latent code in --styles, here one style (default: --style-image-label), the others follow these."""
    style_image_label: str = "none"
    """Name of the style that --style-image shows, if the run knows it."""
    seeds: str = "0-11"
    """Seeds: numbers and ranges, separated by commas. One seed is one pose, in every style."""
    psi: Psi = 1.0
    """Truncation: 1 as drawn, towards 0 nearer to the style's average (safer, less varied)."""
    cutoff: LayerIndex | None = None
    """Truncate only the layers below this one; None: all."""
    mixing_layer: LayerIndex | None = None
    """First layer that comes from the second code in the figure of style mixing; None: the middle one. With
    --style-image, the first that follows it; None: the one at which a picture's content would enter."""
    images: bool = True
    """Write every picture to a file of its own."""
    skip_existing: bool = False
    """Leave pictures alone that are there already, to go on with a long job that was stopped. They must come
    from the same weights and options."""
    batch: Batch = 64
    """Pictures drawn at once."""
    precision: Precision = "fp32"
    """Of the single pictures: bf16 is faster where the machine has it; its pictures differ by rounding."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network runs."""
    out: Path | None = None
    """Folder for the pictures; default: RUN/generated, or ./generated where RUN is no folder."""


def parse_seeds(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7].

    Raises:
        ModelError: the text is no list of numbers and ranges, or one too long.
    """
    ranges = [_seed_range(part) for part in text.split(",")]
    count = sum(stop - start for start, stop in ranges)
    if count > MOST_SEEDS:
        raise ModelError(f"the seeds {text!r} are {count}: draw at most {MOST_SEEDS} at a time.")
    return [seed for start, stop in ranges for seed in range(start, stop)]


def _seed_range(text: str) -> tuple[int, int]:
    """ "3-5" -> (3, 6); "3" -> (3, 4)."""
    match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", text)
    if match is None:
        raise ModelError(f"cannot read the seeds {text!r}: write numbers and ranges, as in 0-11,40.")
    first, last = match[1], match[2] or match[1]
    for seed in (first, last):
        # Python does not read numbers of thousands of digits.
        if len(seed.lstrip("0")) > 19 or int(seed) >= 2**63:
            raise ModelError(f"the seed {seed:.30} is too large: seeds go from 0 to {2**63 - 1}.")
    if int(last) < int(first):
        raise ModelError(f"the seeds {text!r} go downwards: write {last}-{first}.")
    return int(first), int(last) + 1


def sample_command(args: SampleArguments) -> None:
    """Draws everything, then says where it lies."""
    seeds = torch.tensor(parse_seeds(args.seeds))
    generator = load_generator(args.run, device=args.device)
    out = args.out or (Path(args.run) / "generated" if Path(args.run).is_dir() else Path("generated"))
    if args.style_image:
        draw_from_style_images(generator, args, seeds, out)
        return
    texts = style_texts(args.styles, generator.style_names)
    styles = torch.stack([style_weights(text, generator.style_names) for text in texts])
    out.mkdir(parents=True, exist_ok=True)
    shown = seeds[:COLUMNS]
    images = sample_matrix(generator, styles, shown, psi=args.psi, cutoff=args.cutoff)
    save_grid(out / "grid.png", images, texts, labels(shown))
    write_figures(generator, styles, seeds, texts, out, layer=args.mixing_layer, psi=args.psi)

    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, styles, seeds, psi=args.psi, cutoff=args.cutoff)

    said = write_images(generator, args, codes, styles, seeds, texts, out) if args.images else ""
    print(f"{said}grid{cut(seeds)}, mixing, truncation and interpolation figures: {out}")


def draw_from_style_images(generator: Generator, args: SampleArguments, seeds: Tensor, out: Path) -> None:
    """like.png, the pictures followed above what was drawn, and every drawing to a file of its own.

    Raises ModelError for a run without encoders, DataError for what is no picture.
    """
    report_frames(args.style_image)
    pictures = [fitted_picture(path, generator) for path in args.style_image]
    style_features = style_code_of(generator, pictures, args.style_image_label)
    style = style_weights(
        args.style_image_label if args.styles == "all" else args.styles, generator.style_names
    )

    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return codes_of_style_features(
            generator,
            style_features,
            styles,
            seeds,
            psi=args.psi,
            cutoff=args.cutoff,
            layer=args.mixing_layer,
        )

    shown = seeds[:COLUMNS]
    images = render(generator, codes(repeat(style, "s -> n s", n=len(shown)), shown), shown)
    out.mkdir(parents=True, exist_ok=True)
    save_likeness(out / "like.png", pictures, images, labels(shown))
    names = [f"like {args.style_image[0].stem}"]
    said = write_images(generator, args, codes, style[None], seeds, names, out) if args.images else ""
    print(f"{said}like.png{cut(seeds)}: {out}")


def labels(seeds: Tensor) -> list[str]:
    return [str(int(seed)) for seed in seeds]


def cut(seeds: Tensor) -> str:
    """What to say beside a figure that leaves seeds out."""
    return f" (of the first {COLUMNS} of {len(seeds)} seeds)" if len(seeds) > COLUMNS else ""


def save_likeness(path: Path, pictures: list[np.ndarray], images: Tensor, seeds: list[str]) -> None:
    """The pictures (h, w, 3) that were followed, and below them drawings (n, 3, h, w)."""
    rows = [pictures[: len(seeds)], list(rearrange(images, "n d h w -> n h w d").numpy())]
    scale = max(1, SHOWN // images.shape[-1])
    save_picture(path, image_grid(rows, row_labels=["like", "drawn"], column_labels=seeds, scale=scale))


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
    few = seeds[:6]
    others = torch.tensor([(int(seed) + int(seeds.max()) + 1) % 2**63 for seed in few])
    rows, columns = ([str(int(seed)) for seed in some] for some in (few, others))
    first = layer_count(generator.trained_stage.resolution) // 2 if layer is None else layer
    mixed = mixing_matrix(generator, styles[0], few, others, layer=first, psi=psi)
    save_grid(out / "mixing.png", mixed, rows, columns)
    centred = [row for row, style in enumerate(styles) if not generator.mapping.untrained_styles(style[None])]
    if centred:  # others have no average to be truncated to
        truncated = truncation_matrix(generator, styles[centred], int(seeds[0]), TRUNCATIONS)
        rows, columns = [names[row] for row in centred], [f"psi {value:g}" for value in TRUNCATIONS]
        save_grid(out / "truncation.png", truncated, rows, columns)
    frames = interpolation_frames(generator, styles, seeds[:4], steps=12, psi=psi)
    pictures = [enlarged(rearrange(frame, "s c h w -> h (s w) c").numpy()) for frame in frames]
    write_file(out / "interpolation.gif", gif_bytes(pictures, milliseconds=60))


def save_grid(path: Path, images: Tensor, rows: list[str], columns: list[str]) -> None:
    """Writes (rows, columns, 3, h, w) uint8 as a labelled grid."""
    cells = rearrange(images, "r c d h w -> r c h w d").numpy()
    scale = max(1, SHOWN // images.shape[-1])
    save_picture(path, image_grid(cells, row_labels=rows, column_labels=columns, scale=scale))


def enlarged(pixels: np.ndarray) -> Image.Image:
    """A picture (h, w, 3), its pixels enlarged so that it can be looked at."""
    picture, scale = Image.fromarray(pixels), max(1, SHOWN // pixels.shape[0])
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_images(
    generator: Generator,
    args: SampleArguments,
    codes: Codes,
    styles: Tensor,
    seeds: Tensor,
    names: list[str],
    out: Path,
) -> str:
    """Every style with every seed to out/<style>/seed<seed>.png, at their own size; says how many."""
    folders = [out / name for name in unique_names(map(file_name, names), taken=FIGURES)]
    place, all_cells = partial(path_of, folders, seeds), torch.arange(len(styles) * len(seeds))
    kept = torch.tensor([args.skip_existing and place(cell).exists() for cell in range(len(all_cells))])
    cells = all_cells[~kept]
    drawn = sample_batches(generator, codes, styles, seeds, cells, batch=args.batch, precision=args.precision)

    def batches() -> Iterator[tuple[Sequence[Path], np.ndarray]]:
        for some in drawn:
            yield (
                [place(int(cell)) for cell in some.cells],
                rearrange(some.images, "n c h w -> n h w c").numpy(),
            )

    with Progress(total=len(cells), desc="sample", unit="img") as bar:
        write_pictures(batches(), threads=free_cores(), written=bar.update)
    existing = f" ({len(all_cells) - len(cells)} were there)" if args.skip_existing else ""
    return f"{len(cells)} pictures{existing}, "


def path_of(folders: Sequence[Path], seeds: Tensor, cell: int) -> Path:
    """Where the picture of a cell of the matrix, row by row, is written."""
    return folders[cell // len(seeds)] / f"seed{int(seeds[cell % len(seeds)])}.png"


def main() -> None:
    """Parses the command line and draws."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(SampleArguments, sample_command)


if __name__ == "__main__":
    main()
