"""Precision, compilation and threads: they change the speed of a step, and its result only by rounding.

`torch.compile` compiles both networks where a step differentiates them once and at a steady resolution.
Penalties differentiate twice, which compiled code cannot; while a resolution fades in, its share changes with
every step, which compiled code takes for a constant. Both stay eager.
"""

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from brushwork.models.options import options
from brushwork.models.sampling import Precision
from brushwork.models.stage import Stage

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
"""Parameters of glibc's `mallopt`."""
NEVER = 2**31 - 1


@options
class SpeedConfig:
    """How a step is computed."""

    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    """Mode of torch.compile for both networks, on GPUs; all resolutions are compiled before the first step.
    Penalties and fading steps stay eager. On a processor it gains nothing."""


def prepare_process(*, threads: int, processes: int) -> None:
    """Sets this process's threads, and keeps the memory of freed tensors for later ones.

    Threads 0 divide the cores among the processes, unless OMP_NUM_THREADS is set: more threads than free
    cores make convolutions many times slower. Memory that is returned to the system must be cleared again in
    every step.
    """
    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // processes))
    retain_freed_memory()


def retain_freed_memory() -> bool:
    """Makes the C library keep freed memory in this process, and returns whether it could (glibc only)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))


# Compilation
def compile_networks(networks: Iterable[nn.Module], config: SpeedConfig) -> None:
    """Compiles networks, once for each resolution, when they are first called.

    The next run finds the compiled code on the disk (`TORCHINDUCTOR_CACHE_DIR`).
    """
    if config.compile == "off":
        return
    # einops registers each type when it first meets it; whatever calls einops is then compiled anew.
    for empty in (np.zeros((1, 1)), torch.zeros(1, 1), nn.Parameter(torch.zeros(1, 1))):
        rearrange(empty, "a b -> b a")
    for network in networks:
        network.compile(dynamic=False, mode=config.compile)


def eager_where_needed(stage: Stage, gamma: float) -> contextlib.AbstractContextManager[object]:
    """A context in which compiled networks run eagerly if this step has a gradient penalty or a fade."""
    if gamma > 0 or stage.alpha < 1:
        return torch.compiler.set_stance("force_eager")
    return contextlib.nullcontext()


# Precision
def choose_precision(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """The wanted precision, or for "auto" the faster one."""
    return faster_precision(device) if wanted == "auto" else wanted


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
