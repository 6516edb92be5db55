"""The choice: resolution, networks, augmentation, length and measurements.

The recipes are those of the presets. docs/small-collections.md has the measurements behind the choices.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from brushwork.data.loader import LoaderConfig
from brushwork.models.generator import GeneratorConfig

from ..ada import Kind
from ..augment import AugmentConfig
from ..config import IntervalConfig, TrainConfig
from ..errors import TrainingError
from ..plan import Rates, RunSchedule
from ..prepare.transfer import Source
from ..presets import emoji_32, emoji_64
from ..run.metrics import MetricsConfig
from ..schedules import GrowingConfig
from .facts import Collection, Machine

KINDS: tuple[Kind, ...] = ("shift", "geometry", "colour")
"""Adaptive changes; whether mirrored images look right is for the user to say."""
REQUEST = replace(
    emoji_32(), data=Path(), out=Path(), total_kimg=25_000.0, generator=GeneratorConfig(resolution=4096),
    augment=AugmentConfig(ada=KINDS), interval=IntervalConfig(metrics_kimg=1.0),
)  # fmt: skip
"""The configuration that the options change to show what the user wants. Data set, run folder and resolution
stand for none."""

CPU_MINUTES, GPU_MINUTES = 30.0, 480.0
"""The time of a run for which none is given."""
ADA_BELOW, ADA_REPEATS = 30_000, 500
"""Training images below which a discriminator memorises them (Karras 2020, arXiv:2006.06676, fig. 1), and how
often a run shows each image before it does. Without augmentation, 2 % of the samples were near-copies after
540 times, 13 % after 810; in shorter runs augmentation lost recall (docs/small-collections.md)."""
FROZEN_BLOCKS = 2
PATIENCE = 5
"""Measurements without a better one after which a run stops."""
MEASURED = 2000
"""Samples of a measurement, over all styles."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe at one resolution, and the number of images that it trains on in the time."""

    config: TrainConfig
    rates: Rates
    images: int

    @property
    def resolution(self) -> int:
        return self.config.generator.resolution

    @property
    def minutes(self) -> float:
        """The time of the run."""
        return _minutes(self.config)

    @property
    def is_long_enough(self) -> bool:
        return self.images >= 1000 * enough_kimg(self.resolution)

    @property
    def minutes_needed(self) -> float:
        """Minutes until enough images are trained on."""
        return self.minutes * 1000 * enough_kimg(self.resolution) / self.images


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen candidate and what it was chosen for."""

    chosen: Candidate
    last: Candidate
    """The candidate of the highest resolution that was tried."""
    collection: Collection
    machine: Machine
    source: Source | None

    @property
    def config(self) -> TrainConfig:
        return self.chosen.config


def choose(
    request: TrainConfig, collection: Collection, machine: Machine, source: Source | None,
    overridden: Callable[[TrainConfig], TrainConfig], rates_of: Callable[[TrainConfig], Rates],
) -> Choice:  # fmt: skip
    """Chooses resolution, networks, augmentation, length and measurements.

    Args:
        request: `REQUEST` with the user's options.
        collection: the data set.
        machine: the machine.
        source: what `request.start_from` holds.
        overridden: applies the user's options to a recipe.
        rates_of: measures the seconds per image of a configuration.

    Raises:
        TrainingError: not even a few images fit into the memory.
    """
    minutes = request.max_minutes or (GPU_MINUTES if machine.gpu else CPU_MINUTES)
    request, sides = replace(request, max_minutes=minutes), _resolutions(request, collection, source)
    tried: list[Candidate] = []
    for side in sides:
        recipe = overridden(_recipe(side, request, collection, machine, source))
        if (candidate := _candidate(recipe, machine, source, rates_of)) is None:
            break
        tried.append(candidate)
        if not candidate.is_long_enough:
            break
    if not tried:
        raise TrainingError(
            f"Not even a few images of {sides[0]} px fit into the memory of {machine.name}: free it, or take "
            "--device cpu."
        )
    chosen = next((each for each in reversed(tried) if each.is_long_enough), tried[0])
    config = overridden(_of_length(chosen.config, chosen.images, request, collection))
    return Choice(
        chosen=replace(chosen, config=config), last=tried[-1], collection=collection, machine=machine,
        source=source,
    )  # fmt: skip


def enough_kimg(resolution: int) -> float:
    """Thousands of images below which a lower resolution is the better use of the time.

    They grow with the pixels. 25 at 32 px was tried. At 256 px it gives 1,600, between the 1,000 that are
    published for a transfer and the 5,000 from scratch.
    """
    return 25.0 * (max(32, resolution) / 32) ** 2


def _resolutions(request: TrainConfig, collection: Collection, source: Source | None) -> list[int]:
    """The resolutions to try, in rising order. A transfer does not go back to a lower one."""
    if request.generator.resolution != REQUEST.generator.resolution:
        return [request.generator.resolution]
    least, most = 32, collection.resolution
    if source is not None and source.training is not None:
        least = source.average.trained_stage.resolution
    return [side for side in (2**n for n in range(3, 13)) if min(least, most) <= side <= most]


def _recipe(
    side: int, request: TrainConfig, collection: Collection, machine: Machine, source: Source | None
) -> TrainConfig:
    """The preset for such a machine, with the networks of the source, if any."""
    preset = emoji_64() if machine.gpu else emoji_32()
    generator, discriminator = preset.generator, preset.discriminator
    if machine.gpu and side > 64:
        generator = replace(generator, channel_base=16384, channel_max=512, z_dim=512, w_dim=512)
        discriminator = replace(discriminator, channel_base=16384, channel_max=512)
    frozen = 0
    if source is not None:
        generator = replace(source.average.config, encoders=False)
    if source is not None and source.training is not None:
        discriminator = source.training.discriminator.config
        frozen = FROZEN_BLOCKS if source.average.trained_stage.resolution == side >= 16 else 0
    return replace(
        preset, data=request.data, out=request.out, start_from=request.start_from,
        max_minutes=request.max_minutes, total_kimg=request.total_kimg,
        generator=replace(generator, resolution=side), discriminator=discriminator,
        growing=_growing(side, request.total_kimg), loader=LoaderConfig(balanced=not collection.is_balanced),
        optimizer=replace(preset.optimizer, frozen_blocks=frozen),
    )  # fmt: skip


def _growing(side: int, kimg: float) -> GrowingConfig:
    """Growing from 16 px, over a quarter of the run for one doubling and two fifths for more; a time limit
    shortens all in proportion."""
    start = min(16, side)
    doublings = max(1, int(math.log2(side / start)))
    step = kimg * (0.25 if doublings == 1 else 0.4) / doublings
    return GrowingConfig(start_resolution=start, fade_kimg=(step / 5,), steady_kimg=(step * 4 / 5,))


def _candidate(
    recipe: TrainConfig, machine: Machine, source: Source | None, rates_of: Callable[[TrainConfig], Rates]
) -> Candidate | None:
    """The recipe in as few parts of the batch as the memory allows; None if no part fits."""
    while True:
        try:
            rates = rates_of(recipe)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            rows = recipe.rows_of(machine.processes)
            if rows <= recipe.discriminator.minibatch_group or rows % 2:
                return None
            recipe = replace(recipe, accumulate=2 * recipe.accumulate)
            continue
        schedule = RunSchedule.of(recipe)
        start = schedule.position_of(source.average.trained_stage) if source and source.training else 0.0
        scale = schedule.scale_for_time(0, start, rates, 60 * _minutes(recipe))
        images = max(recipe.batch, schedule.last_image(0, start, scale))
        return Candidate(config=recipe, rates=rates, images=images)


def _of_length(config: TrainConfig, images: int, request: TrainConfig, collection: Collection) -> TrainConfig:
    """The recipe with augmentation, intervals and measurements for a run of so many images. It measures if
    the extra for that is installed."""

    def kimg_in(minutes: float) -> float:
        return rounded(images / 1000 * min(1.0, minutes / total))

    total = _minutes(config)
    has_evaluator = importlib.util.find_spec("efficientnet_lite_pytorch") is not None
    is_measured = has_evaluator and request.interval.metrics_kimg > 0
    interval = max(5.0, total / 20)
    memorises = collection.images < ADA_BELOW and images >= ADA_REPEATS * collection.images
    return replace(
        config, augment=AugmentConfig(ada=KINDS if memorises else ()),
        interval=IntervalConfig(
            status_kimg=kimg_in(min(2.0, max(1 / 6, total / 100))), grid_kimg=kimg_in(interval),
            checkpoint_kimg=kimg_in(min(10.0, interval)), snapshot_kimg=0.0,
            metrics_kimg=kimg_in(interval) if is_measured else 0.0,
        ),
        metrics=MetricsConfig(
            names=("fd", "copies"),
            per_style=min(200, max(20, MEASURED // max(1, len(collection.counts)))),
        ),
        patience=PATIENCE if is_measured else 0,
    )  # fmt: skip


def _minutes(config: TrainConfig) -> float:
    assert config.max_minutes is not None  # `choose` has set it
    return config.max_minutes


def rounded(value: float) -> float:
    """The value to two digits."""
    return float(f"{value:.2g}")
