"""Collective operations of several processes; with one process they return their input."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn


def all_reduce(accelerator: Accelerator, tensor: Tensor, how: str) -> Tensor:
    """The sum or mean of a tensor over all processes."""
    result = accelerator.reduce(tensor, how)
    assert isinstance(result, Tensor)
    return result


def average_gradients(accelerator: Accelerator, network: nn.Module) -> None:
    """Averages the gradients over processes, in one all-reduce. Layers outside the stage have none
    anywhere."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if not gradients:  # the weights of all terms are 0, in all processes alike
        return
    together = all_reduce(accelerator, torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    parts = together.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def all_reduce_max(accelerator: Accelerator, value: int) -> int:
    """The largest of the processes' values."""
    if accelerator.num_processes == 1:
        return value
    values = accelerator.gather(torch.tensor([value], device=accelerator.device))
    assert isinstance(values, Tensor)
    return int(values.max())


def broadcast_from_main(accelerator: Accelerator, compute: Callable[[], Any]) -> Any:
    """The result of `compute` in the main process, in every process. If it raises, `Watch` ends the
    others."""
    result = [compute() if accelerator.is_main_process else None]
    broadcast_object_list(result)
    return result[0]
