"""The door `brushwork bench styles`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from annotated_types import MultipleOf

from brushwork.data.progress import Progress
from brushwork.eval.benchmark import Finding, machine
from brushwork.eval.benchmark_report import plot, write_findings
from brushwork.models.options import Batch, Count, options
from brushwork.training.errors import TrainingError
from brushwork.training.styles_benchmark import TASKS, Candidate, Sizes, footprints, race


@options
class StylesArguments:
    """Measures what more styles cost: parameters and memory, and the time of a style encoding, of a training
    step and of drawing, on the networks of the preset emoji-32-restyle.

    Example, two minutes on a CPU:
        OMP_NUM_THREADS=1 brushwork bench styles
    """

    counts: tuple[Count, ...] = Sizes.counts
    """Numbers of styles, the first of which is the yardstick."""
    repeats: Count = Sizes.repeats
    """Rounds; in each, every number of styles has its turn."""
    batch: Annotated[Batch, MultipleOf(2)] = Sizes.batch
    """Pictures at once, an even number."""
    out: Path = Path("runs/bench")
    """Folder for styles.json, styles.md and styles.png."""

    def __post_init__(self) -> None:
        if not self.counts or len(set(self.counts)) < len(self.counts):
            given = ", ".join(map(str, self.counts)) or "none"
            raise TrainingError(f"The numbers of styles are {given}: give one or more, each once.")


def main(args: StylesArguments) -> None:
    """Measures, prints a table of each part, writes all of them."""
    sizes, here = Sizes(counts=args.counts, repeats=args.repeats, batch=args.batch), machine(("torch",))
    args.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Finding] = {"size": footprints(sizes)}
    candidates = [(count, Candidate(count, sizes.batch)) for count in sizes.counts]
    for task in Progress(TASKS, desc="bench styles", leave=False):
        found[task] = race(task, candidates, sizes)
    print(f"{write_findings(args.out, 'styles', here, asdict(sizes), found)}\n")
    plot(args.out / "styles.png", found)
    print(f"All rounds: {args.out / 'styles.json'}; styles.md, styles.png beside it")


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(StylesArguments, main)


if __name__ == "__main__":
    door()
