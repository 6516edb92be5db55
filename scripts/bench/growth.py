"""The benchmark `growth`: how time and memory of a training step grow with resolution, batch and width.

One quantity at a time is halved and doubled, the others stay as the configuration says, at its final
resolution. Each variant is measured as `bench train` measures, in a process of its own.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import torch
import tyro
from pydantic import ValidationError

from brushwork.data.errors import DataError
from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.errors import ModelError
from brushwork.models.generator import GeneratorConfig
from brushwork.models.options import options, sentence_of
from brushwork.scripts.bench.harness import Table, in_child, machine_of, report, run_on_preset
from brushwork.scripts.bench.train import RATES, Repeats, Throughput, measure, rates_of
from brushwork.training.config import Precision, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.schedules import GrowingConfig

Quantity = Literal["resolution", "batch", "width"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
UNITS: dict[Quantity, str] = {"resolution": "px", "batch": "images", "width": "channels"}
FACTORS = {0.5: "x 1/2", 2.0: "x 2"}
IMPOSSIBLE = (DataError, EvalError, ModelError, TrainingError, ValidationError, torch.OutOfMemoryError)
"""Errors for which a variant is left out."""

Config = TypeVar("Config", TrainConfig, GeneratorConfig, DiscriminatorConfig, GrowingConfig)


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

    def times(part: Config, *names: str) -> Config:
        values = {name: getattr(part, name) * factor for name in names}
        for name, value in values.items():
            if value != int(value):
                raise TrainingError(
                    f"{name} {getattr(part, name)} cannot be taken {factor:g} times; take an even number."
                )
        return replace(part, **{name: int(value) for name, value in values.items()})

    if quantity == "batch":
        changed = times(config, "batch")
        changed.rows_of(1)
        return changed
    if quantity == "resolution":
        generator = times(config.generator, "resolution")
        return replace(config, generator=generator, growing=times(config.growing, "start_resolution"))
    generator = times(config.generator, "channel_base", "channel_max")
    discriminator = times(config.discriminator, "channel_base", "channel_max")
    return replace(config, generator=generator, discriminator=discriminator)


def size_of(config: TrainConfig, quantity: Quantity) -> str:
    """Pixels of a side, images of a batch, or channels of the generator's widest layer."""
    widest = max(config.generator.widths.values())
    sizes = {"batch": config.batch, "resolution": config.generator.resolution, "width": widest}
    return f"{sizes[quantity]} {UNITS[quantity]}"


# Measurements
@dataclass(frozen=True, kw_only=True)
class Line:
    """One quantity: what was measured by factor, and why a factor could not be measured."""

    quantity: Quantity
    points: dict[float, Throughput]
    """The factor 1 is in every line."""
    sizes: dict[float, str]
    left_out: dict[float, str] = field(default_factory=dict)

    @property
    def exponents(self) -> tuple[float, float]:
        """Exponents from factor 1 to 2 of the time for each image, and of the memory above that at the start;
        NaN if not measured."""
        if 2.0 not in self.points:
            return math.nan, math.nan
        pair = self.points[1.0], self.points[2.0]
        return (
            _exponent(*(1 / one.rate for one in pair)),
            _exponent(*(one.peak - one.before for one in pair)),
        )


def _exponent(once: float, twice: float) -> float:
    return math.log2(twice / once) if min(once, twice) > 0 else math.nan


def measure_growth(config: TrainConfig, repeats: int) -> list[Line]:
    """Measures a line for each quantity. Variants that are impossible or too large are left out.

    Raises TrainingError, ModelError, DataError or EvalError if `config` itself cannot be measured.
    """
    base = without_growing(config)
    with Progress(total=1 + len(QUANTITIES) * len(FACTORS), desc="bench growth", leave=False) as bar:
        once = in_child(measure, base, base.generator.resolution, repeats)
        bar.update()
        # All variants use the same precision, even if another one is faster for their size.
        base = replace(base, precision=cast(Precision, once.precision))
        lines = []
        for quantity in QUANTITIES:
            line = Line(quantity=quantity, points={1.0: once}, sizes={1.0: size_of(base, quantity)})
            for factor in FACTORS:
                try:
                    variant = scaled(base, quantity, factor)
                    line.points[factor] = in_child(measure, variant, variant.generator.resolution, repeats)
                    line.sizes[factor] = size_of(variant, quantity)
                except IMPOSSIBLE as error:
                    why = sentence_of(error) if isinstance(error, ValidationError) else str(error)
                    line.left_out[factor] = why.strip().splitlines()[0]
                bar.update()
            lines.append(line)
    return lines


# Report
def growth(lines: list[Line]) -> Table:
    """Time and memory of every variant, with the exponents of every quantity."""
    base = lines[0].points[1.0]
    rows: list[tuple[str, ...]] = [("as it is", *rates_of(base), "", "")]
    left_out = []
    for line in lines:
        for factor, label in FACTORS.items():
            name, exponents = f"{line.quantity} {label}", ("", "")
            if factor == 2.0:
                exponents = tuple(f"{value:.2f}" if math.isfinite(value) else "-" for value in line.exponents)
            if factor in line.points:
                rows.append((f"{name}: {line.sizes[factor]}", *rates_of(line.points[factor]), *exponents))
            else:
                left_out.append(f"Left out, {name}: {line.left_out[factor]}")
    return Table(
        title=f"Growth of a training step: {', '.join(line.sizes[1.0] for line in lines)}, {base.precision}",
        header=("", *RATES, "exponent of time", "of memory"),
        rows=rows,
        notes=("Exponents are from x 1 to x 2, of the time for an image and of the memory above that of the "
               f"process's start ({base.before:.0f} MB as it is): 0 stays, 1 doubles, 2 quadruples.",
               *left_out),
        data={line.quantity: _line_data(line) for line in lines},
    )  # fmt: skip


def _line_data(line: Line) -> dict[str, Any]:
    points = {
        f"{factor:g}": {"size": line.sizes[factor], "img_per_s": one.rate, **asdict(one)}
        for factor, one in sorted(line.points.items())
    }
    left_out = {f"{factor:g}": why for factor, why in line.left_out.items()}
    return {"exponents": line.exponents, "points": points, "left_out": left_out}


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

    repeats: Repeats = 8
    """Rounds, after one to warm up."""
    report: Path = Path("runs/bench")
    """Folder for growth.json and growth.md."""
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def tables(args: GrowthArguments) -> Iterator[tuple[str, Table]]:
    """Measures, and makes the part of the report."""
    yield "growth", growth(measure_growth(args.base, args.repeats))


def bench_growth(args: GrowthArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    report(args.report / "growth", machine_of(args.base), {"repeats": args.repeats}, tables(args))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    run_on_preset(GrowthArguments, bench_growth, DESCRIPTION)
