"""The Frechet distance between two sets of features, each taken as one Gaussian.

    d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

(Dowson and Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6.) Covariances have ddof 1, everything is
float64. It is called FID only with the published Inception features; else "FD" with the features' name.

The trace of the root is found without a matrix square root of the product, which is not symmetric:
as the nuclear norm |A1 A2^T|_* of any factors with S = A^T A. From covariances, A is the symmetric root (and
the norm comes from `eigvalsh`); from fewer pictures than dimensions, A is the centred features, which is
exact where a covariance would be singular.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from .errors import EvalError


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Mean (d) and covariance (d, d) with ddof 1, of `count` features, in float64."""

    mean: Float64[Tensor, "d"]
    covariance: Float64[Tensor, "d d"]
    count: int


# Moments
class Moments:
    """Mean and scatter of features that stream by: constant memory, mergeable across processes.

    Batches are combined by the pairwise update of Chan, Golub and LeVeque (1979), which does not cancel as
    sum-of-squares minus square-of-sums does.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)

    def update(self, features: Float[Tensor, "n d"]) -> None:
        """Takes in a batch, of any size."""
        if len(features) == 0:
            return
        x = features.double().cpu()
        mean = x.mean(0)
        centred = x - mean
        self._combine(len(x), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Takes in what another process has seen."""
        if other.count:
            self._combine(other.count, other.mean, other.scatter)

    def _combine(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.count + count
        apart = mean - self.mean
        self.scatter = self.scatter + scatter + torch.outer(apart, apart) * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def gaussian(self) -> Gaussian:
        """Raises EvalError with fewer than 2 features, which have no covariance."""
        _require_two(self.count)
        return Gaussian(mean=self.mean.clone(), covariance=self.scatter / (self.count - 1), count=self.count)

    def state_dict(self) -> dict[str, Tensor]:
        return {"count": torch.tensor(self.count), "mean": self.mean, "scatter": self.scatter}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.count = int(state["count"])
        self.mean, self.scatter = state["mean"].clone(), state["scatter"].clone()


def gaussian_of(features: Float[Tensor, "n d"]) -> Gaussian:
    """Mean and covariance of features that are all at hand."""
    moments = Moments(features.shape[1])
    moments.update(features)
    return moments.gaussian()


# Distance
def frechet(a: Gaussian, b: Gaussian) -> float:
    """Squared Frechet distance of two Gaussians; not negative but for rounding, which is cut off at 0."""
    traces = a.covariance.trace() + b.covariance.trace()
    return _distance(a.mean - b.mean, traces, trace_of_root(a.covariance, b.covariance))


def frechet_from_features(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Squared Frechet distance of two sets of features, by whichever form is exact for their sizes."""
    _require_two(min(len(x), len(y)))
    if min(len(x), len(y)) >= x.shape[1]:
        return frechet(gaussian_of(x), gaussian_of(y))
    x, y = x.double().cpu(), y.double().cpu()
    a, b = centred_factor(x), centred_factor(y)
    root = torch.linalg.matrix_norm(a @ b.T, ord="nuc")
    return _distance(x.mean(0) - y.mean(0), a.square().sum() + b.square().sum(), root)


def trace_of_root(s1: Float64[Tensor, "d d"], s2: Float64[Tensor, "d d"]) -> Float64[Tensor, ""]:
    """tr (S1 S2)^(1/2), as the eigenvalues of the symmetric S1^(1/2) S2 S1^(1/2)."""
    root = symmetric_root(s1)
    return torch.linalg.eigvalsh(root @ s2 @ root).clamp(min=0).sqrt().sum()


def symmetric_root(s: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """The root of a positive semi-definite matrix; eigenvalues that rounding made negative count as 0."""
    values, vectors = torch.linalg.eigh(s)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def centred_factor(x: Float64[Tensor, "n d"]) -> Float64[Tensor, "k d"]:
    """A with A^T A the covariance of x, in at most d rows (QR drops the rest without loss)."""
    factor = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    return factor if len(x) <= x.shape[1] else torch.linalg.qr(factor, mode="r").R


def _distance(apart: Tensor, traces: Tensor, root: Tensor) -> float:
    return max(float(apart.square().sum() + traces - 2 * root), 0.0)


def _require_two(count: int) -> None:
    if count < 2:
        raise EvalError(
            f"A Frechet distance needs 2 images a side at least and one side has {count}: add some."
        )
