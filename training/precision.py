"""Which precision is faster on this machine."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from brushwork.eval.benchmark import alternated
from brushwork.models.drawing import Precision


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
    # Other work on the machine adds time and never takes any away, so the least of each is the surest.
    times = alternated(candidates, repeats=15, warmup=2).wall
    return "bf16" if min(times["bf16"]) < 0.8 * min(times["fp32"]) else "fp32"


def settled_precision(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """bf16 or fp32: as wanted, or for auto the faster one."""
    return faster_precision(device) if wanted == "auto" else wanted
