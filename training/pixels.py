"""Optimizers of a picture's pixels whose whole state is tensors: a drawing can be stopped and resumed.

Each is given a picture with its loss and gradient, and answers with the picture to look at next. Whoever asks
may look at another one near it, say within 0 to 1.
"""

import math
from collections import deque
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .errors import TrainingError

Picture = Float[Tensor, "1 3 h w"]
State = dict[str, Tensor]

ENOUGH = 1e-4
"""Of the decrease that the slope promises, what a step must bring (Nocedal and Wright 2006, eq. 3.4)."""
TRIES = 12
"""Of ever shorter steps along one direction, before it is given up."""
FLAT = 1e-10
"""Pairs of less curvature are not remembered, as in `torch.optim.LBFGS`."""
FIRST = 0.01
"""Root mean square of the first step with a search, in parts of black to white."""


@runtime_checkable
class PixelOptimizer(Protocol):
    """What both optimizers are."""

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture: ...

    at: Picture | None
    """The last picture whose loss was low enough to go on from; None before the first."""

    def resized(self, height: int, width: int) -> None:
        """Goes on with pictures of another size, with what it remembers if that can be resized, too."""
        ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


class Lbfgs:
    """Limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.4).

    Without a `search` every step is taken whole, as `torch.optim.LBFGS` does by default. With it, a step that
    does not lower the loss enough is taken back and tried shorter: so the loss never rises. Then, too, the
    inverse Hessian, where it is unknown, is taken to be larger for coarse waves than for fine (`smoothed`).
    """

    def __init__(self, *, history: int, lr: float = 1.0, search: bool = True) -> None:
        self.history, self.lr, self.search = history, lr, search
        self.resized(0, 0)

    def resized(self, height: int, width: int) -> None:
        """Begins anew: curvature of pictures of one size says little of those of another."""
        self.pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.history)
        self.at: Tensor | None = None
        self.gradient = self.direction = torch.empty(0)
        self.loss, self.size, self.steps, self.tries = math.inf, 0.0, 0, 0

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture:
        """Raises TrainingError for a loss that is no number, with a search if even tiny steps do not help."""
        if not self.search or self.at is None:
            require_number(loss)
        if self.at is not None and self.search:
            slope = float((self.gradient * (image - self.at)).sum())
            if not loss <= self.loss + ENOUGH * slope:
                return self._shorter(loss, slope)
        if self.at is not None:
            step, change = image - self.at, gradient - self.gradient
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
        if not self.pairs:
            q = self._guessed(q)
        else:
            step, change = self.pairs[-1]
            q = self._guessed(q) * ((step * change).sum() / (change * self._guessed(change)).sum())
        for (step, change), (rho, alpha) in zip(self.pairs, reversed(kept), strict=True):
            q += (alpha - rho * (change * q).sum()) * step
        return q

    def _guessed(self, x: Tensor) -> Tensor:
        return smoothed(x) if self.search else x

    def _first_size(self) -> float:
        if self.search:
            return FIRST / max(float(self.direction.square().mean().sqrt()), 1e-30)
        return self.lr * min(1.0, 1 / max(float(self.gradient.abs().sum()), 1e-30))

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
        self.at: Tensor | None = None

    def __call__(self, image: Picture, loss: float, gradient: Picture) -> Picture:
        """Raises TrainingError for a loss that is no number."""
        require_number(loss)
        self.at = image
        (b1, b2), self.steps = self.betas, self.steps + 1
        self.first = b1 * self.first + (1 - b1) * gradient
        self.second = b2 * self.second + (1 - b2) * gradient.square()
        mean, square = self.first / (1 - b1**self.steps), self.second / (1 - b2**self.steps)
        return image - self.lr * mean / (square.sqrt() + self.eps)

    def resized(self, height: int, width: int) -> None:
        """The moments as pictures of the new size."""
        self.at = None
        if self.first.dim() == 4:
            size = (height, width)
            self.first = F.interpolate(self.first, size, mode="bilinear", align_corners=False)
            self.second = F.interpolate(self.second, size, mode="bilinear", align_corners=False)

    def state_dict(self) -> State:
        at = {} if self.at is None else {"at": self.at}
        return {"first": self.first, "second": self.second, "steps": torch.tensor(self.steps), **at}

    def load_state_dict(self, state: State) -> None:
        self.first, self.second, self.steps = state["first"], state["second"], int(state["steps"])
        self.at = state.get("at")


def require_number(loss: float) -> None:
    """Raises TrainingError for a loss that is infinite or no number."""
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is {loss:g}: lower the weights or the learning rate.")
