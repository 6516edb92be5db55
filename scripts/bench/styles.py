"""The benchmark `styles`: time and memory against the number of styles.

Every style has a row in the tables of the mapping network, the style encoder and the discriminator; all other
parameters are shared. So parameters grow by those rows alone, and a step's time and memory should hardly
grow.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import MultipleOf
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.models.options import Batch, Count, options
from brushwork.models.sampling import sample
from brushwork.scripts.bench.harness import (
    Comparison,
    Finding,
    Part,
    Table,
    compare,
    in_child,
    machine,
    peak_memory,
)
from brushwork.scripts.bench.report import write_report
from brushwork.scripts.bench.train import NoiseRun
from brushwork.scripts.cli import parse_and_run
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.presets import emoji_32_restyle

STEPS = 3
"""Training steps after which a process has reached its peak of memory."""


def run_of(styles: int, batch: int, base: TrainConfig | None = None) -> NoiseRun:
    """A run of `base`, by default of the preset emoji-32-restyle, with so many styles."""
    config = replace(base or emoji_32_restyle(), batch=batch, precision="fp32", device="cpu")
    return NoiseRun(config, config.generator.resolution, styles=styles)


# Time
@torch.no_grad()
def encode(run: NoiseRun) -> Tensor:
    """Style codes of a batch."""
    encoder = run.state.nets.generator.encoders.style
    return encoder(run.batch.images, run.batch.styles, run.stage)


def generate(run: NoiseRun) -> Tensor:
    """Samples of the styles of a batch."""
    styles = run.batch.styles
    return sample(run.state.nets.generator, styles, torch.arange(len(styles)))


TASKS: Mapping[str, tuple[str, Callable[[NoiseRun], object]]] = {
    "encoding": ("Style encoding of {} pictures", encode),
    "restyling": ("A restyling step of {} pictures", lambda run: run.step("restyling")),
    "sampling": ("A sampling step of {} pictures", lambda run: run.step("sampling")),
    "generating": ("Generating {} pictures", generate),
}
"""Titles, and what is timed."""


def compare_counts(task: str, runs: Mapping[int, NoiseRun], *, batch: int, repeats: int) -> Comparison:
    """Times one task with each number of styles."""
    title, action = TASKS[task]
    functions = {f"{count} styles": partial(action, run) for count, run in runs.items()}
    return compare(title.format(batch), functions, repeats=repeats, images=batch)


# Size
@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Size of both networks for one number of styles, and memory of a process that trains them."""

    styles: int
    parameters: int
    per_style: int
    """Parameters of one more style."""
    before: float
    """Peak memory in MB before the networks were built."""
    peak: float
    """Peak memory in MB after some restyling steps."""


def footprints(counts: tuple[int, ...], batch: int) -> tuple[Footprint, ...]:
    """Measures each number of styles in a process of its own."""
    return tuple(in_child(footprint, count, batch) for count in counts)


def footprint(styles: int, batch: int, base: TrainConfig | None = None) -> Footprint:
    """Measures one number of styles in this process."""
    before = peak_memory()
    run = run_of(styles, batch, base)
    for _ in range(STEPS):
        run.step("restyling")
    peak, parameters = peak_memory(), parameters_of(run)
    added = parameters_of(run_of(styles + 1, batch, base)) - parameters
    return Footprint(styles=styles, parameters=parameters, per_style=added, before=before, peak=peak)


def parameters_of(run: NoiseRun) -> int:
    """Number of parameters of generator and discriminator."""
    networks = run.state.nets.generator, run.state.nets.discriminator
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def sizes_part(results: tuple[Footprint, ...]) -> Finding:
    """Parameters and memory of each number of styles."""
    rows = (
        (
            f"{one.styles} styles", f"{one.parameters:,}", f"{one.per_style:,}",
            f"{one.parameters - one.styles * one.per_style:,}", f"{one.before:.0f}", f"{one.peak:.0f}",
        )
        for one in results
    )  # fmt: skip
    return Finding(
        table=Table(
            title="Parameters, and memory of a process that takes restyling steps",
            header=("", "parameters", "a style more", "without styles", "MB before", "peak MB"),
            rows=tuple(rows),
        ),
        data={"found": [asdict(one) for one in results]},
    )


@options
class StylesArguments:
    """Measures what more styles cost: parameters and memory, and the time of a style encoding, of a training
    step and of generating, on the networks of the preset emoji-32-restyle.

    Example, two minutes on a CPU:
        OMP_NUM_THREADS=1 brushwork bench styles
    """

    counts: tuple[Count, ...] = (8, 100, 1000)
    """Numbers of styles; the first is the baseline."""
    repeats: Count = 10
    """Rounds, in each of which every number of styles is timed."""
    batch: Annotated[Batch, MultipleOf(2)] = 16
    """Images in a batch, an even number."""
    out: Path = Path("runs/bench")
    """Folder for styles.json and styles.md."""

    def __post_init__(self) -> None:
        if not self.counts or len(set(self.counts)) < len(self.counts):
            given = ", ".join(map(str, self.counts)) or "none"
            raise TrainingError(f"The numbers of styles are {given}: give one or more, each once.")


def bench_styles(args: StylesArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    args.out.mkdir(parents=True, exist_ok=True)
    here = machine(("torch",))
    parts: dict[str, Part] = {"size": sizes_part(footprints(args.counts, args.batch))}
    runs = {count: run_of(count, args.batch) for count in args.counts}
    for task in Progress(TASKS, desc="bench styles", leave=False):
        parts[task] = compare_counts(task, runs, batch=args.batch, repeats=args.repeats)
    sizes = {"counts": args.counts, "repeats": args.repeats, "batch": args.batch}
    print(write_report(args.out, "styles", here, sizes, parts))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(StylesArguments, bench_styles)
