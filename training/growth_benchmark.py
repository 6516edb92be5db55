"""The benchmark `growth`: how time and memory of a training step grow with resolution, batch and width.

One thing is halved and doubled at a time, all others stay as the configuration says, at its final resolution.
Each variant is measured as `bench train` measures, in a process of its own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import torch
from pydantic import ValidationError

from brushwork.data.errors import DataError
from brushwork.data.progress import Progress
from brushwork.eval.benchmark import in_child
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.models.options import sentence_of

from .config import Precision, TrainConfig
from .errors import TrainingError
from .train_benchmark import Pace, Sizes, measure

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
