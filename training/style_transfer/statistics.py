"""What a picture's style is measured by: sums of its feature maps over places, and distances of these.

Gram matrices, means with deviations, and normal distributions are all functions of two sums, x and
x x^T. Sums add up over the tiles of one picture, and mix over several pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.models.errors import ModelError

Scaling = Literal["gatys", "mean", "relative"]
"""What squared distances are divided by, see `gram_error`."""

FLOOR = 1e-5
"""Variances count as no less: so that deviations have finite gradients."""
RIDGE = 1e-3
"""See `wasserstein_error`."""


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Sums over places of feature vectors x, each times its weight."""

    first: Float[Tensor, "c"]
    """Of x."""
    second: Float[Tensor, "c c"]
    """Of x x^T."""
    weight: Float[Tensor, ""]
    """Of the weights; without any, the number of places."""

    def __add__(self, other: "FeatureStatistics") -> "FeatureStatistics":
        return FeatureStatistics(
            first=self.first + other.first, second=self.second + other.second,
            weight=self.weight + other.weight,
        )  # fmt: skip

    def __mul__(self, factor: float | Tensor) -> "FeatureStatistics":
        return FeatureStatistics(
            first=self.first * factor, second=self.second * factor, weight=self.weight * factor
        )

    def __truediv__(self, divisor: float | Tensor) -> "FeatureStatistics":
        return self * (1 / divisor)

    @property
    def mean(self) -> Float[Tensor, "c"]:
        return self.first / self.weight

    @property
    def gram(self) -> Float[Tensor, "c c"]:
        """The mean of x x^T: the Gram matrix over the number of places, so that sizes can be compared."""
        return self.second / self.weight

    @property
    def covariance(self) -> Float[Tensor, "c c"]:
        return self.gram - torch.outer(self.mean, self.mean)

    @property
    def deviation(self) -> Float[Tensor, "c"]:
        return self.covariance.diagonal().clamp_min(FLOOR).sqrt()


def moments(maps: Float[Tensor, "1 c h w"], weights: Float[Tensor, "h w"] | None = None) -> FeatureStatistics:
    """Of one picture's maps, in float32 whatever they came in."""
    flat = maps[0].flatten(1).float()
    if weights is None:
        places = torch.tensor(float(flat.shape[1]), device=flat.device)
        return FeatureStatistics(first=flat.sum(dim=1), second=flat @ flat.T, weight=places)
    weighted = flat * weights.flatten()
    return FeatureStatistics(first=weighted.sum(dim=1), second=weighted @ flat.T, weight=weights.sum())


def blended(parts: Sequence[FeatureStatistics], weights: Sequence[float]) -> FeatureStatistics:
    """As if the pictures lay side by side, each on its part of the places: weights are divided by their sum.

    Raises ModelError where they sum to nothing."""
    total = sum(weights)
    if total <= 0:
        raise ModelError(f"the weights {', '.join(f'{w:g}' for w in weights)} sum to {total:g}, not above 0.")
    counting = [part for part, weight in zip(parts, weights, strict=True) if weight]
    if len(counting) == 1:
        return counting[0]  # to the last bit, so that a picture in its own style is at rest
    shares = [part / part.weight * (weight / total) for part, weight in zip(parts, weights, strict=True)]
    return sum(shares[1:], shares[0])


# Distances
def gram_error(drawn: FeatureStatistics, goal: FeatureStatistics, scaling: Scaling) -> Float[Tensor, ""]:
    """Squared Frobenius distance of the Gram matrices, of c channels and per place, divided by

    `gatys`: 4 c^2 (Gatys et al. 2016, eq. 4, whose matrices are sums over places); `mean`: c^4, the mean over
    entries of matrices that are divided by c (Johnson et al. 2016, arXiv:1603.08155, eq. 3, and the PyTorch
    tutorial); `relative`: the goal's own squared norm.
    """
    squares = (drawn.gram - goal.gram).square().sum()
    c = len(goal.first)
    return squares / _divisor(scaling, 4.0 * c**2, float(c**4), goal.gram.square().sum())


def mean_std_error(drawn: FeatureStatistics, goal: FeatureStatistics, scaling: Scaling) -> Float[Tensor, ""]:
    """Squared distances of means and of deviations (Huang and Belongie 2017, arXiv:1703.06868, eq. 13), over
    the number of channels, or `relative` to the goal's."""
    squares = (drawn.mean - goal.mean).square().sum() + (drawn.deviation - goal.deviation).square().sum()
    own = goal.mean.square().sum() + goal.deviation.square().sum()
    channels = float(len(goal.first))
    return squares / _divisor(scaling, channels, channels, own)


def wasserstein_error(
    drawn: FeatureStatistics, goal: FeatureStatistics, scaling: Scaling
) -> Float[Tensor, ""]:
    """Squared Wasserstein-2 distance of the normal distributions of equal moments,

        |m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)    (Olkin and Pukelsheim 1982),

    over the number of channels, or `relative` to the goal's E|x|^2. Differentiable in `drawn` alone.

    Both distributions are widened by RIDGE of the goal's mean variance in every direction, which bounds the
    root's slope; between equal ones nothing lies all the same. In float64, since roots halve the digits.
    """
    spread = torch.eye(len(goal.first), dtype=torch.float64, device=goal.first.device)
    spread = spread * (RIDGE * goal.covariance.diagonal().double().mean()).clamp_min(FLOOR**2)
    own, other = drawn.covariance.double() + spread, goal.covariance.double() + spread
    root = square_root(other)
    overlap = torch.linalg.eigvalsh(root @ own @ root).clamp_min(FLOOR**4).sqrt().sum()
    apart = (drawn.mean - goal.mean).double().square().sum()
    squares = (apart + own.trace() + other.trace() - 2 * overlap).to(drawn.first.dtype)
    channels = float(len(goal.first))
    return squares / _divisor(scaling, channels, channels, goal.gram.trace())


@torch.no_grad()
def square_root(matrix: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """The symmetric root of a symmetric matrix; what rounding left below zero counts as zero."""
    values, vectors = torch.linalg.eigh(matrix.double())
    return ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).to(matrix.dtype)


def _divisor(scaling: Scaling, gatys: float, mean: float, own: Tensor) -> float | Tensor:
    return {"gatys": gatys, "mean": mean, "relative": own.clamp_min(FLOOR**2)}[scaling]
