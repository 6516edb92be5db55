"""The benchmark `styles`: what more styles cost.

Every style has a row in the tables of the mapping network, the style encoder and the discriminator; the rest
is shared. So parameters grow by those rows alone, and a step's time and memory should hardly grow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import MultipleOf
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.models.classifier import StyleClassifier
from brushwork.models.options import Batch as BatchSize
from brushwork.models.options import Count, options
from brushwork.models.sampling import sample
from brushwork.models.stage import Stage
from brushwork.scripts.bench.harness import Finding, Race, Table, alternated, in_child, machine, peak_memory
from brushwork.scripts.bench.report import plot, write_findings
from brushwork.scripts.bench.train import noise
from brushwork.training.config import TrainConfig
from brushwork.training.context import FrozenNetworks
from brushwork.training.errors import TrainingError
from brushwork.training.presets import emoji_32_restyle
from brushwork.training.restyle.config import Regime
from brushwork.training.state import TrainingState
from brushwork.training.trainer import accelerator_for
from brushwork.training.update import Updater

STEPS = 3
"""After which a process has held all that a training step ever holds."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many styles are compared, on what."""

    counts: tuple[int, ...] = (8, 100, 1000)
    repeats: int = 10
    batch: int = 16


# What is timed
class Candidate:
    """A run of the preset emoji-32-restyle on noise with so many styles."""

    def __init__(self, styles: int, batch: int, base: TrainConfig | None = None) -> None:
        config = replace(base or emoji_32_restyle(), batch=batch, precision="fp32")
        self.stage = Stage(config.generator.resolution)
        pictures = noise(self.stage.resolution, styles=styles)
        self.state = TrainingState.fresh(config, pictures.style_names, torch.device("cpu"))
        self.nets = self.state.nets
        classifier = StyleClassifier(config.generator.widths, styles=styles).requires_grad_(False)
        frozen = FrozenNetworks(classifier=classifier, perception=classifier.maps)
        self.updater = Updater.of(config, pictures, self.state, frozen, accelerator_for(config), bf16=False)
        self.batch = self.updater.loader.batch_at(0, batch)

    @torch.no_grad()
    def encode(self) -> Tensor:
        """The style codes of the batch."""
        encoder = self.nets.generator.encoders.style
        return encoder(self.batch.images, self.batch.styles, self.stage)

    def draw(self) -> Tensor:
        """A picture of each style in the batch."""
        return sample(self.nets.generator, self.batch.styles, torch.arange(len(self.batch.styles)))

    def step(self, regime: Regime) -> None:
        """One training step of both networks, without gradient penalties."""
        self.state.nimg = self.updater.config.batch
        self.updater.step(self.stage, regime)


# Time
Task = Literal["encoding", "restyling", "sampling", "drawing"]

TASKS: Mapping[Task, tuple[str, Callable[[Candidate], object]]] = {
    "encoding": ("Style encoding of {} pictures", Candidate.encode),
    "restyling": ("A restyling step of {} pictures", lambda candidate: candidate.step("restyling")),
    "sampling": ("A sampling step of {} pictures", lambda candidate: candidate.step("sampling")),
    "drawing": ("Drawing {} pictures", Candidate.draw),
}


def race(task: Task, candidates: Sequence[tuple[int, Candidate]], sizes: Sizes) -> Race:
    """The numbers of styles in turn."""
    title, action = TASKS[task]

    def timed(candidate: Candidate) -> Callable[[], object]:
        return lambda: action(candidate)

    timings = alternated(
        {f"{count} styles": timed(candidate) for count, candidate in candidates}, repeats=sizes.repeats,
        progress=task,
    )  # fmt: skip
    first = f"{candidates[0][0]} styles"
    return Race(
        title=title.format(sizes.batch), timings=timings, figures={}, pictures=sizes.batch, yardstick=first
    )


# Size
@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The size of both networks for one number of styles, and the memory of a process that trains them."""

    styles: int
    parameters: int
    per_style: int
    """Parameters that one more style adds."""
    before: float
    """MB that the process had held at most before there were networks."""
    peak: float
    """MB after some restyling steps."""

    def row(self) -> tuple[str, ...]:
        shared = self.parameters - self.styles * self.per_style
        sizes = f"{self.parameters:,}", f"{self.per_style:,}", f"{shared:,}"
        return (f"{self.styles} styles", *sizes, f"{self.before:.0f}", f"{self.peak:.0f}")


@dataclass(frozen=True, kw_only=True)
class Footprints:
    """One for each number of styles."""

    found: tuple[Footprint, ...]

    def table(self) -> Table:
        return Table(
            title="Parameters, and memory of a process that takes restyling steps",
            header=("", "parameters", "a style more", "without styles", "MB before", "peak MB"),
            rows=tuple(one.row() for one in self.found),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {"found": [asdict(one) for one in self.found]}


def footprints(sizes: Sizes) -> Footprints:
    """Each in a process of its own."""
    return Footprints(found=tuple(in_child(footprint, count, sizes.batch) for count in sizes.counts))


def footprint(styles: int, batch: int, base: TrainConfig | None = None) -> Footprint:
    """In this process, whose peak of memory counts from its start."""
    before = peak_memory()
    candidate = Candidate(styles, batch, base)
    for _ in range(STEPS):
        candidate.step("restyling")
    peak, parameters = peak_memory(), parameters_of(candidate)
    added = parameters_of(Candidate(styles + 1, batch, base)) - parameters
    return Footprint(styles=styles, parameters=parameters, per_style=added, before=before, peak=peak)


def parameters_of(candidate: Candidate) -> int:
    """Of generator and discriminator."""
    networks = candidate.nets.generator, candidate.nets.discriminator
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


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
    batch: Annotated[BatchSize, MultipleOf(2)] = Sizes.batch
    """Pictures at once, an even number."""
    out: Path = Path("runs/bench")
    """Folder for styles.json, styles.md and styles.png."""

    def __post_init__(self) -> None:
        if not self.counts or len(set(self.counts)) < len(self.counts):
            given = ", ".join(map(str, self.counts)) or "none"
            raise TrainingError(f"The numbers of styles are {given}: give one or more, each once.")


def bench_styles(args: StylesArguments) -> None:
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


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(StylesArguments, bench_styles)


if __name__ == "__main__":
    main()
