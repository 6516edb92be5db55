"""The command `brushwork restyle`."""

from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.contents import list_originals
from brushwork.data.errors import DataError
from brushwork.data.split import AnySplit
from brushwork.eval.image_folders import (
    RestyledFolder,
    StyleCode,
    Target,
    style_texts,
    target_of_images,
    targets_of_styles,
)
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.options import DeviceName, Psi, Seed, Share, options
from brushwork.models.restyling import Mode
from brushwork.models.snapshot import load_generator
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.inputs import LeftOut, readable, report_frames


@options
class RestyleArguments:
    """Restyle images to styles of the run, to blends of them, or to the style of other images.

    Examples, seconds on a CPU, after a training of ten minutes:
        brushwork train emoji-32-restyle --data datasets/emoji-32 --max-minutes 10
        brushwork restyle runs/emoji-32-restyle datasets/emoji-32 --style all
        brushwork restyle runs/emoji-32-restyle datasets/emoji/noto/1f600.png --style noto=0.3+openmoji=0.7
        brushwork restyle runs/emoji-32-restyle datasets/emoji-32 --style-image datasets/emoji/noto/1f600.png
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a snapshot file or a Hub repository, trained with --generator.encoders."""
    contents: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Images, folders of images at any depth, and packed data sets."""
    style: str | None = None
    """Styles separated by commas, each a name or a blend (noto=0.3+openmoji=0.7), or all. Images of a data
    set are not restyled to the style that they have."""
    style_image: tuple[Path, ...] = ()
    """Images of one style, which the results take."""
    style_image_label: str = "none"
    """Name of the style that --style-image shows, if the run knows it."""
    strength: Share = 1.0
    """Strength: from 0, the image itself, to 1, fully restyled."""
    mode: Mode = "tiled"
    """Images above the trained resolution: restyled in seamless tiles, or resized to it and back."""
    style_code: StyleCode = "content"
    """Style code of named styles and blends. content: encoded from each image itself under the name, which
    keeps its palette; latent: mapped from one latent code, the same for all images."""
    psi: Psi = 1.0
    """Truncation of named styles and blends: 1 is none, towards 0 nearer to the style's average."""
    seed: Seed = 0
    """Seed of the latent code (for --style-code latent) and of the noise."""
    split: AnySplit = "test"
    """Split of a packed data set: test (unseen in training), train or all."""
    out: Path | None = None
    """Folder for the results; default: RUN/restyled, or ./restyled where RUN is no folder."""
    device: DeviceName = "auto"
    """Device: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or mps."""


def restyle_command(args: RestyleArguments) -> None:
    """Restyles the contents, prints where the results are and how to measure them.

    Raises DataError if there are no contents, or some could not be read, and ModelError if there is no style
    or an unknown one, or the run has no encoders.
    """
    if args.style and args.style_image:
        raise ModelError("--style and --style-image were both given: choose one of them.")
    if not (args.style or args.style_image):
        raise ModelError(
            "no style was given: add --style NAME, --style noto=0.3+openmoji=0.7 or --style-image IMAGE."
        )
    if not args.contents:
        raise DataError("There is nothing to restyle: name images, folders or packed data sets.")
    generator = load_generator(args.run, device=args.device)
    targets = find_targets(generator, args)
    originals, left_out = list_originals(args.contents, args.split), LeftOut()
    report_frames([*(one.source for one in originals), *args.style_image])
    out = args.out or (Path(args.run) / "restyled" if Path(args.run).is_dir() else Path("restyled"))
    folder = RestyledFolder(
        generator=generator, targets=targets, out=out, strength=args.strength, mode=args.mode, seed=args.seed
    )
    folder.write(originals, readable(originals, left_out))
    if folder.rows:
        print_summary(folder)
    left_out.fail(done=folder.contents, of=len(originals), kept=f"the others are in {out}")


def find_targets(generator: Generator, args: RestyleArguments) -> list[Target]:
    """Returns the styles of the command line. Raises ModelError for a generator without encoders, too."""
    _ = generator.encoders
    if args.style_image:
        return [target_of_images(generator, args.style_image, args.style_image_label)]
    texts = style_texts(args.style or "", generator.style_names)
    return targets_of_styles(generator, texts, style_code=args.style_code, seed=args.seed, psi=args.psi)


def print_summary(folder: RestyledFolder) -> None:
    """Prints where the results are, and how to measure them."""
    print(f"{len(folder.rows)} images of {folder.contents} contents, grid.png: {folder.out}")
    if folder.larger and folder.mode == "tiled":
        above = f"{folder.larger} contents are above {folder.size[1]} x {folder.size[0]} px"
        print(f"{above}: restyled in tiles (--mode resized: as a whole)")
    known = all(target.name in folder.generator.style_names for target in folder.targets)
    print(f"Measure: brushwork measure {folder.out / 'pairs.csv'}{' --reference DATASET' if known else ''}")


def main() -> None:
    """Parse the command line and restyle."""
    parse_and_run(RestyleArguments, restyle_command)


if __name__ == "__main__":
    main()
