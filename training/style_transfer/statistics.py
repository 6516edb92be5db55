"""Feature statistics, their distances, and the colour statistics of images.

Gram matrices and normal distributions are functions of two sums over positions: of x and of x x^T. Sums add
up over the tiles of one image and mix over several images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Scaling = Literal["gatys", "mean", "relative"]
"""Divisor of squared distances; see `gram_error`."""
Image = Float[Tensor, "1 3 h w"]

FLOOR = 1e-5
"""Lower bound of variances, which keeps the gradients of standard deviations finite."""
RIDGE = 1e-3
"""See `wasserstein_error`."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of gamma-encoded R, G and B (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Weighted sums over positions of feature vectors x."""

    first: Float[Tensor, "c"]
    """Sum of x."""
    second: Float[Tensor, "c c"]
    """Sum of x x^T."""
    weight: Float[Tensor, ""]
    """Sum of the weights; the number of positions where all weights are 1."""

    def __add__(self, other: "FeatureStatistics") -> "FeatureStatistics":
        return FeatureStatistics(
            first=self.first + other.first, second=self.second + other.second,
            weight=self.weight + other.weight,
        )  # fmt: skip

    def __mul__(self, factor: float | Tensor) -> "FeatureStatistics":
        return FeatureStatistics(
            first=self.first * factor, second=self.second * factor, weight=self.weight * factor
        )

    @property
    def mean(self) -> Float[Tensor, "c"]:
        return self.first / self.weight

    @property
    def gram(self) -> Float[Tensor, "c c"]:
        """Mean of x x^T: the Gram matrix divided by the number of positions."""
        return self.second / self.weight

    @property
    def covariance(self) -> Float[Tensor, "c c"]:
        return self.gram - torch.outer(self.mean, self.mean)


def feature_statistics(
    features: Float[Tensor, "1 c h w"], weights: Float[Tensor, "h w"] | None = None
) -> FeatureStatistics:
    """Sum the features of one image over positions, in float32."""
    flat = features[0].flatten(1).float()
    if weights is None:
        count = torch.tensor(float(flat.shape[1]), device=flat.device)
        return FeatureStatistics(first=flat.sum(dim=1), second=flat @ flat.T, weight=count)
    weighted = flat * weights.flatten()
    return FeatureStatistics(first=weighted.sum(dim=1), second=weighted @ flat.T, weight=weights.sum())


def blend(parts: Sequence[FeatureStatistics], weights: Sequence[float]) -> FeatureStatistics:
    """Mix statistics as if the images lay side by side, each on its share of the positions."""
    total = sum(weights)
    used = [part for part, weight in zip(parts, weights, strict=True) if weight]
    if len(used) == 1:
        return used[0]  # exact, so that an image in its own style is a fixed point
    shares = [
        part * (1 / part.weight) * (weight / total) for part, weight in zip(parts, weights, strict=True)
    ]
    return sum(shares[1:], shares[0])


# Distances
def gram_error(x: FeatureStatistics, target: FeatureStatistics, scaling: Scaling) -> Float[Tensor, ""]:
    """Squared Frobenius distance of the Gram matrices of c channels, per position, divided by `scaling`.

    `gatys`: 4 c^2 (Gatys et al. 2016, eq. 4, where matrices are sums over positions). `mean`: c^4, the mean
    over entries of matrices divided by c (Johnson et al. 2016, arXiv:1603.08155, eq. 3, and the PyTorch
    tutorial). `relative`: the squared norm of the target's matrix.
    """
    squares = (x.gram - target.gram).square().sum()
    c = len(target.first)
    return squares / _divisor(scaling, 4.0 * c**2, float(c**4), target.gram.square().sum())


def wasserstein_error(x: FeatureStatistics, target: FeatureStatistics, scaling: Scaling) -> Float[Tensor, ""]:
    """Squared Wasserstein-2 distance of normal distributions with these means m and covariances S,

        |m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)    (Olkin and Pukelsheim 1982),

    divided by the number of channels, or `relative` to the target's E|x|^2. Differentiable in `x` only.

    Both covariances get a ridge of RIDGE times the target's mean variance, which bounds the slope of the
    root. The distance of equal distributions stays 0. Computed in float64, since roots halve the digits.
    """
    ridge = torch.eye(len(target.first), dtype=torch.float64, device=target.first.device)
    ridge = ridge * (RIDGE * target.covariance.diagonal().double().mean()).clamp_min(FLOOR**2)
    own, other = x.covariance.double() + ridge, target.covariance.double() + ridge
    root = square_root(other)
    overlap = torch.linalg.eigvalsh(root @ own @ root).clamp_min(FLOOR**4).sqrt().sum()
    means = (x.mean - target.mean).double().square().sum()
    squares = (means + own.trace() + other.trace() - 2 * overlap).to(x.first.dtype)
    channels = float(len(target.first))
    return squares / _divisor(scaling, channels, channels, target.gram.trace())


@torch.no_grad()
def square_root(matrix: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """Symmetric square root of a symmetric matrix; negative eigenvalues count as 0."""
    values, vectors = torch.linalg.eigh(matrix.double())
    return ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).to(matrix.dtype)


def _divisor(scaling: Scaling, gatys: float, mean: float, own: Tensor) -> float | Tensor:
    return {"gatys": gatys, "mean": mean, "relative": own.clamp_min(FLOOR**2)}[scaling]


# Colours
def luma(image: Image) -> Float[Tensor, "1 1 h w"]:
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return (image * weights[:, None, None]).sum(dim=1, keepdim=True)


def with_luma_of(content: Image, stylized: Image) -> Image:
    """Return the content with the luma of the stylized image, clamped to 0..1 (Gatys et al. 2016,
    arXiv:1606.05897, section 4)."""
    return (content + luma(stylized) - luma(content)).clamp(0, 1)
