"""The exponential moving average of the generator: the network that is sampled, measured and shipped."""

import copy
from typing import Annotated, TypeVar

import torch
from annotated_types import Interval
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from brushwork.models.options import Duration, options

Module = TypeVar("Module", bound=nn.Module)


@options
class EMAConfig:
    """Half-life of the moving average."""

    half_life_kimg: Duration = 10.0
    """Thousands of images after which a weight counts half."""
    rampup: Annotated[float, Interval(ge=0, le=1000)] = 0.05
    """The half-life is at most this share of the images seen so far; 0: no such limit."""

    def decay(self, nimg: int, batch: int) -> float:
        """Weight of the old average in a step of `batch` images: 0.5 ** (batch / half-life)."""
        half_life = self.half_life_kimg * 1000
        if self.rampup:
            half_life = min(half_life, nimg * self.rampup)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0


def averaged_copy(module: Module) -> Module:
    """A frozen copy for `update_average`."""
    return copy.deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * module, for parameters; buffers are copied."""
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(module.parameters()), None)
    for ours, theirs in zip(average.buffers(), module.buffers(), strict=True):
        ours.copy_(theirs)
