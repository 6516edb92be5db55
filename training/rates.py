"""How long an image takes at each resolution, on this machine."""

import time
from collections.abc import Callable
from statistics import median

import torch

from brushwork.models.synthesis import Stage

from .objectives import Regime
from .schedules import phases
from .turns import turn_at
from .updates import Updates


def seconds_of(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Median time of an action, after one warm-up."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def seconds_per_image(scratch: Updates) -> dict[int, float]:
    """Seconds that one image of the global batch takes at each resolution of the course.

    They are measured in whole steps as a run takes them: loader, gradients over processes, optimizers and
    average. The steps move the state of `scratch`, which is of no use afterwards. Half of the time at a
    growing stage the fade is on, so it is timed; regimes and the lazy penalties count by their shares.
    """
    config, device = scratch.config, scratch.accelerator.device

    def step(stage: Stage, regime: Regime, *, penalised: bool) -> None:
        scratch.state.nimg = 0 if penalised else config.batch
        scratch.step(stage, turn_at(config, 0, regime))
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(stage: Stage, regime: Regime) -> float:
        plain = seconds_of(lambda: step(stage, regime, penalised=False))
        if not turn_at(config, 0, regime).has_adversary:
            return plain
        penalised = seconds_of(lambda: step(stage, regime, penalised=True), repeats=2)
        return plain + max(0.0, penalised - plain) / config.loss.r1_every

    result = {}
    for phase in phases(config.growing, config.generator.resolution):
        stage = Stage(phase.resolution, 0.5 if phase.faded > phase.begin else 1.0)
        mean = sum(share * seconds(stage, regime) for regime, share in config.restyle.shares().items())
        result[phase.resolution] = mean / config.batch
    return result
