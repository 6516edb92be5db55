"""The command `brushwork restyle`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import tyro

from brushwork.data.contents import list_originals
from brushwork.data.errors import DataError
from brushwork.data.split import AnySplit
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.options import Psi, Seed, Share, options
from brushwork.models.restyling import Mode
from brushwork.models.snapshot import load_generator
from brushwork.scripts.inputs import report_frames
from brushwork.scripts.restyling import (
    Restyled,
    Restyling,
    StyleCode,
    Target,
    style_texts,
    target_of_images,
    targets_of_labels,
)


@options
class RestyleArguments:
    """Redraws pictures in a style: that of a name, of other pictures, or a blend. Of --style and
    --blend, give one.

    Examples, seconds on a CPU:
        brushwork restyle runs/emoji-32-restyle photos/ --style noto,openmoji
        brushwork restyle runs/emoji-32-restyle cat.png --style-image drawing.png --strength 0.7
        brushwork restyle runs/emoji-32-restyle cat.png --blend noto=0.3,openmoji=0.7
        brushwork restyle runs/emoji-32-restyle datasets/emoji-32 --split test --style all
    """

    run: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot file or a Hub repository, trained with --generator.encoders."""
    contents: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Pictures, folders of pictures at any depth, and packed data sets."""
    style: str | None = None
    """Styles separated by commas, each a name or a blend (noto=0.3+openmoji=0.7), or all. Pictures of a data
    set are not restyled to the style that they are in."""
    style_image: tuple[Path, ...] = ()
    """Pictures of one style, which the results follow."""
    style_image_label: str = "none"
    """Name of the style that --style-image shows, if the run knows it."""
    strength: Share = 1.0
    """From 0, the picture itself, to 1, wholly redrawn."""
    mode: Mode = "tiled"
    """Pictures above the trained resolution: drawn in seamless tiles, or resized to it and back."""
    style_code: StyleCode = "content"
    """Style code of named styles and blends. content: encoded from each picture itself under the name, which
    keeps its palette; latent: mapped from one latent code, the same for all pictures."""
    psi: Psi = 1.0
    """Truncation of named styles and blends: 1 as they are, towards 0 nearer to the style's average."""
    seed: Seed = 0
    """Seed of the latent code (for --style-code latent) and of the noise."""
    split: AnySplit = "test"
    """Of a packed data set: its pictures that training never saw (test), the others (train), or all."""
    out: Path | None = None
    """Folder for the results; default: RUN/restyled, or ./restyled where RUN is no folder."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network runs."""


def restyle_command(args: RestyleArguments) -> None:
    """Redraws everything, then says where it lies and how to measure it, and what could not be read."""
    require_one_style(args)
    generator = load_generator(args.run, device=args.device)
    targets = find_targets(generator, args)
    originals = list_originals(args.contents, args.split)
    report_frames([*(one.source for one in originals), *args.style_image])
    job = Restyling(
        generator=generator, targets=targets, strength=args.strength, mode=args.mode, seed=args.seed
    )
    out = args.out or (Path(args.run) / "restyled" if Path(args.run).is_dir() else Path("restyled"))
    done = job.run(originals, out)
    if done.results:
        tell(done, args, generator, [target.name for target in targets], out)
    done.left_out.fail(done=done.contents, of=len(originals), kept=f"the others are in {out}")


def tell(
    done: Restyled, args: RestyleArguments, generator: Generator, names: Sequence[str], out: Path
) -> None:
    """Where the results lie, and how to measure them."""
    print(f"{done.results} pictures of {done.contents} contents, grid.png: {out}")
    if done.larger and args.mode == "tiled":
        side = generator.trained_stage.resolution
        print(f"{done.larger} contents are above {side} px: drawn in tiles (--mode resized draws them whole)")
    real = all(name in generator.style_names for name in names)
    print(f"Measure: brushwork measure {out / 'pairs.csv'}{' --reference DATASET' if real else ''}")


def require_one_style(args: RestyleArguments) -> None:
    """Raises ModelError unless exactly one way to say the style was used, DataError without contents."""
    if args.style and args.style_image:
        raise ModelError("--style and --style-image were both given: choose one of them.")
    if not (args.style or args.style_image):
        raise ModelError(
            "no style was given: add --style NAME, --style noto=0.3+openmoji=0.7 or --style-image IMG."
        )
    if not args.contents:
        raise DataError("There is nothing to restyle: name pictures, folders or packed data sets.")


def find_targets(generator: Generator, args: RestyleArguments) -> list[Target]:
    """The styles that were asked for. Raises ModelError for a generator without encoders, too."""
    _ = generator.encoders
    if args.style_image:
        return [target_of_images(generator, args.style_image, args.style_image_label)]
    texts = style_texts(args.style or "", generator.style_names)
    return targets_of_labels(generator, texts, style_code=args.style_code, seed=args.seed, psi=args.psi)


def main() -> None:
    """Parses the command line and redraws."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(RestyleArguments, restyle_command)


if __name__ == "__main__":
    main()
