"""Settings that change the speed of a step but, except for rounding, not its result."""

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
    """How a step is computed; turn a switch off to compare with plain PyTorch."""

    fused: bool = True
    """Noise, activation and style injection in few passes, with hand-written derivatives."""
    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    """Mode of torch.compile for both networks, on GPUs; all resolutions are compiled before the first step.
    Penalties and fading steps stay eager. On a processor it gains nothing."""
    background: bool = True
    """Write files on a thread beside the loop; with one GPU, also compute grids and metrics there."""
    retain_freed_memory: bool = True
    """On Linux, keep the memory of freed tensors for later ones instead of returning it to the system, which
    would have to clear it again in every step."""
    tf32: bool = True
    """Compute float32 convolutions on NVIDIA GPUs in TF32; in bf16 these are the penalties. Matrix products
    stay in float32."""


def prepare_process(config: SpeedConfig, *, threads: int, processes: int) -> None:
    """Applies the settings of the whole process; `threads` as in `set_threads`."""
    set_threads(threads, processes=processes)
    if config.retain_freed_memory:
        retain_freed_memory()
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cuda.matmul.allow_tf32 = False


def set_threads(wanted: int, *, processes: int) -> None:
    """Sets this process's threads; 0 divides the cores among the processes, unless OMP_NUM_THREADS is set.

    More threads than free cores make convolutions many times slower.
    """
    if wanted or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(wanted or max(1, (os.cpu_count() or 1) // processes))


def retain_freed_memory() -> bool:
    """Makes the C library keep freed memory in this process, and returns whether it could (glibc only)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
