"""The Frechet distance between two sets of features, each taken as one Gaussian.

    d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

(Dowson and Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6.) Covariances have ddof 1, and everything
is float64. It is called FID only with the published Inception features, else "FD" with the features' name.

Own implementation: SciPy's `sqrtm`, which the FID libraries use, is slow and fails for fewer images than
dimensions. With any factors S = A^T A, the trace of the root is the nuclear norm |A1 A2^T|_*. From
covariances, A is the symmetric root. From fewer images than dimensions, A is the centred features, which is
exact although the covariance is singular.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..errors import EvalError

SYMMETRY = 1e-5
"""Asymmetry that a covariance from a file may have from float32 rounding, over its largest entry."""


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Mean (d) and covariance (d, d) with ddof 1, of `count` features (0: unknown), in float64."""

    mean: Float64[Tensor, "d"]
    covariance: Float64[Tensor, "d d"]
    count: int


def gaussian_of(features: Float[Tensor, "n d"]) -> Gaussian:
    """Mean and covariance of features. Raises EvalError for fewer than 2, which have no covariance."""
    if len(features) < 2:
        raise EvalError(
            f"A Frechet distance needs 2 images a side at least and one side has {len(features)}: add some."
        )
    x = features.double().cpu()
    mean = x.mean(0)
    centred = x - mean
    return Gaussian(mean=mean, covariance=centred.T @ centred / (len(x) - 1), count=len(x))


# Distance
def frechet(a: Gaussian, b: Gaussian) -> float:
    """Squared Frechet distance of two Gaussians, clamped at 0. Raises EvalError for different dimensions."""
    if a.mean.shape != b.mean.shape:
        raise EvalError(
            f"Statistics of {len(a.mean)} and of {len(b.mean)} dimensions cannot be compared: choose the "
            "--features that they were taken with."
        )
    traces = a.covariance.trace() + b.covariance.trace()
    return _distance(a.mean - b.mean, traces, trace_of_root(a.covariance, b.covariance))


def frechet_from_features(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Squared Frechet distance of two sets of features, by the form that is exact for their sizes. Raises
    EvalError for fewer than 2 a side."""
    if min(len(x), len(y)) >= x.shape[1] or min(len(x), len(y)) < 2:
        return frechet(gaussian_of(x), gaussian_of(y))
    x, y = x.double().cpu(), y.double().cpu()
    a, b = centred_factor(x), centred_factor(y)
    root = torch.linalg.matrix_norm(a @ b.T, ord="nuc")
    return _distance(x.mean(0) - y.mean(0), a.square().sum() + b.square().sum(), root)


POINTS, SMALLEST = 8, 0.25
"""Sizes at which a distance is extrapolated, and the smallest of them as a share of the images."""


def frechet_infinity(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, seed: int = 2020
) -> tuple[float, float]:
    """The distance of infinitely many images like `x` to `y`, and its standard error.

    The distance of n images is biased by a share of 1/n, so a line through the distances of random subsets
    over 1/n is read at 0 (Chong and Forsyth 2020, arXiv:1911.07023). It may be negative. Raises EvalError for
    fewer than 16 images.
    """
    if len(x) < 16:
        raise EvalError(
            f"An extrapolated distance needs 16 images at least and there are {len(x)}: add some."
        )
    random = np.random.RandomState(seed)
    sizes = np.linspace(SMALLEST * len(x), len(x), POINTS).round().astype(int)
    subsets = [torch.from_numpy(random.permutation(len(x))[:size]) for size in sizes]
    x, y = x.double().cpu(), y.double().cpu()
    mean, factor = y.mean(0), centred_factor(y)  # which all sizes share
    distances = [_quick_distance(x[rows], mean, factor) for rows in subsets]
    (_, intercept), covariance = np.polyfit(1 / sizes, distances, 1, cov=True)
    return float(intercept), float(covariance[1, 1] ** 0.5)


def _quick_distance(x: Float64[Tensor, "n d"], mean: Tensor, factor: Tensor) -> float:
    """The distance to a set of that mean and `centred_factor`. The nuclear norm comes from eigenvalues, which
    takes a fifth of the time of singular values and is good to seven digits."""
    own = centred_factor(x)
    product = own @ factor.T
    gram = product @ product.T if len(own) <= len(factor) else product.T @ product
    root = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum()
    return _distance(x.mean(0) - mean, own.square().sum() + factor.square().sum(), root)


def trace_of_root(s1: Float64[Tensor, "d d"], s2: Float64[Tensor, "d d"]) -> Float64[Tensor, ""]:
    """tr (S1 S2)^(1/2), from the eigenvalues of the symmetric S1^(1/2) S2 S1^(1/2)."""
    root = symmetric_root(s1)
    return torch.linalg.eigvalsh(root @ s2 @ root).clamp(min=0).sqrt().sum()


def symmetric_root(s: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """Square root of a positive semi-definite matrix. Eigenvalues that rounding made negative count as 0."""
    values, vectors = torch.linalg.eigh(s)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def centred_factor(x: Float64[Tensor, "n d"]) -> Float64[Tensor, "k d"]:
    """A with A^T A the covariance of x, in at most d rows (QR removes the others without loss)."""
    factor = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    return factor if len(x) <= x.shape[1] else torch.linalg.qr(factor, mode="r").R


def _distance(apart: Tensor, traces: Tensor, root: Tensor) -> float:
    return max(float(apart.square().sum() + traces - 2 * root), 0.0)


# Files
def load_statistics(path: Path) -> Gaussian:
    """Reads the Gaussian of an npz file with `mu` (d) and `sigma` (d, d), ours or pytorch-fid's.

    Without a `count`, as in pytorch-fid's files, the count is 0: unknown. Nothing is unpickled. Raises
    EvalError for a file that is missing, is no npz, or has no arrays that are a mean and a covariance.
    """
    if not path.is_file():
        raise EvalError(f"There are no statistics at {path}: give an npz file with mu and sigma.")
    arrays: dict[str, np.ndarray] = {"count": np.array(0)}
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays |= {name: file[name] for name in ("mu", "sigma", "count") if name in file.files}
    except Exception as error:  # readers of a damaged archive may raise anything
        raise EvalError(f"{path} cannot be read as an npz file: write it again.") from error
    mu, sigma, count = (arrays.get(name, np.zeros(0)) for name in ("mu", "sigma", "count"))
    if mu.ndim != 1 or mu.size == 0 or sigma.shape != (mu.size, mu.size):
        raise EvalError(f"{path} holds mu {mu.shape} and sigma {sigma.shape}: they must be (d) and (d, d).")
    numbers = all(a.dtype.kind in "fiu" and np.isfinite(a).all() for a in (mu, sigma, count))
    if not numbers or count.ndim > 0 or count < 0:
        raise EvalError(f"{path} holds values that are no finite numbers: take the statistics again.")
    if abs(sigma - sigma.T).max() > SYMMETRY * abs(sigma).max() or sigma.diagonal().min() < 0:
        raise EvalError(f"{path} holds a sigma that is not symmetric, or negative variances: take it again.")
    mean, covariance = (torch.from_numpy(a.astype(np.float64)) for a in (mu, sigma))
    return Gaussian(mean=mean, covariance=(covariance + covariance.T) / 2, count=int(count))
