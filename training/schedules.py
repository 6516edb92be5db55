"""Schedules: pure functions of the images seen, without memory."""

from dataclasses import dataclass, replace

from brushwork.models.options import Kimg, LayerResolution, options
from brushwork.models.stage import Stage

from .errors import TrainingError


@options
class GrowingConfig:
    """Progressive growing, in thousands of images. A list holds one figure for each resolution from the first
    on; its last figure serves all that follow."""

    start_resolution: LayerResolution = 8
    """First resolution; the final one here turns growing off."""
    fade_kimg: tuple[Kimg, ...] = (600.0,)
    """Images over which a resolution is faded in (the first resolution is never faded)."""
    steady_kimg: tuple[Kimg, ...] = (600.0,)
    """Images for which a resolution is then trained before the next one starts."""

    def __post_init__(self) -> None:
        for name in ("fade_kimg", "steady_kimg"):
            if not getattr(self, name):
                raise TrainingError(f"growing.{name} is empty; give one figure or more.")

    def scaled(self, factor: float) -> "GrowingConfig":
        """The same course, run through in `factor` times the images."""
        return replace(
            self,
            fade_kimg=tuple(kimg * factor for kimg in self.fade_kimg),
            steady_kimg=tuple(kimg * factor for kimg in self.steady_kimg),
        )


@dataclass(frozen=True)
class Phase:
    """One stretch of the course: at `resolution` from image `begin` to `end`, fading in until `faded`."""

    resolution: int
    begin: float
    faded: float
    end: float


def phases(config: GrowingConfig, resolution: int) -> list[Phase]:
    """The whole course, from image 0 to the last; the final resolution lasts as long as the run."""
    result: list[Phase] = []
    begin, r, i = 0.0, config.start_resolution, 0
    while r <= resolution:
        fade = config.fade_kimg[min(i, len(config.fade_kimg) - 1)] * 1000 if i else 0.0
        steady = config.steady_kimg[min(i, len(config.steady_kimg) - 1)] * 1000
        end = begin + fade + steady if r < resolution else float("inf")
        result.append(Phase(r, begin, begin + fade, end))
        begin, r, i = end, r * 2, i + 1
    return result


def stage_at(nimg: int | float, config: GrowingConfig, resolution: int) -> Stage:
    """The stage after `nimg` images.

    Raises:
        TrainingError: growing starts above the final resolution.
    """
    if config.start_resolution > resolution:
        raise TrainingError(
            f"growing.start_resolution {config.start_resolution} is above the final resolution {resolution}."
        )
    phase = next(p for p in phases(config, resolution) if nimg < p.end)
    alpha = 1.0 if nimg >= phase.faded else (nimg - phase.begin) / (phase.faded - phase.begin)
    return Stage(phase.resolution, alpha)


def rate_factor(nimg: int | float, total: int | float, lr_decay_fraction: float) -> float:
    """What the learning rates are multiplied by after `nimg` images of `total`: 1, and over the last share
    `lr_decay_fraction` of the run in a line from there to 0."""
    return min(1.0, max(0.0, total - nimg) / (total * lr_decay_fraction)) if lr_decay_fraction else 1.0


def due(kimg: float, nimg: int, batch: int) -> bool:
    """Whether a chore, done every `kimg` thousand images, falls between the last step and the next;
    0 is never."""
    interval = kimg * 1000
    return interval > 0 and nimg > 0 and nimg // interval != (nimg - batch) // interval
