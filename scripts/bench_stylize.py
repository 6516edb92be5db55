"""The door `brushwork bench stylize`."""

import sys
from dataclasses import asdict, field
from pathlib import Path

import torch

from brushwork.data.files import write_file
from brushwork.data.images import read_image
from brushwork.eval.benchmark import Finding, Table, machine
from brushwork.eval.benchmark_report import markdown, write_rounds
from brushwork.models.options import Side, options
from brushwork.scripts.stylized_album import as_tensor
from brushwork.training.stylize_benchmark import RECIPES, Recipe, Sizes, largest, race


@options
class StylizeArguments:
    """Times `brushwork stylize` against the loops that PyTorch's tutorial and neural-style publish: how long
    until the lowest loss that they had? Rival and we alternate, each in a process of its own.

    Example, an hour on two cores:
        brushwork fetch hed-vgg16
        brushwork bench stylize --content photo.jpg --style painting.jpg
    """

    content: Path
    """A photograph."""
    style: Path
    """A painting."""
    recipes: tuple[Recipe, ...] = RECIPES
    """Whose loss."""
    large: Side = 0
    """Longer side in pixels of a picture whose memory is measured, too: 2048; 0: none."""
    sizes: Sizes = field(default_factory=Sizes)
    out: Path = Path("runs/bench")
    """Folder for stylize.json and stylize.md."""


def main(args: StylizeArguments) -> None:
    """Runs the races, prints a table of each, writes all of them."""
    if args.sizes.threads:
        torch.set_num_threads(args.sizes.threads)
    content, style = as_tensor(read_image(args.content)), as_tensor(read_image(args.style))
    here = machine(("torch", "torchvision"))
    args.out.mkdir(parents=True, exist_ok=True)
    print(here.words())
    found: dict[str, Finding] = {}
    texts: list[str] = []
    for recipe in args.recipes:
        found[recipe] = race(recipe, args.sizes, content, style)
        texts.append(markdown(found[recipe].table()))
        print(f"\n{texts[-1]}", file=sys.stdout)
    if args.large:
        peak = largest(args.large, args.sizes, content, style)
        size = Table(
            title=f"{args.large} px in tiles", header=("", "peak MB"), rows=(("fast", f"{peak:.0f}"),)
        )
        texts.append(markdown(size))
        print(f"\n{texts[-1]}")
    text = "\n\n".join(texts)
    write_file(args.out / "stylize.md", f"{here.words()}\n\n{text}\n")
    write_rounds(args.out / "stylize.json", here, {**asdict(args.sizes), "weights": None}, found)
    print(f"\nAll rounds: {args.out / 'stylize.json'}; stylize.md beside it")


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(StylizeArguments, main)


if __name__ == "__main__":
    door()
