"""The benchmark `growth`: how time and memory of a training step grow with resolution, batch and width.

One thing is halved and doubled at a time, all others stay as the configuration says, at its final resolution.
Each variant is measured as `bench train` measures, in a process of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from pydantic import ValidationError

from brushwork.data.errors import DataError
from brushwork.data.files import write_file
from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.eval.report.plots import figure_png
from brushwork.models.errors import ModelError
from brushwork.models.options import options, sentence_of
from brushwork.scripts.bench.harness import Finding, Table, in_child, machine
from brushwork.scripts.bench.report import write_findings
from brushwork.scripts.bench.train import BenchConfig, Pace, Sizes, measure
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.config import Precision, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS

What = Literal["resolution", "batch", "width"]
KINDS: tuple[What, ...] = get_args(What)
UNITS: Mapping[What, str] = {"resolution": "px", "batch": "pictures", "width": "channels"}
FACTORS = (0.5, 2.0)
"""Beside 1, the middle, which all have in common."""
IMPOSSIBLE = (DataError, EvalError, ModelError, TrainingError, ValidationError, torch.OutOfMemoryError)
"""What may keep a variant from being measured, though the middle was."""


# Variants
def at_end(config: TrainConfig) -> TrainConfig:
    """The middle: the last resolution from the start.

    Raises TrainingError where the batch does not divide into its parts.
    """
    config.rows_of(1)
    return replace(config, growing=replace(config.growing, start_resolution=config.generator.resolution))


def scaled(config: TrainConfig, what: What, factor: float) -> TrainConfig:
    """`config`, which does not grow, with one thing `factor` times as large.

    Raises TrainingError, ModelError or ValidationError where there is no such network or batch.
    """
    generator, discriminator = config.generator, config.discriminator
    if what == "batch":
        changed = replace(config, batch=_times(config.batch, factor, "batch"))
        changed.rows_of(1)
        return changed
    if what == "resolution":
        side = _times(generator.resolution, factor, "generator.resolution")
        return replace(
            config, generator=replace(generator, resolution=side),
            growing=replace(config.growing, start_resolution=side),
        )  # fmt: skip
    return replace(
        config,
        generator=replace(
            generator, channel_base=_times(generator.channel_base, factor, "generator.channel_base"),
            channel_max=_times(generator.channel_max, factor, "generator.channel_max"),
        ),
        discriminator=replace(
            discriminator,
            channel_base=_times(discriminator.channel_base, factor, "discriminator.channel_base"),
            channel_max=_times(discriminator.channel_max, factor, "discriminator.channel_max"),
        ),
    )  # fmt: skip


def size_of(config: TrainConfig, what: What) -> int:
    """Pixels of a side, pictures, or the generator's channels at most."""
    if what == "batch":
        return config.batch
    return config.generator.resolution if what == "resolution" else max(config.generator.widths.values())


def _times(value: int, factor: float, name: str) -> int:
    result = value * factor
    if result != int(result):
        raise TrainingError(f"{name} {value} cannot be taken {factor:g} times; take an even number.")
    return int(result)


# What was found
@dataclass(frozen=True, kw_only=True)
class Point:
    """One measured variant."""

    size: int
    """See `size_of`."""
    pace: Pace

    @property
    def seconds(self) -> float:
        """Time a picture."""
        return self.pace.seconds / self.pace.batch

    @property
    def memory(self) -> float:
        """MB above those that the process had before there were networks."""
        return self.pace.peak - self.pace.before


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one thing does, by factor in rising order; the middle is in every line."""

    what: What
    points: Mapping[float, Point]
    left_out: Mapping[float, str] = field(default_factory=dict)
    """Why a factor could not be measured."""

    @property
    def time_exponent(self) -> float:
        """Time a picture grows as size to this power, from the middle to the double; NaN: not measured."""
        return self._exponent(lambda point: point.seconds)

    @property
    def memory_exponent(self) -> float:
        """Likewise of the memory."""
        return self._exponent(lambda point: point.memory)

    def _exponent(self, figure: Callable[[Point], float]) -> float:
        if 2.0 not in self.points:
            return math.nan
        once, twice = (figure(self.points[factor]) for factor in (1.0, 2.0))
        return math.log2(twice / once) if min(once, twice) > 0 else math.nan


# All of them
def benchmark(config: TrainConfig, sizes: Sizes) -> tuple[Line, ...]:
    """A line for each of KINDS. A variant that is impossible, or too large for the memory, is left out.

    Raises TrainingError, ModelError, DataError or EvalError where the middle itself cannot be measured.
    """
    middle = at_end(config)
    with Progress(total=1 + len(KINDS) * len(FACTORS), desc="bench growth", leave=False) as bar:
        pace = in_child(measure, middle, middle.generator.resolution, sizes)
        bar.update()
        # What is found faster for one size must not be a difference between sizes.
        middle = replace(middle, precision=cast(Precision, pace.precision))
        lines: list[Line] = []
        for what in KINDS:
            points = {1.0: Point(size=size_of(middle, what), pace=pace)}
            left_out: dict[float, str] = {}
            for factor in FACTORS:
                try:
                    points[factor] = _measured(middle, what, factor, sizes)
                except IMPOSSIBLE as error:
                    said = sentence_of(error) if isinstance(error, ValidationError) else str(error)
                    left_out[factor] = said.strip().splitlines()[0]
                bar.update()
            ordered = {factor: points[factor] for factor in sorted(points)}
            lines.append(Line(what=what, points=ordered, left_out=left_out))
    return tuple(lines)


def _measured(middle: TrainConfig, what: What, factor: float, sizes: Sizes) -> Point:
    config = scaled(middle, what, factor)
    return Point(
        size=size_of(config, what), pace=in_child(measure, config, config.generator.resolution, sizes)
    )


WORDS = {0.5: "x 1/2", 1.0: "x 1", 2.0: "x 2"}


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How time and memory grow, one line for each thing that was changed."""

    lines: tuple[Line, ...]

    def table(self) -> Table:
        middle = self.lines[0].points[1.0]
        rows = [self._row("as it is", middle)]
        for line in self.lines:
            for factor, point in line.points.items():
                if factor != 1.0:
                    name = f"{line.what} {WORDS[factor]}: {point.size} {UNITS[line.what]}"
                    rows.append(self._row(name, point, line if factor == 2.0 else None))
        as_it_is = ", ".join(f"{line.points[1.0].size} {UNITS[line.what]}" for line in self.lines)
        return Table(
            title=f"Growth of a training step: {as_it_is}, {middle.pace.precision}",
            header=("", "img/s", "ms a step (IQR)", "GFLOP a picture", "of the peak", "peak MB",
                    "exponent of time", "of memory"),
            rows=tuple(rows), notes=self._notes(),
        )  # fmt: skip

    @staticmethod
    def _row(name: str, point: Point, line: Line | None = None) -> tuple[str, ...]:
        pace = point.pace
        return (
            name, f"{pace.rate:.1f}", f"{1000 * pace.seconds:.0f} ({pace.spread:.0%})", f"{pace.gflops:.3g}",
            f"{pace.utilisation:.0%}", f"{pace.peak:.0f}",
            _power(line.time_exponent) if line else "", _power(line.memory_exponent) if line else "",
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        before = self.lines[0].points[1.0].pace.before
        left_out = (
            f"Left out, {line.what} {WORDS[factor]}: {why}"
            for line in self.lines
            for factor, why in line.left_out.items()
        )
        return (
            "Exponents are from x 1 to x 2, of the time a picture and of the memory above that of the "
            f"process's start ({before:.0f} MB as it is): 0 stays, 1 doubles, 2 is four times as much.",
            "What more styles cost is measured by `brushwork bench styles`.",
            *left_out,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            line.what: {
                "unit": UNITS[line.what], "time_exponent": line.time_exponent,
                "memory_exponent": line.memory_exponent,
                "points": {f"{factor:g}": _facts(point) for factor, point in line.points.items()},
                "left_out": {f"{factor:g}": why for factor, why in line.left_out.items()},
            }
            for line in self.lines
        }  # fmt: skip


def _power(exponent: float) -> str:
    return f"{exponent:.2f}" if math.isfinite(exponent) else "-"


def _facts(point: Point) -> dict[str, Any]:
    pace = point.pace
    return {
        "size": point.size, "img_per_s": pace.rate, "seconds_a_picture": point.seconds,
        "memory_above_start": point.memory, "gflop_a_picture": pace.gflops, "utilisation": pace.utilisation,
        "pace": asdict(pace),
    }  # fmt: skip


# Picture
def picture(lines: Sequence[Line]) -> Figure:
    """Time a picture and memory against the factor, on log axes, with a line for each thing changed."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, lines, "milliseconds a picture", lambda point: 1000 * point.seconds)
    _panel(right, lines, "MB above the process's start", lambda point: point.memory)
    left.legend(fontsize=8)
    return figure


def _panel(axes: Axes, lines: Sequence[Line], title: str, figure: Callable[[Point], float]) -> None:
    for line, marker in zip(lines, "os^", strict=True):
        values = {factor: figure(point) for factor, point in line.points.items()}
        axes.plot(list(values), list(values.values()), marker=marker, label=line.what)
        for factor, value in values.items():
            axes.annotate(f"{value:.3g}", (factor, value), (0, 5), textcoords="offset points", size=7)
    axes.set_xscale("log", base=2)
    if any(figure(point) > 0 for line in lines for point in line.points.values()):
        axes.set_yscale("log")  # a step of the tiniest networks needs no more than importing them did
    axes.set_xticks(list(WORDS), list(WORDS.values()))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, loc="left", size=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


DESCRIPTION = """Time the training steps of a preset, or of FILE.json, with resolution, batch and width halved
and doubled, one at a time, on noise.

It tells pictures a second, memory, operations, and the powers at which time and memory grow. The middle is
the final resolution; every option of brushwork train holds. Examples, some minutes on a CPU:
    brushwork bench growth emoji-32
    brushwork bench growth emoji-32 --batch 8 --repeats 4
"""


@options
class GrowthArguments:
    """What to time."""

    bench: Annotated[BenchConfig, tyro.conf.arg(name="")] = field(default_factory=BenchConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def bench_growth(args: GrowthArguments) -> None:
    """Measures, prints a table, writes it with all rounds and a picture."""
    folder = args.bench.report
    folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(repeats=args.bench.repeats)
    lines = benchmark(args.base, sizes)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    found: dict[str, Finding] = {"growth": Growth(lines=lines)}
    text = write_findings(folder, "growth", here, asdict(sizes), found)
    write_file(folder / "growth.png", figure_png(picture(lines), dpi=100))
    print(f"{text}\n")
    print(f"All rounds: {folder / 'growth.json'}; growth.md, growth.png beside it")


def growable() -> dict[str, tuple[str, GrowthArguments]]:
    """The presets."""
    return {name: (words, GrowthArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> GrowthArguments:
    return GrowthArguments(base=read_preset(path))


def main() -> None:
    """Parses the command line: a preset or a file, then options."""
    run_command(lambda: bench_growth(configured(growable(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    main()
