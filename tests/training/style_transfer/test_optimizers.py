"""Optimizers of pixels: those of PyTorch where these exist, and resumable bit for bit."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.optimizers import Adam, Lbfgs, PixelOptimizer, smoothed

SIDE = 5
CURVATURES = torch.logspace(0, 2, 3 * SIDE**2).view(1, 3, SIDE, SIDE)
GOAL = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def valley(x: Tensor) -> tuple[float, Tensor]:
    """A quadratic with its lowest point, 0, at GOAL."""
    return float((CURVATURES * (x - GOAL).square()).sum() / 2), CURVATURES * (x - GOAL)


def bend(x: Tensor) -> tuple[float, Tensor]:
    """Rosenbrock's valley along the pixels, lowest at ones."""
    x = x.clone().requires_grad_()
    a, b = x.flatten()[:-1], x.flatten()[1:]
    value = (100 * (b - a.square()).square() + (1 - a).square()).sum()
    (gradient,) = torch.autograd.grad(value, x)
    return value.item(), gradient


def descend(
    optimizer: PixelOptimizer,
    loss: Callable[[Tensor], tuple[float, Tensor]],
    steps: int,
    x: Tensor | None = None,
) -> tuple[Tensor, list[float]]:
    x, seen = torch.zeros_like(GOAL) if x is None else x, []
    for _ in range(steps):
        value, gradient = loss(x)
        seen.append(value)
        x = optimizer(x, value, gradient)
    return x, seen


def test_adam_is_that_of_pytorch() -> None:
    found, _ = descend(Adam(lr=0.05), valley, 10)
    x = torch.zeros_like(GOAL).requires_grad_()
    other = torch.optim.Adam([x], lr=0.05, betas=(0.9, 0.99))
    for _ in range(10):
        x.grad = valley(x.detach())[1]
        other.step()
    torch.testing.assert_close(found, x.detach(), rtol=1e-4, atol=1e-5)


def test_the_loss_never_rises() -> None:
    optimizer, x, lowest = Lbfgs(history=10), torch.zeros_like(GOAL), math.inf
    for _ in range(300):
        value, gradient = bend(x)
        x = optimizer(x, value, gradient)
        assert optimizer.loss <= lowest
        lowest = optimizer.loss
    assert optimizer.at is not None
    assert bend(optimizer.at)[0] == optimizer.loss
    assert lowest < 0.5 * bend(torch.zeros_like(GOAL))[0]


def wall(x: Tensor) -> tuple[float, Tensor]:
    """A slope with hardly any curvature, which lets a step go ten thousand times too far, and a wall."""
    x = x.clone().requires_grad_()
    value = (-x + 5e-5 * x.square() + (x - 1).relu().pow(4)).sum()
    (gradient,) = torch.autograd.grad(value, x)
    return value.item(), gradient


def test_a_step_that_leaps_is_taken_back() -> None:
    optimizer = Lbfgs(history=10)
    _, seen = descend(optimizer, wall, 60)
    assert max(seen) > 1e12, "it did leap"
    lowest = min(wall(torch.full_like(GOAL, value))[0] for value in torch.linspace(1, 2, 1000).tolist())
    assert optimizer.loss == pytest.approx(lowest, rel=1e-3)


def test_adam_keeps_the_lowest_and_says_where_it_stands() -> None:
    optimizer = Adam(lr=0.5)
    _, seen = descend(optimizer, valley, 4)
    assert optimizer.at is not None
    assert valley(optimizer.at)[0] == min(seen)
    assert optimizer.loss == seen[-1] > min(seen)


def test_it_converges_on_a_valley() -> None:
    optimizer = Lbfgs(history=20)
    descend(optimizer, valley, 80)
    assert optimizer.at is not None
    torch.testing.assert_close(optimizer.at, GOAL, atol=1e-3, rtol=0)


def test_a_flat_place_is_kept() -> None:
    for optimizer in (Lbfgs(history=3), Adam(lr=0.1)):
        x, _ = descend(optimizer, valley, 3, x=GOAL.clone())
        assert x.equal(GOAL)


@pytest.mark.parametrize("make", [lambda: Lbfgs(history=4), lambda: Adam(lr=0.05)])
@pytest.mark.parametrize("steps", [1, 3, 9])
def test_resumed_is_uninterrupted(make: Callable[[], PixelOptimizer], steps: int) -> None:
    whole, _ = descend(make(), bend, 20)
    first = make()
    x, _ = descend(first, bend, steps)
    second = make()
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    rest, _ = descend(second, bend, 20 - steps, x=x)
    assert rest.equal(whole)


def test_losses_that_are_no_number_stop_or_shorten_the_step() -> None:
    x, gradient = torch.zeros_like(GOAL), torch.ones_like(GOAL)
    for optimizer in (Adam(lr=0.1), Lbfgs(history=3)):
        with pytest.raises(TrainingError, match="the loss is nan"):
            optimizer(x, math.nan, gradient)
    searching = Lbfgs(history=3)
    far = searching(x, 1.0, gradient)
    nearer = searching(far, math.nan, gradient)
    assert float((nearer - x).norm()) == pytest.approx(0.1 * float((far - x).norm()), rel=1e-4)

    def nothing_but_nan() -> None:
        x = nearer
        for _ in range(40):
            x = searching(x, math.nan, gradient)

    with pytest.raises(TrainingError, match="the loss is nan"):
        nothing_but_nan()
    assert searching.at is not None
    assert searching.at.equal(x)


def test_moments_go_along_to_another_size() -> None:
    optimizer = Adam(lr=0.05)
    descend(optimizer, valley, 4)
    before = optimizer.first.mean()
    optimizer.resized(2 * SIDE, 2 * SIDE)
    assert optimizer.first.shape == (1, 3, 2 * SIDE, 2 * SIDE)
    torch.testing.assert_close(optimizer.first.mean(), before, rtol=0.2, atol=1e-3)


def test_smoothing_is_symmetric_positive_and_keeps_the_mean() -> None:
    x, y = torch.randn(2, 1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((smoothed(x) * y).sum(), (x * smoothed(y)).sum(), atol=1e-4, rtol=1e-4)
    assert (smoothed(x) * x).sum() > 0
    flat = torch.ones(1, 3, 6, 7)
    torch.testing.assert_close(smoothed(flat), flat * 7**0.5, atol=1e-5, rtol=1e-5)
