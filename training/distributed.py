"""What several processes must do together; with one process, each function does the obvious."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from .errors import TrainingError


def reduced(accelerator: Accelerator, tensor: Tensor, how: str) -> Tensor:
    """The sum or mean of a tensor over all processes."""
    result = accelerator.reduce(tensor, how)
    assert isinstance(result, Tensor)
    return result


def average_gradients(accelerator: Accelerator, network: nn.Module) -> None:
    """One all-reduce of all gradients there are; layers that the stage leaves out have none anywhere."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    together = reduced(accelerator, torch.cat([gradient.flatten() for gradient in gradients]), "mean")
    parts = together.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def most_of(accelerator: Accelerator, value: int) -> int:
    """The largest of a number that each process has of its own."""
    if accelerator.num_processes == 1:
        return value
    values = accelerator.gather(torch.tensor([value], device=accelerator.device))
    assert isinstance(values, Tensor)
    return int(values.max())


def told_by_main(accelerator: Accelerator, ask: Callable[[], Any]) -> Any:
    """What `ask` answers in the main process, told to all. Its TrainingError is raised in all, too, so that
    no process waits for one that has given up."""
    answer: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            answer[0] = ask()
        except TrainingError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise TrainingError(answer[1])
    return answer[0]
