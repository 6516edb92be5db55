import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.optimizers import Adam, Lbfgs, PixelOptimizer, smooth

SIDE = 5
CURVATURES = torch.logspace(0, 2, 3 * SIDE**2).view(1, 3, SIDE, SIDE)
MINIMUM = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
ZEROS = torch.zeros_like(MINIMUM)
Loss = Callable[[Tensor], tuple[float, Tensor]]


def with_gradient(function: Callable[[Tensor], Tensor]) -> Loss:
    def loss(x: Tensor) -> tuple[float, Tensor]:
        x = x.clone().requires_grad_()
        value = function(x)
        return value.item(), torch.autograd.grad(value, x)[0]

    return loss


@with_gradient
def quadratic(x: Tensor) -> Tensor:
    """Lowest, 0, at MINIMUM."""
    return (CURVATURES * (x - MINIMUM).square()).sum() / 2


@with_gradient
def rosenbrock(x: Tensor) -> Tensor:
    """Rosenbrock's function along the pixels, lowest at ones."""
    a, b = x.flatten()[:-1], x.flatten()[1:]
    return (100 * (b - a.square()).square() + (1 - a).square()).sum()


@with_gradient
def wall(x: Tensor) -> Tensor:
    """A slope with so little curvature that full steps go ten thousand times too far, and a wall."""
    return (-x + 5e-5 * x.square() + (x - 1).relu().pow(4)).sum()


def minimise(
    optimizer: PixelOptimizer, loss: Loss, steps: int, x: Tensor = ZEROS
) -> tuple[Tensor, list[float]]:
    losses = []
    for _ in range(steps):
        value, gradient = loss(x)
        losses.append(value)
        x = optimizer(x, value, gradient)
    return x, losses


def test_adam_is_that_of_pytorch() -> None:
    found, _ = minimise(Adam(lr=0.05), quadratic, 10)
    x = ZEROS.clone().requires_grad_()
    other = torch.optim.Adam([x], lr=0.05, betas=(0.9, 0.99))
    for _ in range(10):
        x.grad = quadratic(x.detach())[1]
        other.step()
    torch.testing.assert_close(found, x.detach(), rtol=1e-4, atol=1e-5)


def test_adam_keeps_the_image_of_the_lowest_loss() -> None:
    optimizer = Adam(lr=0.5)
    _, losses = minimise(optimizer, quadratic, 4)
    optimizer(MINIMUM, min(losses), ZEROS)  # no lower
    assert optimizer.best is not None
    assert quadratic(optimizer.best)[0] == min(losses) < losses[-1]


def test_the_moments_of_adam_are_resized() -> None:
    optimizer = Adam(lr=0.05)
    minimise(optimizer, quadratic, 4)
    means = [moment.mean() for moment in (optimizer.first, optimizer.second)]
    optimizer.resize(2 * SIDE, 2 * SIDE)
    for moment, mean in zip((optimizer.first, optimizer.second), means, strict=True):
        assert moment.shape == (1, 3, 2 * SIDE, 2 * SIDE)
        torch.testing.assert_close(moment.mean(), mean)


def test_the_loss_of_lbfgs_never_rises() -> None:
    optimizer, x, losses = Lbfgs(history=10), ZEROS, [math.inf]
    for _ in range(300):
        x = optimizer(x, *rosenbrock(x))
        losses.append(optimizer.loss)
    assert losses == sorted(losses, reverse=True)
    assert optimizer.best is not None
    assert rosenbrock(optimizer.best)[0] == optimizer.loss < 0.5 * rosenbrock(ZEROS)[0]


def test_lbfgs_takes_steps_back_that_raise_the_loss() -> None:
    optimizer = Lbfgs(history=10)
    assert max(minimise(optimizer, wall, 60)[1]) > 1e12, "a full step raised it"
    lowest = min(wall(torch.full_like(MINIMUM, x))[0] for x in torch.linspace(1, 2, 1000).tolist())
    assert optimizer.loss == pytest.approx(lowest, rel=1e-3)


def test_lbfgs_converges_on_a_quadratic() -> None:
    optimizer = Lbfgs(history=20)
    minimise(optimizer, quadratic, 80)
    torch.testing.assert_close(optimizer.best, MINIMUM, atol=1e-3, rtol=0)


@pytest.mark.parametrize("make", [lambda: Lbfgs(history=4), lambda: Adam(lr=0.05)])
def test_a_minimum_is_a_fixed_point(make: Callable[[], PixelOptimizer]) -> None:
    assert minimise(make(), quadratic, 3, x=MINIMUM)[0].equal(MINIMUM)


def test_losses_that_are_not_finite_stop_or_shorten_the_step() -> None:
    gradient = torch.ones_like(ZEROS)
    for optimizer in (Adam(lr=0.1), Lbfgs(history=3)):
        with pytest.raises(TrainingError, match="the loss is nan"):
            optimizer(ZEROS, math.nan, gradient)
    optimizer = Lbfgs(history=3)
    far = optimizer(ZEROS, 1.0, gradient)
    nearer = optimizer(far, math.nan, gradient)
    assert float(nearer.norm()) == pytest.approx(0.1 * float(far.norm()), rel=1e-4)
    with pytest.raises(TrainingError, match="the loss is nan"):
        minimise(optimizer, lambda _: (math.nan, gradient), 40, x=nearer)
    torch.testing.assert_close(optimizer.best, ZEROS, rtol=0, atol=0)


def test_smoothing_is_symmetric_and_positive_and_scales_the_mean() -> None:
    x, y = torch.randn(2, 1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((smooth(x) * y).sum(), (x * smooth(y)).sum(), atol=1e-4, rtol=1e-4)
    assert (smooth(x) * x).sum() > 0
    flat = torch.ones(1, 3, 6, 7)
    torch.testing.assert_close(smooth(flat), flat * 7**0.5, atol=1e-5, rtol=1e-5)
