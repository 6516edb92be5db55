"""Schedules as pure functions of the number of images seen."""

from dataclasses import dataclass, replace

from brushwork.models.options import Kimg, LayerResolution, options
from brushwork.models.stage import Stage

from .errors import TrainingError


@options
class GrowingConfig:
    """Progressive growing. Lists have one value per resolution; the last value holds for all that follow."""

    start_resolution: LayerResolution = 8
    """First resolution; the final resolution here turns growing off."""
    fade_kimg: tuple[Kimg, ...] = (600.0,)
    """Thousands of images over which a resolution fades in; the first resolution does not fade."""
    steady_kimg: tuple[Kimg, ...] = (600.0,)
    """Thousands of images of training at a resolution, before the next one starts."""

    def __post_init__(self) -> None:
        for name in ("fade_kimg", "steady_kimg"):
            if not getattr(self, name):
                raise TrainingError(f"growing.{name} is empty; give one value or more.")

    def scaled(self, factor: float) -> "GrowingConfig":
        """The same schedule over `factor` times as many images."""
        return replace(
            self,
            fade_kimg=tuple(kimg * factor for kimg in self.fade_kimg),
            steady_kimg=tuple(kimg * factor for kimg in self.steady_kimg),
        )


@dataclass(frozen=True)
class Phase:
    """Training at one resolution, from image `begin` to `end`, fading in until `faded`."""

    resolution: int
    begin: float
    faded: float
    end: float


def phases(config: GrowingConfig, resolution: int) -> list[Phase]:
    """All phases from image 0 on; the last has no end."""
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
    """The stage after `nimg` images."""
    phase = next(p for p in phases(config, resolution) if nimg < p.end)
    alpha = 1.0 if nimg >= phase.faded else (nimg - phase.begin) / (phase.faded - phase.begin)
    return Stage(phase.resolution, alpha)


def due(kimg: float, nimg: int, batch: int) -> bool:
    """Whether something done every `kimg` thousand images is due after the step that ended at `nimg`; 0:
    never."""
    interval = kimg * 1000
    return interval > 0 and nimg > 0 and nimg // interval != (nimg - batch) // interval
