"""The command `brushwork invert`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from annotated_types import Interval
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.contents import Cutout, Original, list_originals
from brushwork.data.dataset import load_dataset
from brushwork.data.errors import DataError
from brushwork.data.images import fit_image
from brushwork.data.split import AnySplit
from brushwork.eval.features.extractors import default_extractors
from brushwork.eval.image_folders import as_tensors, style_texts
from brushwork.eval.metrics.perceptual import PerceptualDistance, perceptual_distance
from brushwork.models.generator import Generator
from brushwork.models.options import DeviceName, options, resolve_device
from brushwork.models.sampling import require_trained
from brushwork.models.snapshot import DIGEST, find_snapshot, load_generator, snapshot_header
from brushwork.models.styles import style_weights
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.inputs import LeftOut, readable, report_frames
from brushwork.training.interrupt import stop_on_signals
from brushwork.training.inversion.config import InversionConfig
from brushwork.training.inversion.job import InversionJob, Stopped
from brushwork.training.inversion.results import (
    CODES,
    INVERTED,
    NEAREST,
    RANDOM,
    TUNED,
    Differences,
    differences,
    images_by_kind,
    nearest_images,
    tuned_notes,
    write_results,
)


@options
class InvertArguments:
    """Find the style codes whose images are nearest to given ones, to edit them: other styles, directions,
    mixing, interpolation.

    Examples, a minute on a CPU, after `make demo`:
        brushwork invert runs/demo datasets/emoji/noto/1f600.png datasets/emoji/noto/1f34e.png
        brushwork sample runs/demo --codes runs/demo/inverted/codes.safetensors --direction sefa:1
        brushwork invert runs/demo datasets/emoji-32 --limit 8 --tune-steps 350 --reference datasets/emoji-32
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a snapshot file or a Hub repository."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")] = ()
    """Images, folders of images at any depth, and packed data sets."""
    style: str = "all"
    """Styles in which the images are sought, separated by commas: names and blends. The nearest is taken."""
    split: AnySplit = "test"
    """Split of a packed data set: test (unseen in training), train or all."""
    limit: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Invert the first N images only; 0: all."""
    reference: Path | None = None
    """A packed data set: its nearest training image stands beside every result."""
    out: Path | None = None
    """Folder for the results; default: RUN/inverted, or ./inverted where RUN is no folder."""
    resume: bool = False
    """Go on with a command that was stopped."""
    device: DeviceName = "auto"
    """Device: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or mps."""
    config: tyro.conf.OmitArgPrefixes[InversionConfig] = InversionConfig()


def invert_command(args: InvertArguments) -> None:
    """Inverts the images, then prints how near they came and what can be done with the codes.

    Raises:
        DataError: there are no images, or some could not be read.
        ModelError: an unknown or untrained style.
    """
    if not args.images:
        raise DataError("There is nothing to invert: name images, folders or packed data sets.")
    device = resolve_device(args.device)
    snapshot = find_snapshot(args.run)
    generator, header = load_generator(snapshot, device=args.device), snapshot_header(snapshot)
    originals, left_out = list_originals(args.images, args.split)[: args.limit or None], LeftOut()
    report_frames(one.source for one in originals)
    styles = styles_of(generator, args.style)
    pictures = list(readable(originals, left_out))
    if not pictures:
        left_out.fail(done=0, of=len(originals), kept="")
    names, images = tuple(one.name for one, _ in pictures), fitted(generator, pictures)
    distance = perceptual_distance(args.config.network, device)
    out = args.out or (Path(args.run) / "inverted" if Path(args.run).is_dir() else Path("inverted"))
    with stop_on_signals() as stop:
        job = InversionJob(
            generator=generator, distance=distance, config=args.config, names=names, images=images,
            styles=styles, weights=str(header.get(DIGEST)), folder=out / "checkpoints", stop=stop,
        )  # fmt: skip
        try:
            found = job.run(resume=args.resume)
        except Stopped:
            print(f"stopped: go on with --resume ({out})")
            sys.exit(130)
    known = None if args.reference is None else load_dataset(args.reference)
    nearest = None if known is None else nearest_images(distance, images, known.images, device)
    kinds = images_by_kind(generator, found, images, nearest)
    measured = differences([distance, *others(args.config.network, device)], kinds, device)
    notes = tuned_notes(header["notes"], args.config.network)
    write_results(out, generator, found, kinds, measured, notes)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # all is done
    print_summary(measured, args.config.network, out, tuned=found.tuned is not None)
    left_out.fail(done=len(names), of=len(originals), kept=f"the others are in {out}")


def styles_of(generator: Generator, text: str) -> Tensor:
    """The weights of the styles in which images are sought, all trained ones for "all". Raises ModelError for
    unknown and untrained styles."""
    names = generator.style_names
    rows = torch.stack([style_weights(name, names) for name in style_texts(text, names)])
    if text == "all":
        rows = torch.stack(
            [row for row in rows if not generator.mapping.untrained_styles(row[None])] or [*rows]
        )
    require_trained(generator, rows, psi=0.0)
    return rows


def fitted(generator: Generator, pictures: Sequence[tuple[Original, Cutout]]) -> UInt8[Tensor, "n c h w"]:
    """The images as the generator takes them."""
    opaque = generator.config.channels == 3
    pixels = [cutout.pixels if opaque else cutout.with_alpha() for _, cutout in pictures]
    return as_tensors([fit_image(np.asarray(one), generator.trained_size) for one in pixels])


def others(network: str, device: torch.device) -> list[PerceptualDistance]:
    """The distances at hand that were not minimised."""
    return [perceptual_distance(name, device) for name in default_extractors() if name != network]


def print_summary(measured: Differences, network: str, out: Path, *, tuned: bool) -> None:
    """Prints the mean distances, where the files are and what can be done with them."""
    for measure, kinds in measured.by_measure.items():
        beside = ", ".join(
            f"{kind if kind != NEAREST else 'nearest training image'} {measured.mean(measure, kind):.3g}"
            for kind in kinds
            if kind != INVERTED
        )
        what = "root mean square of 255" if measure == "pixels" else measure
        note = " (minimised)" if measure == network else ""
        print(f"{what}{note}: {measured.mean(measure, INVERTED):.3g}; {beside}")
    count = len(measured.by_measure["pixels"][RANDOM])
    print(f"{count} images, grid.png, distances.csv: {out}")
    run = out / TUNED if tuned else "RUN"
    print(f"Edit: brushwork sample {run} --codes {out / CODES} --direction sefa")


def main() -> None:
    """Parse the command line and invert."""
    parse_and_run(InvertArguments, invert_command)


if __name__ == "__main__":
    main()
