"""What this machine can do: which precision is faster, how long a step takes, and the course that fits a
budget."""

import time
from collections.abc import Callable
from statistics import median
from typing import Literal

import torch
import torch.nn.functional as F

from brushwork.eval.benchmark import alternated
from brushwork.models.drawing import Precision

from .schedules import GrowingConfig, phases

RESERVE = 0.95
"""Share of the time budget that the course is fitted to; the rest is for grids and checkpoints."""


def seconds_of(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Median time of an action, after one warm-up."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def faster_precision(device: torch.device) -> Precision:
    """bf16 or fp32, by timing a convolution forward and backward on a processor, both in turn; bf16 on a GPU
    that has it."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type != "cpu":
        return "fp32"

    def convolution(dtype: torch.dtype) -> Callable[[], None]:
        x = torch.ones(16, 64, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3, dtype=dtype, requires_grad=True)
        return lambda: F.conv2d(x.requires_grad_(), weight, padding=1).sum().backward()

    candidates = {"fp32": convolution(torch.float32), "bf16": convolution(torch.bfloat16)}
    return "bf16" if alternated(candidates, repeats=9, warmup=2).ratio("bf16") < 0.8 else "fp32"


def settled_precision(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """bf16 or fp32: as wanted, or for auto the faster one."""
    return faster_precision(device) if wanted == "auto" else wanted


def course_seconds(
    growing: GrowingConfig, resolution: int, total_kimg: float, seconds_per_image: dict[int, float]
) -> float:
    """Time that the whole course takes, at the given pace for each resolution."""
    end_of_run = total_kimg * 1000
    return sum(
        max(0.0, min(phase.end, end_of_run) - phase.begin) * seconds_per_image[phase.resolution]
        for phase in phases(growing, resolution)
    )


def pace_for(
    minutes: float,
    growing: GrowingConfig,
    resolution: int,
    total_kimg: float,
    seconds_per_image: dict[int, float],
) -> float:
    """The factor, at most 1, by which the course is shortened so that it takes `RESERVE` of `minutes`."""
    whole = course_seconds(growing, resolution, total_kimg, seconds_per_image)
    return min(1.0, RESERVE * minutes * 60 / whole)
