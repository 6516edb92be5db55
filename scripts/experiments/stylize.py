"""How long until brushwork reaches the loss of published style transfer (docs/stylize.md)?"""

from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from brushwork.data.sources.photographs import fetch_photographs
from brushwork.models.options import Count, options
from brushwork.models.pretrained.hed import FILE, fetch_hed_vgg16
from brushwork.models.pretrained.weights import weights_folder
from brushwork.scripts.bench.harness import machine
from brushwork.scripts.bench.stylize import PACKAGES, BenchmarkSizes, StylizeArguments, tables
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.documented import QUICK, RESULTS, command_of, results_folder, write_results

SIDE = 256
"""Side of the fetched pictures."""


@options
class Arguments:
    """Times `brushwork stylize` beside the loops that PyTorch's tutorial and neural-style publish: a
    photograph in the style of a painting, both of `brushwork fetch photographs`.

    An hour on two cores, and a try:
        brushwork reproduce stylize
        brushwork reproduce stylize --quick
    """

    side: Annotated[int, Interval(ge=32, le=SIDE)] = 192
    """Longer side of both pictures."""
    repeats: Count = 3
    """Rounds, ours and theirs in turn."""
    quick: bool = False
    """Five evaluations of an untrained network on toy images; results go to runs/quick."""
    data: Path = Path("datasets")
    """Folder of the collection, which is fetched if it is missing (44 MB)."""
    results: Path = RESULTS
    """Folder of stylize.json; the document above it gets the tables."""


def asked(args: Arguments) -> StylizeArguments:
    """What is timed: the first photograph of a monument, and the first painting."""
    if args.quick:
        folder = QUICK.parent / "datasets" / "pair"
        first, second = write_toy(folder, styles=2, subjects=1, size=32)
        sizes = BenchmarkSizes(side=32, evaluations=5, repeats=1, backbone="random")
    else:
        if not (weights_folder() / FILE).is_file():
            fetch_hed_vgg16()
        folder, first, second = args.data / f"photographs-{SIDE}", "monuments", "paintings"
        fetch_photographs(folder, size=SIDE, per_style=20)
        sizes = BenchmarkSizes(side=args.side, repeats=args.repeats, threads=1)
    content, style = (min((folder / name).iterdir()) for name in (first, second))
    return StylizeArguments(content=content, style=style, sizes=sizes)


def run_experiment(args: Arguments) -> None:
    """Times both loops, and writes stylize.json."""
    command = command_of("stylize", args)
    folder = results_folder(args.results, quick=args.quick)
    write_results(folder, "stylize", dict(tables(asked(args))), machine(PACKAGES), command=command)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
