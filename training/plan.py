"""The schedule of a run, fitted to the images and minutes that it has."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import torch
from accelerate import Accelerator

from brushwork.models.stage import Stage

from .config import TrainConfig
from .distributed import broadcast_from_main
from .restyle.config import Regime
from .schedules import GrowingConfig, phases, stage_at
from .state import TrainingState
from .update import ADVERSARIAL, Updater

GROWN_BY = 0.6
"""A run too short for its growing schedule reaches the final resolution at this share of its length."""
RESERVE = 0.95
"""Share of the remaining time that the schedule is fitted to; the rest is for grids and checkpoints."""

Rates = Mapping[int, float]
"""Seconds per image, by resolution."""


@dataclass(frozen=True, kw_only=True)
class RunSchedule:
    """The stage as a function of a position from 0 to `end`, in images of the full schedule.

    A run with enough images and minutes is at position `nimg`. In a shorter run, `scale` images advance the
    position by 1, with `scale` below 1, so that it still reaches the final resolution.
    """

    growing: GrowingConfig
    resolution: int
    images: int
    """Images that the run may train on."""
    end: float

    @classmethod
    def of(cls, config: TrainConfig) -> "RunSchedule":
        """The schedule of a configuration."""
        images, resolution = round(config.total_kimg * 1000), config.generator.resolution
        grown = phases(config.growing, resolution)[-1].faded
        end = float(images) if grown <= images else grown / GROWN_BY
        return cls(growing=config.growing, resolution=resolution, images=images, end=end)

    def stage_at(self, position: float) -> Stage:
        """Resolution and fade at a position."""
        return stage_at(position, self.growing, self.resolution)

    def position_of(self, stage: Stage) -> float:
        """The position at which the resolution of `stage` is faded in; the end of growing if it is higher."""
        steps = phases(self.growing, self.resolution)
        return max((step.faded for step in steps if step.resolution <= stage.resolution), default=0.0)

    def last_image(self, nimg: int, position: float, scale: float) -> int:
        """The image at which a run that goes on like this ends; a scale of 1 leaves it its whole length."""
        rest = max(0.0, self.end - position) * scale
        return min(self.images, round(nimg + rest)) if scale < 1 else self.images

    def scale_for_images(self, nimg: int, position: float) -> float:
        """The scale, at most 1, with which the remaining images reach the end."""
        return min(1.0, (self.images - nimg) / (self.end - position)) if position < self.end else 1.0

    def scale_for_time(self, nimg: int, position: float, rates: Rates, seconds: float) -> float:
        """The scale, at most 1, with which the rest ends in time: within `RESERVE` of `seconds`."""
        whole = self.seconds(position, self.end, rates)
        fitting = RESERVE * max(seconds, 1.0) / whole if whole else 1.0
        return min(fitting, self.scale_for_images(nimg, position))

    def seconds(self, begin: float, end: float, rates: Rates) -> float:
        """Time from position `begin` to `end` at scale 1."""
        return sum(
            max(0.0, min(phase.end, end) - max(phase.begin, begin)) * rates[phase.resolution]
            for phase in phases(self.growing, self.resolution)
        )

    def describe(self, position: float, nimg: int, scale: float) -> str:
        """The resolutions still to come, and the image (in kimg) at which each begins."""
        parts = [
            f"{phase.resolution} px" if phase.begin <= position
            else f"{phase.resolution} px from {(nimg + (phase.begin - position) * scale) / 1000:.3g}"
            for phase in phases(self.growing, self.resolution)
            if phase.end > position
        ]  # fmt: skip
        end = self.last_image(nimg, position, scale)
        return f"{', '.join(parts)} to {end / 1000:.3g} kimg"


@dataclass(kw_only=True)
class Plan:
    """Chooses the scale of the schedule in `state`.

    This happens at the start, after a run was lengthened, and with a time limit at every status line, since a
    machine's speed changes.
    """

    config: TrainConfig
    schedule: RunSchedule
    state: TrainingState
    accelerator: Accelerator
    rates: Rates = field(default_factory=dict)
    """Measured seconds per image by resolution; empty without a time limit."""

    @property
    def images(self) -> int:
        """Planned length of the run, in images."""
        return self.schedule.last_image(self.state.nimg, self.state.position, self.state.scale)

    @property
    def seconds_left(self) -> float:
        """Time until the limit; infinite without one."""
        limit = self.config.max_minutes
        return float("inf") if limit is None else limit * 60 - self.state.seconds

    def measure(self, scratch: Updater) -> None:
        """Measures the rates; all processes use those of the main process."""
        rates = seconds_per_image(scratch)
        self.rates = broadcast_from_main(self.accelerator, lambda: rates)

    def correct(self, resolution: int, images_per_second: float) -> None:
        """Rescales all rates by the speed that was seen at one resolution."""
        if self.rates:
            factor = 1 / images_per_second / self.rates[resolution]
            self.rates = {side: seconds * factor for side, seconds in self.rates.items()}

    def settle(self) -> None:
        """Chooses the scale from here on, equal in every process."""
        state, schedule = self.state, self.schedule
        if self.rates:
            scale = schedule.scale_for_time(state.nimg, state.position, self.rates, self.seconds_left)
            state.scale = broadcast_from_main(self.accelerator, lambda: scale)
        elif state.planned_images != schedule.images:
            state.scale = schedule.scale_for_images(state.nimg, state.position)
        state.planned_images = schedule.images


# Measuring
def seconds_per_image(scratch: Updater) -> dict[int, float]:
    """Seconds per image of the global batch, at each resolution of the growing schedule.

    It times whole training steps, which change the state of `scratch`: it must not be used afterwards.
    Resolutions that fade in are timed half faded. Objectives and lazy penalties are weighted by how often
    they occur.
    """
    config, device = scratch.config, scratch.accelerator.device

    def step(stage: Stage, regime: Regime, *, penalised: bool) -> None:
        scratch.state.nimg = 0 if penalised else config.batch
        scratch.step(stage, regime)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(stage: Stage, regime: Regime) -> float:
        plain = median_seconds(lambda: step(stage, regime, penalised=False))
        if regime not in ADVERSARIAL:
            return plain
        penalised = median_seconds(lambda: step(stage, regime, penalised=True), repeats=2)
        return plain + max(0.0, penalised - plain) / config.loss.r1_interval

    result = {}
    for phase in phases(config.growing, config.generator.resolution):
        stage = Stage(phase.resolution, 0.5 if phase.faded > phase.begin else 1.0)
        mean = sum(share * seconds(stage, regime) for regime, share in config.restyle.shares().items())
        result[phase.resolution] = mean / config.batch
    return result


def median_seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Median time of `action`, after one warm-up call."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)
