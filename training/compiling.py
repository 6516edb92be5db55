"""`torch.compile` of both networks, where a step differentiates them once and at a steady resolution.

Penalties differentiate twice, which compiled code cannot; while a resolution fades in, its share changes with
every step, which compiled code takes for a constant. Both stay eager.
"""

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange

from brushwork.models.stage import Stage

from .context import Networks
from .speed import SpeedConfig


def compile_networks(nets: Networks, config: SpeedConfig) -> None:
    """Compiles the synthesis and the discriminator, once for each resolution, when they are first called.

    The next run finds the compiled code on the disk (`TORCHINDUCTOR_CACHE_DIR`).
    """
    if config.compile == "off":
        return
    # einops registers each type when it first meets it; whatever calls einops is then compiled anew.
    for empty in (np.zeros((1, 1)), torch.zeros(1, 1), torch.nn.Parameter(torch.zeros(1, 1))):
        rearrange(empty, "a b -> b a")
    for network in (nets.generator.synthesis, nets.discriminator):
        network.compile(dynamic=False, mode=config.compile)


def eager_where_needed(stage: Stage, gamma: float) -> contextlib.AbstractContextManager[object]:
    """A context in which compiled networks run eagerly, if this step has what they were not compiled for: a
    gradient penalty or a fade."""
    if gamma > 0 or stage.alpha < 1:
        return torch.compiler.set_stance("force_eager")
    return contextlib.nullcontext()


def compile_ahead(step: Callable[[Stage], object], sides: Sequence[int]) -> dict[int, float]:
    """Seconds that each resolution took: so that no step of the run has to wait for it."""
    found = {}
    for side in sides:
        began = time.perf_counter()
        step(Stage(side))
        found[side] = time.perf_counter() - began
    return found
