"""Measurements of this machine before a run: the faster precision, and seconds per image."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Literal

import torch
import torch.nn.functional as F

from brushwork.models.sampling import Precision
from brushwork.models.stage import Stage

from .restyle.config import Regime
from .schedules import phases
from .update import ADVERSARIAL, Updater


def faster_precision(device: torch.device) -> Precision:
    """The faster of bf16 and fp32: on a processor by timing a convolution forward and backward, on a GPU bf16
    if it is supported."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type != "cpu":
        return "fp32"

    def convolution(dtype: torch.dtype) -> Callable[[], None]:
        x = torch.ones(16, 64, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3, dtype=dtype, requires_grad=True)
        return lambda: F.conv2d(x.requires_grad_(), weight, padding=1).sum().backward()

    candidates = {"fp32": convolution(torch.float32), "bf16": convolution(torch.bfloat16)}
    seconds = least_seconds(candidates, rounds=15)
    return "bf16" if seconds["bf16"] < 0.8 * seconds["fp32"] else "fp32"


def least_seconds(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Seconds of each candidate's fastest call. The candidates take turns, after two rounds of warm-up.

    Other work on the machine can only add time, so the fastest call is the best estimate.
    """
    seconds = dict.fromkeys(candidates, float("inf"))
    for number in range(rounds + 2):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if number >= 2:
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def choose_precision(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """The wanted precision, or for "auto" the faster one."""
    return faster_precision(device) if wanted == "auto" else wanted


def seconds_of(action: Callable[[], object], *, repeats: int = 3) -> float:
    """Median time of `action`, after one warm-up call."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def seconds_per_image(scratch: Updater) -> dict[int, float]:
    """Seconds per image of the global batch, at each resolution of the growing schedule.

    It times whole training steps: loader, gradients over processes, optimizers and average. They change the
    state of `scratch`, which must not be used afterwards. Resolutions that fade in are timed half faded.
    Objectives and lazy penalties are weighted by how often they occur.
    """
    config, device = scratch.config, scratch.accelerator.device

    def step(stage: Stage, regime: Regime, *, penalised: bool) -> None:
        scratch.state.nimg = 0 if penalised else config.batch
        scratch.step(stage, regime)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(stage: Stage, regime: Regime) -> float:
        plain = seconds_of(lambda: step(stage, regime, penalised=False))
        if regime not in ADVERSARIAL:
            return plain
        penalised = seconds_of(lambda: step(stage, regime, penalised=True), repeats=2)
        return plain + max(0.0, penalised - plain) / config.loss.r1_interval

    result = {}
    for phase in phases(config.growing, config.generator.resolution):
        stage = Stage(phase.resolution, 0.5 if phase.faded > phase.begin else 1.0)
        mean = sum(share * seconds(stage, regime) for regime, share in config.restyle.shares().items())
        result[phase.resolution] = mean / config.batch
    return result
