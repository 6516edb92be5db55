"""Where the time of a training step goes, measured in the step itself.

Modules and optimizers tell when they begin and end, forward and backward; what lies between belongs to the
part that is open. So the parts add up to the step by construction.
"""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

REST = "rest"
"""Losses, augmentation, random numbers, bookkeeping."""


class Stopwatch:
    """Seconds by part. `watching` attaches it to modules and optimizers, `running` makes it count."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device, self._open, self._since = device, [REST], 0.0
        self._counts = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """While it lasts, time is counted. What is open then is left behind."""
        self._open, self._since, self._counts = [REST], self._now(), True
        try:
            yield
        finally:
            self._stamp()
            self._counts = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the step that is no module."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave(name)

    @contextmanager
    def watching(
        self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
    ) -> Iterator[None]:
        """While it lasts, these tell it when they run."""
        handles = [handle for name, module in modules.items() for handle in self._on_module(name, module)]
        for name, optimizer in optimizers.items():
            handles += self._on_optimizer(name, optimizer)
        try:
            with warnings.catch_warnings():
                # Real pictures need no gradient, which the hooks of the discriminator remark upon.
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                yield
        finally:
            for handle in handles:
                handle.remove()

    # Hooks
    def _on_module(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        forth, back = f"{name} forward", f"{name} backward"

        def ended(_module: nn.Module, inputs: Any, _outputs: Any) -> None:
            # Without gradients for inputs this comes at the beginning: then the part lasts to the next one.
            if any(gradient is not None for gradient in inputs):
                self._leave(back)

        return [
            module.register_forward_pre_hook(self._action(self._enter, forth)),
            module.register_forward_hook(self._action(self._leave, forth)),
            module.register_full_backward_pre_hook(self._action(self._enter, back)),
            module.register_full_backward_hook(ended),
        ]

    def _on_optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> list[RemovableHandle]:
        def begins(*_: Any) -> None:
            self._stamp()
            self._open = [REST]  # the backward pass is over, whoever was in it
            self._enter(name)

        return [
            optimizer.register_step_pre_hook(begins),
            optimizer.register_step_post_hook(self._action(self._leave, name)),
        ]

    @staticmethod
    def _action(act: Callable[[str], None], name: str) -> Callable[..., None]:
        return lambda *_: act(name)

    # Time
    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _stamp(self) -> None:
        if self._counts:
            now = self._now()
            self.seconds[self._open[-1]] += now - self._since
            self._since = now

    def _enter(self, name: str) -> None:
        self._stamp()
        self._open.append(name)

    def _leave(self, name: str) -> None:
        self._stamp()
        if name in self._open:
            del self._open[self._open.index(name) :]
