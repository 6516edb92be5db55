"""Precision and threads: they change the speed of a step, and its result only by rounding."""

import ctypes
import os
import time
from typing import Literal

import torch
import torch.nn.functional as F

from brushwork.models.sampling import Precision

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
"""Parameters of glibc's `mallopt`."""
NEVER = 2**31 - 1


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

    def seconds(dtype: torch.dtype) -> float:
        x = torch.ones(16, 64, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.ones(64, 64, 3, 3, dtype=dtype, requires_grad=True)
        start = time.perf_counter()
        F.conv2d(x.requires_grad_(), weight, padding=1).sum().backward()
        return time.perf_counter() - start

    # In turns, after two rounds of warm-up. Other work can only add time, so the fastest call counts.
    rounds = [(seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(17)][2:]
    fp32, bf16 = map(min, zip(*rounds, strict=True))
    return "bf16" if bf16 < 0.8 * fp32 else "fp32"
