"""Optimizers of pixels.

An optimizer takes an image with its loss and gradient and returns the image to evaluate next. The caller may
evaluate a nearby image instead, such as the one clamped to 0..1. Neither SciPy's L-BFGS-B nor PyTorch's LBFGS
takes an initial inverse Hessian, which saves evaluations here (`smooth`).
"""

import math
from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import TrainingError
from .statistics import Image

SUFFICIENT_DECREASE = 1e-4
"""Part of the decrease predicted by the slope that a step must achieve (Nocedal and Wright 2006, eq. 3.4)."""
MAX_BACKTRACKS = 12
"""Shorter steps along one direction before L-BFGS restarts from steepest descent."""
MIN_CURVATURE = 1e-10
"""Pairs with less curvature are not stored, as in `torch.optim.LBFGS`."""
FIRST_STEP = 0.01
"""Root mean square of the first step, for values 0 to 1."""


class Lbfgs:
    """Limited-memory BFGS with backtracking (Nocedal and Wright 2006, algorithm 7.4).

    A step that does not lower the loss enough is taken back and shortened, so the loss never rises. The full
    steps that `torch.optim.LBFGS` takes by default diverge: from noise the third image may have a loss 1e26
    times as high. The initial inverse Hessian is larger for low frequencies than for high ones (`smooth`).
    """

    def __init__(self, *, history: int) -> None:
        self.pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=history)
        self.best: Tensor | None = None
        """The image of the lowest loss; None before the first evaluation."""
        self.gradient = self.direction = torch.empty(0)
        self.loss, self.step_size, self.steps, self.backtracks = math.inf, 0.0, 0, 0

    def __call__(self, image: Image, loss: float, gradient: Image) -> Image:
        """Raises TrainingError if the loss is not finite and stays so however short the step."""
        if self.best is None:
            require_finite(loss)
        else:
            step, change = image - self.best, gradient - self.gradient
            slope = min(0.0, float((self.gradient * step).sum()))  # clamping may turn it positive
            if not loss <= self.loss + SUFFICIENT_DECREASE * slope:
                return self._backtrack(loss, slope)
            if float((step * change).sum()) > MIN_CURVATURE:
                self.pairs.append((step, change))
        self.best, self.gradient, self.loss, self.backtracks = image.clone(), gradient.clone(), loss, 0
        self.direction = -self._precondition(gradient)
        self.step_size = self._first_step_size() if self.steps == 0 else 1.0
        self.steps += 1
        return image + self.step_size * self.direction

    def _precondition(self, gradient: Tensor) -> Tensor:
        """Multiply the gradient by the approximate inverse Hessian: the two-loop recursion."""
        q, scales = gradient.clone(), []
        for step, change in reversed(self.pairs):
            rho = 1 / (step * change).sum()
            alpha = rho * (step * q).sum()
            q -= alpha * change
            scales.append((rho, alpha))
        q = smooth(q)
        if self.pairs:
            step, change = self.pairs[-1]
            q *= (step * change).sum() / (change * smooth(change)).sum()
        for (step, change), (rho, alpha) in zip(self.pairs, reversed(scales), strict=True):
            q += (alpha - rho * (change * q).sum()) * step
        return q

    def _first_step_size(self) -> float:
        return FIRST_STEP / max(float(self.direction.square().mean().sqrt()), 1e-30)

    def _backtrack(self, loss: float, slope: float) -> Image:
        """Shorten the step to between a tenth and a half, by the minimum of a parabola through the losses and
        the slope. After MAX_BACKTRACKS restart from steepest descent."""
        assert self.best is not None
        self.backtracks += 1
        if self.backtracks > MAX_BACKTRACKS:
            if not self.pairs:
                require_finite(loss)
                return self.best  # only rounding is left to gain
            self.pairs.clear()
            self.direction, self.backtracks = -self._precondition(self.gradient), 0
            self.step_size = self._first_step_size()
            return self.best + self.step_size * self.direction
        curvature = loss - self.loss - slope
        share = -slope / (2 * curvature) if math.isfinite(loss) and curvature > 0 else 0.1
        self.step_size *= min(0.5, max(0.1, share))
        return self.best + self.step_size * self.direction


def smooth(x: Image) -> Image:
    """Divide every frequency of an image by its square root. The operator is positive definite.

    Neighbouring pixels of images are correlated. In coordinates scaled this way, as in Olah et al. 2017
    ("Feature visualization", distill.pub/2017/feature-visualization), steps are more alike in size.
    """
    height, width = x.shape[2:]
    rows = torch.fft.fftfreq(height, device=x.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=x.device)
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / max(height, width))
    return torch.fft.irfft2(torch.fft.rfft2(x) * frequency**-0.5, s=(height, width))


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1) whose moments can be resized."""

    def __init__(self, *, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8) -> None:
        self.lr, self.betas, self.eps = lr, betas, eps
        self.first = self.second = torch.zeros(())
        self.steps = 0
        self.best: Tensor | None = None
        self.lowest = math.inf

    def __call__(self, image: Image, loss: float, gradient: Image) -> Image:
        """Raises TrainingError if the loss is not finite."""
        require_finite(loss)
        if loss < self.lowest:
            self.best, self.lowest = image, loss
        (b1, b2), self.steps = self.betas, self.steps + 1
        self.first = b1 * self.first + (1 - b1) * gradient
        self.second = b2 * self.second + (1 - b2) * gradient.square()
        mean, square = self.first / (1 - b1**self.steps), self.second / (1 - b2**self.steps)
        return image - self.lr * mean / (square.sqrt() + self.eps)

    def resize(self, height: int, width: int) -> None:
        """Resize the moments and forget the lowest loss."""
        self.best, self.lowest = None, math.inf
        size = (height, width)
        self.first = F.interpolate(self.first, size, mode="bilinear", align_corners=False)
        self.second = F.interpolate(self.second, size, mode="bilinear", align_corners=False)


PixelOptimizer = Adam | Lbfgs


def require_finite(loss: float) -> None:
    """Raise TrainingError if a loss is infinite or NaN."""
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is {loss:g}: lower the weights or the learning rate.")
