"""The plan of a run: how fast it goes through its course, by the images and the minutes that are left."""

from dataclasses import dataclass, field

from accelerate import Accelerator

from .config import TrainConfig
from .course import Course, Rates
from .distributed import told_by_main
from .rates import seconds_per_image
from .state import TrainingState
from .updates import Updates


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

    def measure(self, scratch: Updates) -> None:
        """Takes the rates of this machine, the main process's in all; see `seconds_per_image`."""
        rates = seconds_per_image(scratch)
        self.rates = told_by_main(self.accelerator, lambda: rates)

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
            state.scale = told_by_main(self.accelerator, lambda: scale)
        elif state.planned_images != course.images:
            state.scale = course.scale_for_images(state.nimg, state.place)
        state.planned_images = course.images
