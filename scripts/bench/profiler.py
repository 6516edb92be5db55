"""Where the time of a training step goes, how many operations it has, and how many the machine can do."""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle

CONVOLUTIONS = ((32, 64), (32, 128), (16, 256))
"""Resolutions and channels of the convolutions of which the fastest is the machine's peak."""
REST = "rest"
"""Losses, augmentation, random numbers, bookkeeping."""

Actions = dict[str, Callable[[], object]]


# Operations
class Flops(TorchDispatchMode):
    """Counts floating-point operations of convolutions and matrix products within the context.

    Forward, backward and double backward passes count; a multiplication with its addition is two operations.
    (`FlopCounterMode` tracks modules too, which fails with the inner gradient of R1.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=result))
        return result


def flops_of(action: Callable[[], object]) -> int:
    """Floating-point operations of one call."""
    with Flops() as counter:
        action()
    return counter.total


def convolution(
    resolution: int, channels: int, batch: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """Forward and backward pass of a 3 x 3 convolution, as a function to time."""

    def channels_last(x: torch.Tensor) -> torch.Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    shape = (batch, channels, resolution, resolution)
    x = channels_last(torch.randn(shape, device=device, dtype=dtype)).requires_grad_()
    weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype) / (3 * channels**0.5)
    weight = channels_last(weight).requires_grad_()
    grad = channels_last(torch.ones(shape, device=device, dtype=dtype))

    def run() -> None:
        torch.autograd.grad(F.conv2d(x, weight, padding=1), (x, weight), grad)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def peak_convolutions(
    batch: int, dtype: torch.dtype, device: torch.device
) -> tuple[Actions, dict[str, float]]:
    """The convolutions that measure the machine's peak, and the operations of each, by name."""
    actions: Actions = {}
    flops: dict[str, float] = {}
    for resolution, channels in CONVOLUTIONS:
        name = f"convolution, {channels} channels of {resolution} px"
        actions[name] = convolution(resolution, channels, batch, dtype, device)
        flops[name] = 3 * 2.0 * 9 * channels**2 * resolution**2 * batch
    return actions, flops


# Time
class Stopwatch:
    """Seconds of a training step by part. `watching` adds hooks to modules and optimizers.

    A part lasts from its beginning to its end or to the beginning of the next part, forward and backward.
    So the parts add up to the step.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device, self._open, self._since = device, [REST], 0.0
        self._counts = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts time within the context, at first as REST."""
        self._open, self._since, self._counts = [REST], self._now(), True
        try:
            yield
        finally:
            self._count()
            self._counts = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the step that is not a module."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave(name)

    @contextmanager
    def watching(
        self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
    ) -> Iterator[None]:
        """Makes these modules and optimizers parts within the context."""
        handles = [handle for name, module in modules.items() for handle in self._on_module(name, module)]
        for name, optimizer in optimizers.items():
            handles += self._on_optimizer(name, optimizer)
        try:
            with warnings.catch_warnings():
                # Real images need no gradient, so the discriminator's hooks warn.
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _on_module(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        forward, backward = f"{name} forward", f"{name} backward"

        def ended(_module: nn.Module, inputs: Any, _outputs: Any) -> None:
            # Without gradients of inputs this hook fires at the beginning: the part ends with the next one.
            if any(gradient is not None for gradient in inputs):
                self._leave(backward)

        return [
            module.register_forward_pre_hook(lambda *_: self._enter(forward)),
            module.register_forward_hook(lambda *_: self._leave(forward)),
            module.register_full_backward_pre_hook(lambda *_: self._enter(backward)),
            module.register_full_backward_hook(ended),
        ]

    def _on_optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> list[RemovableHandle]:
        def begins(*_: Any) -> None:
            self._count()
            self._open = [REST]  # the backward pass has ended, whichever part was open
            self._enter(name)

        return [
            optimizer.register_step_pre_hook(begins),
            optimizer.register_step_post_hook(lambda *_: self._leave(name)),
        ]

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _count(self) -> None:
        if self._counts:
            now = self._now()
            self.seconds[self._open[-1]] += now - self._since
            self._since = now

    def _enter(self, name: str) -> None:
        self._count()
        self._open.append(name)

    def _leave(self, name: str) -> None:
        self._count()
        if name in self._open:
            del self._open[self._open.index(name) :]
