"""Switches that change how fast a step is, and nothing but the rounding of what it computes."""

import ctypes
import os
from typing import Literal

import torch

from brushwork.models.options import options

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
"""Parameters of glibc's `mallopt`."""
NEVER = 2**31 - 1


@options
class SpeedConfig:
    """How a step is computed. Each switch can be turned off to compare with the plain way."""

    fused: bool = True
    """Noise, activation and style injection in few passes, with a derivative by hand; off: as plain
    operations."""
    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    """Mode of torch.compile for both networks, for each resolution before the first step; reduce-overhead
    takes CUDA graphs, too. Penalties and steps that fade a resolution in stay eager. For GPUs: on a processor
    it needs a C++ compiler and a minute for each resolution, and gains nothing."""
    background: bool = True
    """Files are written by a thread beside the loop, from copies; with one GPU, grids and figures are made
    there, too."""
    retain_freed_memory: bool = True
    """On Linux, a process keeps the memory of freed tensors for the next ones. Off, it is returned and its
    pages are zeroed anew in every step, which two threads wait for."""
    tf32: bool = True
    """NVIDIA GPUs take float32 convolutions, of which in bf16 only penalties are left, with TF32's 10 bits of
    mantissa; off: with all 23. Products of matrices have all of them either way."""


def prepare_process(config: SpeedConfig, *, threads: int, processes: int) -> None:
    """Settles what holds for this whole process; `threads` as in `set_threads`."""
    set_threads(threads, processes=processes)
    if config.retain_freed_memory:
        retain_freed_memory()
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cuda.matmul.allow_tf32 = False


def set_threads(wanted: int, *, processes: int) -> None:
    """Gives this process `wanted` threads; 0 divides the cores among the processes, unless OMP_NUM_THREADS
    has decided. More threads than free cores make convolutions many times slower, not faster."""
    if wanted or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(wanted or max(1, (os.cpu_count() or 1) // processes))


def retain_freed_memory() -> bool:
    """Has the C library keep what is freed, for good, in this process; whether it could be told so.

    Only glibc has these settings; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
