"""The command `brushwork sample`."""

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from brushwork.eval.code_folder import CodeFolder
from brushwork.eval.film import (
    FilmConfig,
    Walk,
    codes_walk,
    direction_walk,
    moved_codes_walk,
    seeds_walk,
    styles_walk,
    write_walk,
)
from brushwork.eval.image_folders import COLUMNS, SampleFolder, read_style_images, style_texts
from brushwork.eval.report.gallery import write_gallery
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import Codes, load_codes
from brushwork.models.latent.directions import find_directions
from brushwork.models.options import BatchSize, DeviceName, Psi, Share, options
from brushwork.models.sampling import CodeSource, Precision, require_trained
from brushwork.models.snapshot import DIGEST, find_snapshot, load_generator, snapshot_header
from brushwork.models.styles import style_weights
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.inputs import report_frames

MOST_SEEDS = 10**6
MOST_STRENGTH = 100
STEPS = 7
"""Images on the way of a range of strengths."""


@options
class SampleArguments:
    """Generate images from a trained run: single images, a labelled grid of the first 24 seeds, and figures
    of style mixing, truncation and interpolation. Memory does not grow with the number of images.

    Examples, seconds on a CPU:
        brushwork sample runs/demo --styles noto,openmoji --seeds 0-11
        brushwork sample runs/demo --styles noto=0.5+openmoji=0.5 --psi 0.7
        brushwork sample runs/demo --seeds 0-999 --skip-existing
        brushwork sample runs/demo --seeds 0-9 --film walk.mp4

    With a run that has encoders, such as one of the preset emoji-32-restyle:
        brushwork train emoji-32-restyle --data datasets/emoji-32 --max-minutes 10
        brushwork sample runs/emoji-32-restyle --style-image datasets/emoji/noto/1f600.png
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a snapshot file or a Hub repository."""
    styles: str = "all"
    """Styles separated by commas; each a name, a blend (noto=0.3+openmoji=0.7) or none (the null style)."""
    style_image: tuple[Path, ...] = ()
    """Images of one style: generates new ones like them, for a run with encoders. These images give the style
    of the fine layers. The coarse layers follow each seed, in the one style of --styles (default:
    --style-image-label)."""
    style_image_label: str = "none"
    """Name of the style that --style-image shows, if the run knows it."""
    codes: Path | None = None
    """codes.safetensors of `brushwork invert`: draws its images in place of seeds, in their own style and in
    --styles, mixed with one another, and moved along --direction."""
    seeds: str = "0-11"
    """Seeds: numbers and ranges, separated by commas. One seed is one pose, in every style."""
    direction: str = ""
    """Moves every image along a direction: sefa:3 or pca:3 (their numbers count from 1), style:noto>openmoji,
    or one of these for some layers alone (sefa:3@4-7). sefa or pca without a number draws the first ten."""
    strength: str = "-3..3"
    """How far: a number, or a range, which draws a figure of the way (standard deviations of the codes; of
    style:, 1 is the whole way)."""
    film: Path | None = None
    """A film in place of images and figures: FILE.mp4 of any length, or a short .gif or .webp."""
    film_config: tyro.conf.OmitArgPrefixes[FilmConfig] = FilmConfig()
    psi: Psi = 1.0
    """Truncation: 1 is none, towards 0 nearer to the style's average (safer, less varied)."""
    noise: Share = 1.0
    """Strength of the noise maps: 1 is that of training, 0 is none; less takes away grain."""
    images: bool = True
    """Write every image to a file of its own."""
    skip_existing: bool = False
    """Keep images that are there already, of the same weights and options, to go on with a long job that was
    stopped."""
    batch: BatchSize = 64
    """Images generated at once."""
    precision: Precision = "fp32"
    """Precision of the single images: bf16 is faster where the machine has it, and differs by rounding."""
    device: DeviceName = "auto"
    """Device: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or mps."""
    out: Path | None = None
    """Folder for the images; default: RUN/generated, or ./generated where RUN is no folder."""


def parse_seeds(text: str) -> list[int]:
    """Returns the seeds of "0-3,7", each once: [0, 1, 2, 3, 7].

    Raises ModelError unless the text is a list of numbers and rising ranges, of at most a million seeds.
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last < 2**63:
            raise ModelError(
                f"cannot read the seeds {part!r:.40}: write numbers up to {2**63 - 1} and rising ranges, as "
                "in 0-11,40."
            )
        ranges.append(range(first, last + 1))
    count = sum(part.stop - part.start for part in ranges)
    if count > MOST_SEEDS:
        raise ModelError(f"the seeds {text!r:.40} are {count}: take at most {MOST_SEEDS} at a time.")
    return list(dict.fromkeys(seed for part in ranges for seed in part))


def parse_strength(text: str) -> tuple[float, float]:
    """Returns both ends of a range ("-3..3"); a number alone is the second, after 0. Raises ModelError
    for any other text."""
    try:
        ends = [float(part) for part in text.split("..")]
    except ValueError:
        ends = []
    if not 1 <= len(ends) <= 2 or not all(math.isfinite(end) and abs(end) <= MOST_STRENGTH for end in ends):
        raise ModelError(
            f"cannot read the strength {text!r:.40}: write a number up to {MOST_STRENGTH}, or a range as in "
            "-3..3."
        )
    return (0.0, ends[0]) if len(ends) == 1 else (ends[0], ends[1])


def note_of(args: SampleArguments, snapshot: Path) -> str:
    """Returns what the images depend on besides style and seed."""
    weights = snapshot_header(snapshot).get(DIGEST)
    note = f"weights {weights}, psi {args.psi}, noise {args.noise}, {args.precision}"
    if args.direction:
        note += f", {args.direction} by {args.strength}"
    if args.style_image:
        digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in args.style_image]
        note += f", like {digests} ({args.style_image_label}), {args.styles} below"
    return note


def coarse_style(args: SampleArguments, generator: Generator) -> Float[Tensor, "1 s"]:
    """Returns the style of the coarse layers of samples like an image. Raises ModelError for an unknown one,
    and for none if the run was not trained without a style."""
    text = args.style_image_label if args.styles == "all" else args.styles
    styles = style_weights(text, generator.style_names)[None]
    if text == "none" and generator.style_names and generator.mapping.untrained_styles(styles):
        raise ModelError(
            "this run was not trained without a style: name the style of the image by --style-image-label, "
            f"or that of the coarse layers by --styles, of {', '.join(generator.style_names)}."
        )
    return styles


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is drawn with every seed."""

    codes: CodeSource
    styles: Float[Tensor, "s k"]
    names: list[str]
    style_images: list[np.ndarray]
    """Images like which others are drawn, if any."""


def read_asked(args: SampleArguments, folder: SampleFolder) -> Asked:
    """Returns the styles of the command line, or that of its style images."""
    generator = folder.generator
    if args.style_image:
        report_frames(args.style_image)
        images, style_code = read_style_images(generator, args.style_image, args.style_image_label)
        return Asked(
            codes=folder.codes_like(style_code), styles=coarse_style(args, generator),
            names=[f"like {args.style_image[0].stem}"], style_images=images,
        )  # fmt: skip
    names = style_texts(args.styles, generator.style_names)
    styles = torch.stack([style_weights(name, generator.style_names) for name in names])
    require_trained(generator, styles, args.psi)
    return Asked(codes=folder.latent_codes(), styles=styles, names=names, style_images=[])


def sample_command(args: SampleArguments) -> None:
    """Generates images and figures, or a film, and prints where they are.

    Raises DataError for a style image that is no image and for a film's name, and ModelError for a mistake in
    any other argument.
    """
    if args.codes is not None and args.style_image:
        raise ModelError("--codes and --style-image were both given: choose one of them.")
    seeds, snapshot = torch.tensor(parse_seeds(args.seeds)), find_snapshot(args.run)
    generator = load_generator(snapshot, device=args.device).scale_noise(args.noise)
    out = args.out or (Path(args.run) / "generated" if Path(args.run).is_dir() else Path("generated"))
    if args.codes is not None:
        codes = load_codes(args.codes, generator)
        if codes.weights != str(snapshot_header(snapshot).get(DIGEST)):
            print(f"{args.codes} was made with another snapshot than {snapshot}: its images may differ")
        edit_codes(args, generator, codes, out)
        return
    folder = SampleFolder(generator=generator, out=out, seeds=seeds, psi=args.psi)
    asked = read_asked(args, folder)
    if args.film is not None:
        write_film_of(args, args.film, walk_of(args, generator, asked, seeds))
        return
    shown = f" (the first {COLUMNS} of {len(seeds)} seeds)" if len(seeds) > COLUMNS else ""
    codes, single = asked.codes, args.images
    if args.direction:
        directions, ends = find_directions(generator, args.direction), parse_strength(args.strength)
        figures = folder.write_directions(
            directions, codes, asked.styles, asked.names, torch.linspace(*ends, STEPS).tolist()
        )
        # A range is a figure alone.
        single = single and len(directions) == 1 and ".." not in args.strength
        codes = directions[0].codes(codes, ends[1])
    elif asked.style_images:
        folder.write_likeness(codes, asked.styles[0], asked.style_images)
        figures = f"like.png{shown}"
    else:
        folder.write_figures(asked.styles, asked.names)
        figures = f"grid{shown}, mixing, truncation and interpolation figures"
    written = ""
    if single:
        count = folder.write_images(
            codes, asked.styles, asked.names, batch=args.batch, precision=args.precision,
            note=note_of(args, snapshot), skip_existing=args.skip_existing,
        )  # fmt: skip
        there = f" ({len(asked.styles) * len(seeds) - count} were there)" if args.skip_existing else ""
        written = f"{count} images{there}, "
    write_gallery(Path(args.run))
    print(f"{written}{figures}: {out}")


def edit_codes(args: SampleArguments, generator: Generator, codes: Codes, out: Path) -> None:
    """Draws the images of codes and their edits. Raises ModelError as `sample_command` does."""
    folder = CodeFolder(generator=generator, codes=codes, out=out)
    if args.film is not None:
        way = codes_walk(generator, codes)
        if args.direction:
            (direction, *_), ends = find_directions(generator, args.direction), parse_strength(args.strength)
            way = moved_codes_walk(generator, codes, direction, ends)
        write_film_of(args, args.film, way)
        return
    if args.direction:
        directions, ends = find_directions(generator, args.direction), parse_strength(args.strength)
        written = folder.write_directions(directions, torch.linspace(*ends, STEPS).tolist())
        if args.images and len(directions) == 1 and ".." not in args.strength:
            written = f"{folder.write_moved(directions[0], ends[1])} images, {written}"
    else:
        names = style_texts(args.styles, generator.style_names)
        styles = torch.stack([style_weights(name, generator.style_names) for name in names])
        written = folder.write_figures(styles, names)
        if args.images:
            written = f"{folder.write_images(styles, names)} images, {written}"
    print(f"{written}: {out}")


def walk_of(args: SampleArguments, generator: Generator, asked: Asked, seeds: Tensor) -> Walk:
    """Returns what a film goes through."""
    if args.direction:
        (direction, *_), ends = find_directions(generator, args.direction), parse_strength(args.strength)
        return direction_walk(generator, direction, ends, asked.codes, asked.styles, seeds)
    kind = seeds_walk if args.film_config.walk == "seeds" else styles_walk
    return kind(generator, asked.codes, asked.styles, seeds)


def write_film_of(args: SampleArguments, path: Path, way: Walk) -> None:
    """Writes a film and prints its length."""
    count = write_walk(path, way, args.film_config, batch=args.batch)
    print(f"{count} frames, {count / args.film_config.fps:.1f} s: {path}")


def main() -> None:
    """Parse the command line and generate."""
    parse_and_run(SampleArguments, sample_command)


if __name__ == "__main__":
    main()
