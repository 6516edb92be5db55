"""The benchmark `growth`: how time and memory of a training step grow with resolution, batch and width.

One quantity at a time is halved and doubled, the others stay as the configuration says, at its final
resolution. Each variant is measured as `bench train` measures, in a process of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import torch
import tyro
from pydantic import ValidationError

from brushwork.data.errors import DataError
from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.models.options import options, sentence_of
from brushwork.scripts.bench.harness import Finding, Table, device_of, in_child, machine, run_on_preset
from brushwork.scripts.bench.report import write_report
from brushwork.scripts.bench.train import BenchConfig, Throughput, measure
from brushwork.training.config import Precision, TrainConfig
from brushwork.training.errors import TrainingError

Quantity = Literal["resolution", "batch", "width"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
UNITS: Mapping[Quantity, str] = {"resolution": "px", "batch": "pictures", "width": "channels"}
LABELS = {0.5: "x 1/2", 1.0: "x 1", 2.0: "x 2"}
IMPOSSIBLE = (DataError, EvalError, ModelError, TrainingError, ValidationError, torch.OutOfMemoryError)
"""Errors for which a variant is left out."""


# Variants
def without_growing(config: TrainConfig) -> TrainConfig:
    """`config` at its final resolution from the start.

    Raises TrainingError if the batch does not divide into its parts.
    """
    config.rows_of(1)
    return replace(config, growing=replace(config.growing, start_resolution=config.generator.resolution))


def scaled(config: TrainConfig, quantity: Quantity, factor: float) -> TrainConfig:
    """`config`, which does not grow, with one quantity multiplied by `factor`.

    Raises TrainingError, ModelError or ValidationError if there is no such network or batch.
    """
    generator, discriminator = config.generator, config.discriminator
    if quantity == "batch":
        changed = replace(config, batch=_times(config.batch, factor, "batch"))
        changed.rows_of(1)
        return changed
    if quantity == "resolution":
        resolution = _times(generator.resolution, factor, "generator.resolution")
        return replace(
            config, generator=replace(generator, resolution=resolution),
            growing=replace(config.growing, start_resolution=resolution),
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


def size_of(config: TrainConfig, quantity: Quantity) -> int:
    """Pixels of a side, images of a batch, or the generator's widest layer in channels."""
    if quantity == "batch":
        return config.batch
    return config.generator.resolution if quantity == "resolution" else max(config.generator.widths.values())


def _times(value: int, factor: float, name: str) -> int:
    result = value * factor
    if result != int(result):
        raise TrainingError(f"{name} {value} cannot be taken {factor:g} times; take an even number.")
    return int(result)


# Measurements
@dataclass(frozen=True, kw_only=True)
class Point:
    """One measured variant."""

    size: int
    """See `size_of`."""
    throughput: Throughput

    @property
    def seconds(self) -> float:
        """Time for each image."""
        return self.throughput.seconds / self.throughput.batch

    @property
    def memory(self) -> float:
        """MB above the process's memory before the networks were built."""
        return self.throughput.peak - self.throughput.before


@dataclass(frozen=True, kw_only=True)
class Line:
    """Measurements of one quantity by factor, in rising order; 1 is in every line."""

    quantity: Quantity
    points: Mapping[float, Point]
    left_out: Mapping[float, str] = field(default_factory=dict)
    """Why a factor could not be measured."""

    @property
    def time_exponent(self) -> float:
        """Exponent of the time for each image, from factor 1 to 2; NaN if not measured."""
        return self._exponent(lambda point: point.seconds)

    @property
    def memory_exponent(self) -> float:
        """Exponent of the memory, from factor 1 to 2; NaN if not measured."""
        return self._exponent(lambda point: point.memory)

    def _exponent(self, value: Callable[[Point], float]) -> float:
        if 2.0 not in self.points:
            return math.nan
        once, twice = (value(self.points[factor]) for factor in (1.0, 2.0))
        return math.log2(twice / once) if min(once, twice) > 0 else math.nan


def measure_growth(config: TrainConfig, repeats: int) -> tuple[Line, ...]:
    """Measures a line for each quantity. Variants that are impossible or too large are left out.

    Raises TrainingError, ModelError, DataError or EvalError if `config` itself cannot be measured.
    """
    base = without_growing(config)
    with Progress(total=1 + 2 * len(QUANTITIES), desc="bench growth", leave=False) as bar:
        throughput = in_child(measure, base, base.generator.resolution, repeats)
        bar.update()
        # All variants use the same precision, even if another one is faster for their size.
        base = replace(base, precision=cast(Precision, throughput.precision))
        lines: list[Line] = []
        for quantity in QUANTITIES:
            points = {1.0: Point(size=size_of(base, quantity), throughput=throughput)}
            left_out: dict[float, str] = {}
            for factor in (0.5, 2.0):
                try:
                    points[factor] = _measured(scaled(base, quantity, factor), quantity, repeats)
                except IMPOSSIBLE as error:
                    why = sentence_of(error) if isinstance(error, ValidationError) else str(error)
                    left_out[factor] = why.strip().splitlines()[0]
                bar.update()
            lines.append(Line(quantity=quantity, points=dict(sorted(points.items())), left_out=left_out))
    return tuple(lines)


def _measured(config: TrainConfig, quantity: Quantity, repeats: int) -> Point:
    throughput = in_child(measure, config, config.generator.resolution, repeats)
    return Point(size=size_of(config, quantity), throughput=throughput)


# Report
def growth(lines: Sequence[Line]) -> Finding:
    """Time and memory of every variant, with the exponents of every quantity."""
    base = lines[0].points[1.0].throughput
    rows = [_row("as it is", base)]
    for line in lines:
        for factor, point in line.points.items():
            if factor != 1.0:
                name = f"{line.quantity} {LABELS[factor]}: {point.size} {UNITS[line.quantity]}"
                rows.append(_row(name, point.throughput, line if factor == 2.0 else None))
    sizes = ", ".join(f"{line.points[1.0].size} {UNITS[line.quantity]}" for line in lines)
    left_out = (
        f"Left out, {line.quantity} {LABELS[factor]}: {why}"
        for line in lines
        for factor, why in line.left_out.items()
    )
    return Finding(
        table=Table(
            title=f"Growth of a training step: {sizes}, {base.precision}",
            header=("", "img/s", "ms a step (IQR)", "GFLOP a picture", "of the peak", "peak MB",
                    "exponent of time", "of memory"),
            rows=tuple(rows),
            notes=(
                "Exponents are from x 1 to x 2, of the time for a picture and of the memory above that of "
                f"the process's start ({base.before:.0f} MB as it is): 0 stays, 1 doubles, 2 quadruples.",
                "`brushwork bench styles` measures the cost of more styles.", *left_out,
            ),
        ),
        data={line.quantity: _line_data(line) for line in lines},
    )  # fmt: skip


def _row(name: str, throughput: Throughput, line: Line | None = None) -> tuple[str, ...]:
    exponents = (line.time_exponent, line.memory_exponent) if line else ()
    return (
        name, f"{throughput.rate:.1f}", f"{1000 * throughput.seconds:.0f} ({throughput.spread:.0%})",
        f"{throughput.gflops:.3g}", f"{throughput.utilisation:.0%}", f"{throughput.peak:.0f}",
        *([f"{value:.2f}" if math.isfinite(value) else "-" for value in exponents] or ("", "")),
    )  # fmt: skip


def _line_data(line: Line) -> dict[str, Any]:
    points = {
        f"{factor:g}": {
            "size": point.size, "img_per_s": point.throughput.rate, "seconds_a_picture": point.seconds,
            "memory_above_start": point.memory, "gflop_a_picture": point.throughput.gflops,
            "utilisation": point.throughput.utilisation, "throughput": asdict(point.throughput),
        }
        for factor, point in line.points.items()
    }  # fmt: skip
    return {
        "unit": UNITS[line.quantity], "time_exponent": line.time_exponent,
        "memory_exponent": line.memory_exponent, "points": points,
        "left_out": {f"{factor:g}": why for factor, why in line.left_out.items()},
    }  # fmt: skip


DESCRIPTION = """Time the training steps of a preset, or of FILE.json, with resolution, batch and width halved
and doubled, one at a time, on noise.

It prints images a second, memory, operations, and the exponents of time and memory, at the final resolution.
All options of brushwork train apply. Examples, some minutes on a CPU:
    brushwork bench growth emoji-32
    brushwork bench growth emoji-32 --batch 8 --repeats 4
"""


@options
class GrowthArguments:
    """The benchmark, and the configuration that it varies."""

    bench: Annotated[BenchConfig, tyro.conf.arg(name="")] = field(default_factory=BenchConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def bench_growth(args: GrowthArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    folder: Path = args.bench.report
    folder.mkdir(parents=True, exist_ok=True)
    lines = measure_growth(args.base, args.bench.repeats)
    here = machine(("torch",), device_of(args.base))
    sizes = {"repeats": args.bench.repeats}
    print(write_report(folder, "growth", here, sizes, {"growth": growth(lines)}))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    run_on_preset(GrowthArguments, bench_growth, DESCRIPTION)
