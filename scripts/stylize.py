"""The command `brushwork stylize`."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import SkipValidation

from brushwork.data.contents import list_originals
from brushwork.models.options import DeviceName, Weight, options, resolve_device
from brushwork.scripts.arguments import parse
from brushwork.scripts.cli import run_command
from brushwork.scripts.inputs import LeftOut, report_frames
from brushwork.training.errors import TrainingError
from brushwork.training.speed import choose_precision
from brushwork.training.style_transfer.config import PRESETS, StylizeConfig
from brushwork.training.style_transfer.job import StylizeJob, list_styles
from brushwork.training.style_transfer.transfer import find_backbone

Preset = Literal["fast", "gatys", "neural-style", "tutorial"]


@options
class StylizeArguments:
    """Redraw images in the style of others by optimising their pixels: neural style transfer. It needs no
    trained run. Several style images are blended; a folder of styles is taken one by one.

    Examples, a minute on a CPU and without a download:
        brushwork fetch hed-vgg16
        brushwork stylize photo.jpg painting.jpg --backbone hed-vgg16 --size 256
        brushwork stylize photos/ paintings/ --backbone hed-vgg16 --size 256 --colours luma
        brushwork stylize photo.jpg a.jpg b.jpg --style-weights 0.7 0.3 --masks sky.png ground.png
    """

    content: Annotated[Path, SkipValidation, tyro.conf.Positional]
    """An image, or a folder of images at any depth."""
    styles: Annotated[tuple[Path, ...], SkipValidation, tyro.conf.Positional]
    """Images whose styles are blended, or one folder whose images are taken one by one."""
    preset: Preset = "fast"
    """Defaults of the options below: fast (coarse to fine), or the published settings of Gatys, neural-style
    or PyTorch's tutorial."""
    style_weights: tuple[Weight, ...] = ()
    """Weight of each style image. Default: equal weights."""
    masks: tuple[Path, ...] = ()
    """Images of the content's size, white where the style applies: one for all styles, or one for each."""
    out: Path = Path("stylized")
    """Folder: <style>/<content>.png, grid.png, pairs.csv."""
    resume: bool = False
    """Continue a stopped command: finished images of these settings are kept, others are begun anew."""
    device: DeviceName = "auto"
    """Where the network runs: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or
    mps."""
    config: tyro.conf.OmitArgPrefixes[StylizeConfig]


def stylize_command(args: StylizeArguments) -> None:
    """Stylize all images, then print where they are and what was left out."""
    styles, contents = list_styles(args.styles, args.style_weights), list_originals([args.content])
    images = [*contents, *(image for style in styles for image in style.images)]
    report_frames([*(image.source for image in images), *args.masks])
    device = resolve_device(args.device)
    config = replace(args.config, precision=choose_precision(args.config.precision, device))
    layers = (*config.style_layers, *config.content_layers)
    network = find_backbone(config.backbone, layers, config.weights, device=str(device))
    job = StylizeJob(network=network, config=config, masks=args.masks, resume=args.resume, device=str(device))
    result = job.run(contents, styles, args.out)
    if result.stopped:
        print(f"stopped: go on with --resume ({args.out})")
        sys.exit(130)
    if result.count:
        print(f"{result.count} images, grid.png: {args.out}")
        print(f"Measure: brushwork measure {args.out / 'pairs.csv'}")
    left_out = LeftOut()
    for name, error in result.failures:
        left_out.add(name, error)
    total = len(contents) * len(styles)
    left_out.fail(done=result.count, of=total, kept=f"the others are in {args.out}")


def preset_of(words: list[str]) -> StylizeConfig:
    """Return the configuration of the last --preset. Raises TrainingError for an unknown preset."""
    given = [after for word, after in pairwise(words) if word == "--preset"]
    given += [word.removeprefix("--preset=") for word in words if word.startswith("--preset=")]
    name = given[-1] if given else "fast"
    if name not in PRESETS:
        raise TrainingError(f"There is no preset {name!r}: take one of {', '.join(PRESETS)}.")
    return PRESETS[name]()


def stylize_arguments(words: list[str]) -> StylizeArguments:
    """Parse the command line; the preset gives the defaults."""
    missing: Any = tyro.MISSING  # required arguments have no default to validate
    default = StylizeArguments(content=missing, styles=missing, config=preset_of(words))
    return parse(StylizeArguments, default=default, words=words)


def main() -> None:
    """Parse the command line and stylize."""
    run_command(lambda: stylize_command(stylize_arguments(sys.argv[1:])))


if __name__ == "__main__":
    main()
