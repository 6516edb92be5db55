"""How much work an action is, and how much of it the machine can do in a second."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

CONVOLUTIONS = ((32, 64), (32, 128), (16, 256))
"""Sides and channels of the convolutions of which the fastest is the machine's peak."""
MATRIX = 2048
"""Rows and columns of the matrices that are multiplied for comparison."""
PRODUCT = "product"

Actions = dict[str, Callable[[], object]]


class Flops(TorchDispatchMode):
    """Counts the floating-point operations of convolutions and products while it lasts, forward, backward
    and twice backward; a multiplication with its addition is two.

    (`FlopCounterMode` counts alike, but its tracking of modules does not bear the penalty's inner gradient.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=found))
        return found


def flops_of(action: Callable[[], object]) -> int:
    with Flops() as counter:
        action()
    return counter.total


# The machine's limit
def convolution(
    side: int, channels: int, batch: int, kind: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """One of 3 x 3, forward and backward."""
    shape = (batch, channels, side, side)
    x = torch.randn(shape, device=device, dtype=kind).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device, dtype=kind) / (3 * channels**0.5)
    weight = weight.contiguous(memory_format=torch.channels_last).requires_grad_()
    x.requires_grad_()
    slope = torch.ones(shape, device=device, dtype=kind).contiguous(memory_format=torch.channels_last)

    def act() -> None:
        torch.autograd.grad(F.conv2d(x, weight, padding=1), (x, weight), slope)
        _wait(device)

    return act


def product(kind: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=kind)

    def act() -> Tensor:
        found = a @ a
        _wait(device)
        return found

    return act


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limits(batch: int, kind: torch.dtype, device: torch.device) -> tuple[Actions, dict[str, float]]:
    """What to time for them, and the operations of each: convolutions of the batch, and a product."""
    actions: Actions = {PRODUCT: product(kind, device)}
    work = {PRODUCT: 2.0 * MATRIX**3}
    for side, channels in CONVOLUTIONS:
        name = f"convolution, {channels} channels of {side} px"
        actions[name] = convolution(side, channels, batch, kind, device)
        work[name] = 3 * 2.0 * 9 * channels**2 * side**2 * batch
    return actions, work
