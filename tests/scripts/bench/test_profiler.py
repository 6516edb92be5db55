"""Operations counted by hand, and parts of a step by a clock that only the parts advance."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brushwork.scripts.bench.profiler import REST, Flops, Stopwatch, flops_of, peak_convolutions

from .conftest import Clock


def test_the_gradient_of_a_gradient_counts() -> None:
    x, weight = torch.randn(2, 3, 5, 5, requires_grad=True), torch.randn(4, 3, 1, 1, requires_grad=True)
    once = 2 * 3 * 4 * 25 * 2
    with Flops() as counter:
        (slope,) = torch.autograd.grad(F.conv2d(x, weight).square().sum(), x, create_graph=True)
        assert counter.total == 2 * once
        slope.square().sum().backward()
    assert counter.total > 4 * once


def test_the_operations_of_the_peak_are_those_of_its_convolutions() -> None:
    actions, flops = peak_convolutions(2, torch.float32, torch.device("cpu"))
    assert flops == {name: flops_of(action) for name, action in actions.items()}


class Slow(torch.autograd.Function):
    """A product that takes 1 second forward and `part.back` seconds backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, part: Any) -> Tensor:
        ctx.part = part
        part.clock.now += 1.0
        return x * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        ctx.part.clock.now += ctx.part.back
        return grads[0], grads[0].sum(), None


class Part(nn.Module):
    def __init__(self, clock: Clock, back: float) -> None:
        super().__init__()
        self.scale, self.clock, self.back = nn.Parameter(torch.ones(())), clock, back

    def forward(self, x: Tensor) -> Tensor:
        return Slow.apply(x, self.scale, self)


def test_every_second_belongs_to_one_part(clock: Clock) -> None:
    """Without gradients for inputs, a backward pass lasts until the optimizer."""
    first, second = Part(clock, 2.0), Part(clock, 5.0)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    for with_gradients in (True, False):
        clock.now, watch = 0.0, Stopwatch(torch.device("cpu"))
        with watch.watching({"first": first, "second": second}, {"optimizer": optimizer}), watch.running():
            with watch.part("data"):
                clock.now += 0.5
            x = first(torch.ones(3, requires_grad=with_gradients))
            clock.now += 10.0
            second(x).sum().backward()
            clock.now += 20.0
            optimizer.step()
            clock.now += 3.0
        late = 0.0 if with_gradients else 20.0
        assert dict(watch.seconds) == {
            "data": 0.5, "first forward": 1.0, "second forward": 1.0, "second backward": 5.0,
            "first backward": 2.0 + late, REST: 33.0 - late, "optimizer": 0.0,
        }  # fmt: skip
        assert sum(watch.seconds.values()) == clock.now


def test_only_what_runs_is_counted_and_hooks_go_away(clock: Clock) -> None:
    part, watch = Part(clock, 1.0), Stopwatch(torch.device("cpu"))
    with watch.watching({"part": part}, {}):
        part(torch.ones(3))
    with watch.running():
        part(torch.ones(3))
    assert dict(watch.seconds) == {REST: 1.0}
