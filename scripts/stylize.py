"""The command `brushwork stylize`."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from annotated_types import Interval
from pydantic import SkipValidation

from brushwork.data.contents import list_originals
from brushwork.data.errors import DataError
from brushwork.models.options import Weight, options
from brushwork.scripts.cli import parse, run_command
from brushwork.scripts.inputs import report_frames
from brushwork.scripts.stylized_album import targets_of
from brushwork.scripts.stylizing import Stylizing
from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.backbones import default_layers, find_backbone
from brushwork.training.style_transfer.config import PRESETS, StylizeConfig

Preset = Literal["fast", "gatys", "neural-style", "tutorial"]


@options
class StylizeArguments:
    """Draws pictures in the style of others by optimising their pixels: neural style transfer. Nothing has
    to be trained; several styles are blended, a folder of styles is taken one by one.

    Examples, a minute on a CPU and without a download:
        brushwork fetch hed-vgg16
        brushwork stylize photo.jpg painting.jpg --backbone hed-vgg16 --size 256
        brushwork stylize photos/ paintings/ --backbone hed-vgg16 --size 256 --colours luma
        brushwork stylize photo.jpg a.jpg b.jpg --style-weights 0.7 0.3 --masks sky.png ground.png
    """

    content: Annotated[Path, SkipValidation, tyro.conf.Positional]
    """A picture, or a folder of pictures at any depth."""
    styles: Annotated[tuple[Path, ...], SkipValidation, tyro.conf.Positional]
    """Pictures whose style is followed together, or a folder of them: then one after the other."""
    preset: Preset = "fast"
    """Where the settings below come from: fast (coarse to fine), or what Gatys, neural-style and PyTorch's
    tutorial published."""
    style_weights: tuple[Weight, ...] = ()
    """How much each of several styles counts; by default alike."""
    masks: tuple[Path, ...] = ()
    """Pictures of the content's size, white where the style is to be: one for all styles, or one for each."""
    start_from: Path | None = None
    """A picture to begin with."""
    out: Path = Path("stylized")
    """Folder: <style>/<content>.png, its losses (.json, -losses.png), grid.png, pairs.csv, job.json."""
    interval: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Keep the picture as it is after every so many evaluations; 0: only the last."""
    resume: bool = False
    """Go on where a stopped command was; what is finished is not drawn again."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network runs."""
    config: tyro.conf.OmitArgPrefixes[StylizeConfig]


def stylize_command(args: StylizeArguments) -> None:
    """Draws everything, then says where it lies and how to measure it, and what could not be drawn."""
    if not args.styles:
        raise DataError("There is no style to follow: name a picture, several, or a folder of them.")
    originals, targets = list_originals([args.content]), targets_of(args.styles)
    given = [*originals, *(one for target in targets for one in target.pictures)]
    report_frames([*(one.source for one in given), *args.masks, args.start_from])
    config = args.config
    layers = default_layers(config.backbone)
    wanted = (*(config.style_layers or layers[0]), *(config.content_layers or layers[1]))
    job = Stylizing(
        network=find_backbone(config.backbone, wanted, config.weights, device=args.device), config=config,
        preset=args.preset, weights=args.style_weights, masks=args.masks, start_from=args.start_from,
        interval=args.interval, resume=args.resume, device=args.device,
    )  # fmt: skip
    drawn = job.run(originals, targets, args.out)
    if drawn.stopped:
        print(f"stopped: go on with --resume ({args.out})")
        sys.exit(130)
    if drawn.count:
        print(f"{drawn.count} pictures, grid.png: {args.out}")
        print(f"Measure: brushwork measure {args.out / 'pairs.csv'}")
    total, kept = len(originals) * len(targets), f"the others are in {args.out}"
    drawn.left_out.fail(done=drawn.count, of=total, kept=kept)


def preset_of(words: list[str]) -> StylizeConfig:
    """The settings that the command line's options start from. Raises TrainingError for an unknown preset."""
    given = [after for word, after in pairwise(words) if word == "--preset"]
    given += [word.removeprefix("--preset=") for word in words if word.startswith("--preset=")]
    name = given[-1] if given else "fast"
    if name not in PRESETS:
        raise TrainingError(f"There is no preset {name!r}: take one of {', '.join(PRESETS)}.")
    return PRESETS[name]()


def parsed(words: list[str]) -> StylizeArguments:
    """Options override the preset's settings."""
    missing: Any = tyro.MISSING  # in place of what is not validated
    default = StylizeArguments(content=missing, styles=missing, config=preset_of(words))
    return parse(StylizeArguments, default=default, words=words)


def main() -> None:
    """Parses the command line and draws."""
    run_command(lambda: stylize_command(parsed(sys.argv[1:])))


if __name__ == "__main__":
    main()
