"""Optimizers of a picture's pixels whose whole state is tensors: a drawing can be stopped and resumed.

Each is given a picture with its loss and gradient, and answers with the picture to look at next. Whoever asks
may look at another one near it, say within 0 to 1.

SciPy's L-BFGS-B and PyTorch's LBFGS with `strong_wolfe` come as low in as many evaluations, but both hold
their line search within a call, so that neither can be stopped at any evaluation and resumed bit for bit.
"""

import math
from collections import deque
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..errors import TrainingError

Picture = Float[Tensor, "1 3 h w"]
State = dict[str, Tensor]

ENOUGH = 1e-4
"""Of the decrease that the slope promises, what a step must bring (Nocedal and Wright 2006, eq. 3.4)."""
TRIES = 12
"""Of ever shorter steps along one direction, before it is given up."""
FLAT = 1e-10
"""Pairs of less curvature are not remembered, as in `torch.optim.LBFGS`."""
FIRST = 0.01
"""Root mean square of the first step, in parts of black to white."""


@runtime_checkable
class PixelOptimizer(Protocol):
    """What both optimizers are."""

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture: ...

    at: Picture | None
    """The picture of the lowest loss so far; None before the first."""

    loss: float
    """Where the descent stands now."""

    def resized(self, height: int, width: int) -> None:
        """Goes on with pictures of another size, with what it remembers if that can be resized, too."""
        ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


class Lbfgs:
    """Limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.4).

    A step that does not lower the loss enough is taken back and tried shorter: so the loss never rises. Whole
    steps, as `torch.optim.LBFGS` takes them by default, leap: from noise the third picture may have a loss
    1e26 times as high, and nothing leads back from there. The inverse Hessian, where it is unknown, is taken
    to be larger for coarse waves than for fine (`smoothed`).
    """

    def __init__(self, *, history: int, lr: float = 1.0) -> None:
        self.history, self.lr = history, lr
        self.resized(0, 0)

    def resized(self, height: int, width: int) -> None:
        """Begins anew: curvature of pictures of one size says little of those of another."""
        self.pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.history)
        self.at: Tensor | None = None
        self.gradient = self.direction = torch.empty(0)
        self.loss, self.size, self.steps, self.tries = math.inf, 0.0, 0, 0

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture:
        """Raises TrainingError for a loss that is no number and stays so however short the step."""
        if self.at is None:
            require_number(loss)
        else:
            step, change = image - self.at, gradient - self.gradient
            slope = min(0.0, float((self.gradient * step).sum()))  # it may rise where values are cut
            if not loss <= self.loss + ENOUGH * slope:
                return self._shorter(loss, slope)
            if float((step * change).sum()) > FLAT:
                self.pairs.append((step, change))
        self.at, self.gradient, self.loss, self.tries = image.clone(), gradient.clone(), loss, 0
        self.direction = -self._scaled(gradient)
        self.size = self._first_size() if self.steps == 0 else self.lr
        self.steps += 1
        return image + self.size * self.direction

    def _scaled(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian, as far as it is known, times the gradient."""
        q, kept = gradient.clone(), []
        for step, change in reversed(self.pairs):
            rho = 1 / (step * change).sum()
            alpha = rho * (step * q).sum()
            q -= alpha * change
            kept.append((rho, alpha))
        q = smoothed(q)
        if self.pairs:
            step, change = self.pairs[-1]
            q *= (step * change).sum() / (change * smoothed(change)).sum()
        for (step, change), (rho, alpha) in zip(self.pairs, reversed(kept), strict=True):
            q += (alpha - rho * (change * q).sum()) * step
        return q

    def _first_size(self) -> float:
        return FIRST / max(float(self.direction.square().mean().sqrt()), 1e-30)

    def _shorter(self, loss: float, slope: float) -> Picture:
        """A tenth to half of the step, where a parabola through what is known has its lowest point; after
        TRIES of these, the steepest descent."""
        assert self.at is not None
        self.tries += 1
        if self.tries > TRIES:
            if not self.pairs:
                require_number(loss)
                return self.at  # rounding is all that is left to gain
            self.pairs.clear()
            self.direction, self.tries = -self._scaled(self.gradient), 0
            self.size = self._first_size()
            return self.at + self.size * self.direction
        curvature = loss - self.loss - slope
        share = -slope / (2 * curvature) if math.isfinite(loss) and curvature > 0 else 0.1
        self.size *= min(0.5, max(0.1, share))
        return self.at + self.size * self.direction

    # State
    def state_dict(self) -> State:
        if self.at is None:
            return {}
        numbers = torch.tensor([self.loss, self.size, self.steps, self.tries], dtype=torch.float64)
        state = {"at": self.at, "gradient": self.gradient, "direction": self.direction, "numbers": numbers}
        if self.pairs:
            state["pair_steps"], state["pair_changes"] = (
                torch.cat([pair[i] for pair in self.pairs]) for i in (0, 1)
            )
        return state

    def load_state_dict(self, state: State) -> None:
        self.resized(0, 0)
        if not state:
            return
        self.at, self.gradient, self.direction = state["at"], state["gradient"], state["direction"]
        self.loss, self.size, steps, tries = state["numbers"].tolist()
        self.steps, self.tries = int(steps), int(tries)
        if "pair_steps" in state:
            both = (state[name].split(1) for name in ("pair_steps", "pair_changes"))
            self.pairs.extend(zip(*both, strict=True))


def smoothed(x: Picture) -> Picture:
    """Every wave of a picture divided by the root of its frequency, which is positive definite.

    Neighbouring pixels of pictures go together: in waves so weighted, as in Olah et al. 2017 ("Feature
    visualization", distill.pub/2017/feature-visualization), steps are more alike in size.
    """
    height, width = x.shape[2:]
    rows = torch.fft.fftfreq(height, device=x.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=x.device)
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / max(height, width))
    return torch.fft.irfft2(torch.fft.rfft2(x) * frequency**-0.5, s=(height, width))


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), whose moments can be taken to another size."""

    def __init__(self, *, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8) -> None:
        self.lr, self.betas, self.eps = lr, betas, eps
        self.first = self.second = torch.zeros(())
        self.steps = 0
        self._begin()

    def _begin(self) -> None:
        self.at: Tensor | None = None
        self.loss = self.lowest = math.inf

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture:
        """Raises TrainingError for a loss that is no number."""
        require_number(loss)
        self.loss = loss
        if loss < self.lowest:
            self.at, self.lowest = image, loss
        (b1, b2), self.steps = self.betas, self.steps + 1
        self.first = b1 * self.first + (1 - b1) * gradient
        self.second = b2 * self.second + (1 - b2) * gradient.square()
        mean, square = self.first / (1 - b1**self.steps), self.second / (1 - b2**self.steps)
        return image - self.lr * mean / (square.sqrt() + self.eps)

    def resized(self, height: int, width: int) -> None:
        """The moments as pictures of the new size."""
        self._begin()
        if self.first.dim() == 4:
            size = (height, width)
            self.first = F.interpolate(self.first, size, mode="bilinear", align_corners=False)
            self.second = F.interpolate(self.second, size, mode="bilinear", align_corners=False)

    def state_dict(self) -> State:
        at = {} if self.at is None else {"at": self.at}
        numbers = torch.tensor([self.steps, self.loss, self.lowest], dtype=torch.float64)
        return {"first": self.first, "second": self.second, "numbers": numbers, **at}

    def load_state_dict(self, state: State) -> None:
        self.first, self.second, self.at = state["first"], state["second"], state.get("at")
        steps, self.loss, self.lowest = state["numbers"].tolist()
        self.steps = int(steps)


def require_number(loss: float) -> None:
    """Raises TrainingError for a loss that is infinite or no number."""
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is {loss:g}: lower the weights or the learning rate.")
