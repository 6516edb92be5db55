"""The plan of a run: how fast it goes through its course, by the images and the minutes that are left."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from accelerate import Accelerator

from brushwork.models.stage import Stage

from .calibration import seconds_per_image
from .config import TrainConfig
from .distributed import broadcast_from_main
from .schedules import GrowingConfig, phases, rate_factor, stage_at
from .state import TrainingState
from .update import Updater

GROWN_BY = 0.6
"""Where a run is too short to grow to its final resolution, that is grown at this share of the run."""
RESERVE = 0.95
"""Share of the time left that the course is fitted to; the rest is for grids and checkpoints."""

Rates = Mapping[int, float]
"""Seconds that one image takes, by resolution."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What happens when, by *places*: images of the course as configured, from 0 to `end`.

    A run of enough images and minutes is at place `nimg`. A shorter one takes `scale` images, less than one,
    for each place, so that it sees every resolution all the same.
    """

    growing: GrowingConfig
    resolution: int
    images: int
    """That the run may train on."""
    end: float
    lr_decay_fraction: float

    @classmethod
    def of(cls, config: TrainConfig) -> "Course":
        """The course that a configuration describes."""
        images, resolution = round(config.total_kimg * 1000), config.generator.resolution
        grown = phases(config.growing, resolution)[-1].faded
        return cls(
            growing=config.growing,
            resolution=resolution,
            images=images,
            end=float(images) if grown <= images else grown / GROWN_BY,
            lr_decay_fraction=config.optimizer.lr_decay_fraction,
        )

    def stage_at(self, place: float) -> Stage:
        """Resolution and fade."""
        return stage_at(place, self.growing, self.resolution)

    def rate_factor_at(self, place: float) -> float:
        """What the learning rates are multiplied by."""
        return rate_factor(place, self.end, self.lr_decay_fraction)

    def is_over(self, nimg: int, place: float) -> bool:
        """Whether nothing is left to train: all images were seen, or the learning rates have fallen to 0.

        A course that was shortened to fit a time goes on at its end until that is up, since the machine may
        be faster than it was when it was measured.
        """
        return nimg >= self.images or (self.lr_decay_fraction > 0 and place >= self.end)

    def scale_for_images(self, nimg: int, place: float) -> float:
        """Images for each place from here on, at most 1, so that the rest of the images reaches the end."""
        return min(1.0, (self.images - nimg) / (self.end - place)) if place < self.end else 1.0

    def scale_for_time(self, nimg: int, place: float, rates: Rates, seconds: float) -> float:
        """The same, so that the rest takes `RESERVE` of `seconds`, too."""
        whole = self.seconds(place, self.end, rates)
        fitting = RESERVE * max(seconds, 1.0) / whole if whole else 1.0
        return min(fitting, self.scale_for_images(nimg, place))

    def seconds(self, begin: float, end: float, rates: Rates) -> float:
        """Time that the places from `begin` to `end` take at scale 1."""
        return sum(
            max(0.0, min(phase.end, end) - max(phase.begin, begin)) * rates[phase.resolution]
            for phase in phases(self.growing, self.resolution)
        )

    def describe(self, place: float, nimg: int, scale: float) -> str:
        """What is still to come, and at which image each resolution begins."""
        parts = [
            f"{phase.resolution} px" if phase.begin <= place
            else f"{phase.resolution} px from {(nimg + (phase.begin - place) * scale) / 1000:.3g}"
            for phase in phases(self.growing, self.resolution)
            if phase.end > place
        ]  # fmt: skip
        end = min(self.images, nimg + max(0.0, self.end - place) * scale)
        return f"{', '.join(parts)} to {end / 1000:.3g} kimg"


@dataclass(kw_only=True)
class Plan:
    """Sets the scale of the course in `state`: at the start, where the run was lengthened since, and with a
    time limit at every tick, since a machine is not always as fast as it was when it was measured."""

    config: TrainConfig
    course: Course
    state: TrainingState
    accelerator: Accelerator
    rates: Rates = field(default_factory=dict)
    """Seconds that an image takes by resolution, where there is a time limit."""

    @property
    def images(self) -> int:
        """Length of the run by the present plan."""
        rest = max(0.0, self.course.end - self.state.place) * self.state.scale
        return min(self.course.images, round(self.state.nimg + rest))

    @property
    def seconds_left(self) -> float:
        """Until the time is up."""
        limit = self.config.max_minutes
        return float("inf") if limit is None else limit * 60 - self.state.seconds

    def measure(self, scratch: Updater) -> None:
        """Takes the rates of this machine, the main process's in all; see `seconds_per_image`."""
        rates = seconds_per_image(scratch)
        self.rates = broadcast_from_main(self.accelerator, lambda: rates)

    def correct(self, resolution: int, images_per_second: float) -> None:
        """Brings the rates of all resolutions to what the last images took at this one."""
        if self.rates:
            factor = 1 / images_per_second / self.rates[resolution]
            self.rates = {side: seconds * factor for side, seconds in self.rates.items()}

    def settle(self) -> None:
        """Chooses the scale from here on, the same in every process."""
        state, course = self.state, self.course
        if self.rates:
            scale = course.scale_for_time(state.nimg, state.place, self.rates, self.seconds_left)
            state.scale = broadcast_from_main(self.accelerator, lambda: scale)
        elif state.planned_images != course.images:
            state.scale = course.scale_for_images(state.nimg, state.place)
        state.planned_images = course.images
