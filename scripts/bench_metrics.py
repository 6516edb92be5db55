"""The door `brushwork bench metrics`."""

import sys
from dataclasses import asdict
from pathlib import Path

from brushwork.data.progress import Progress
from brushwork.eval.benchmark import Finding, machine
from brushwork.eval.benchmark_report import markdown, plot, write_rounds
from brushwork.eval.metrics_benchmark import FULL, PARTS, QUICK, PartName
from brushwork.eval.peers import PACKAGES
from brushwork.models.options import options


@options
class MetricsArguments:
    """Times what `brushwork measure` rests on against torch-fidelity, pytorch-fid and SciPy, and compares
    the numbers that they give. Candidates run in turn, so that what disturbs the machine hits them all.

    Example, ten minutes on a CPU (without --quick half an hour); one thread each is the fairest:
        OMP_NUM_THREADS=1 brushwork bench metrics --quick
    """

    quick: bool = False
    """Smaller sets and fewer rounds."""
    parts: tuple[PartName, ...] = ()
    """Only these; by default all."""
    out: Path = Path("runs/bench")
    """Folder for metrics.json and metrics.png, which are written anew after every part."""
    device: str = "cpu"
    """Where Inception runs; everything else is the processor's."""


def metrics(args: MetricsArguments) -> None:
    """Runs the parts, prints a table of each, writes all of them."""
    sizes, here = QUICK if args.quick else FULL, machine(PACKAGES, args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    print(here.words())
    found: dict[str, Finding] = {}
    plotted = False
    for part in Progress(args.parts or tuple(PARTS), desc="bench metrics"):
        found[part] = PARTS[part](sizes, args.device)
        Progress.write(f"\n{markdown(found[part].table())}", file=sys.stdout)
        write_rounds(args.out / "metrics.json", here, asdict(sizes), found)
        plotted = plot(args.out / "metrics.png", found)
    print(f"\nAll rounds: {args.out / 'metrics.json'}" + ", plot: metrics.png beside it" * plotted)


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(MetricsArguments, metrics)


if __name__ == "__main__":
    door()
