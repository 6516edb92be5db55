"""The kernel distance: the squared maximum mean discrepancy under a polynomial kernel, without bias.

    MMD^2 = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)

with k(x, y) = (gamma x.y + coef)^degree (Binkowski et al. 2018, arXiv 1801.01401, section 4; Gretton et al.
2012, eq. 3), averaged over random subsets. Having no bias, it may be negative, and is for equal sets. It is
called KID only with the published Inception features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ..errors import EvalError
from .neighbours import BLOCK, require_features

Subset = tuple[Int64[Tensor, "s"], Int64[Tensor, "s"]]
"""Rows of the one side and of the other."""


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean and standard deviation (ddof 0) over subsets.

    Subsets overlap, so the deviation is no standard error; and where neither side has more pictures than a
    subset, all subsets are the same and it is 0, which says nothing about the spread.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int


@dataclass(frozen=True, kw_only=True)
class PolynomialKernel:
    """(gamma x.y + coef)^degree; gamma None is 1 / d."""

    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0

    def __call__(self, x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"]) -> Float64[Tensor, "n m"]:
        return self._of(x @ y.T, x.shape[1])

    def diagonal(self, x: Float64[Tensor, "n d"]) -> Float64[Tensor, "n"]:
        """k(x_i, x_i)."""
        return self._of(x.square().sum(1), x.shape[1])

    def _of(self, products: Tensor, dim: int) -> Tensor:
        gamma = 1 / dim if self.gamma is None else self.gamma
        return products.mul_(gamma).add_(self.coef).pow_(self.degree)


def kid(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
) -> KernelDistance:
    """Kernel distance over `subsets` random subsets of min(n, m, subset_size) pictures a side, in float64.

    The subsets are those of torch-fidelity for the same seed, and so is the number. Raises EvalError for
    fewer than 2 pictures a side or in a subset, for no subset, and for features that are not finite.
    """
    require_features(x, y, least=2)
    if subsets < 1 or subset_size < 2:
        raise EvalError(
            f"A kernel distance cannot be taken over {subsets} subsets of {subset_size} images: "
            "take 1 subset or more, of 2 or more."
        )
    size = min(len(x), len(y), subset_size)
    drawn = draw_subsets(len(x), len(y), subsets, size, seed)
    kernel = PolynomialKernel(degree=degree, gamma=gamma, coef=coef)
    # Small sets have all their products made once, for less than the subsets would cost one by one.
    whole = len(x) ** 2 + len(x) * len(y) + len(y) ** 2 <= 3 * subsets * size**2
    values = squared_mmds(x, y, drawn, kernel, whole=whole)
    return KernelDistance(
        mean=float(values.mean()), std=float(values.std(correction=0)), subsets=subsets, subset_size=size
    )


def draw_subsets(n: int, m: int, subsets: int, size: int, seed: int) -> list[Subset]:
    """`size` rows of n and of m for each subset, without replacement, in torch-fidelity's order of drawing.

    numpy's newer generators would draw other subsets.
    """
    random = np.random.RandomState(seed)
    return [
        (
            torch.from_numpy(random.choice(n, size, replace=False)),
            torch.from_numpy(random.choice(m, size, replace=False)),
        )
        for _ in range(subsets)
    ]


def squared_mmds(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    drawn: Sequence[Subset],
    kernel: PolynomialKernel,
    *,
    whole: bool,
) -> Float64[Tensor, "subsets"]:
    """MMD^2 of each subset, from the kernel of all pictures (`whole`) or of its own alone: equal numbers."""
    if whole:
        z_x = _membership([rows for rows, _ in drawn], len(x)).to(x.device)
        z_y = _membership([rows for _, rows in drawn], len(y)).to(y.device)
        return _squared_mmds(x.double(), y.double(), z_x, z_y, kernel).cpu()
    all_of = torch.ones(len(drawn[0][0]), 1, dtype=torch.float64, device=x.device)
    parts = [
        _squared_mmds(x[i.to(x.device)].double(), y[j.to(y.device)].double(), all_of, all_of, kernel)
        for i, j in drawn
    ]
    return torch.cat(parts).cpu()


def _squared_mmds(x: Tensor, y: Tensor, z_x: Tensor, z_y: Tensor, kernel: PolynomialKernel) -> Tensor:
    """MMD^2 of each column of z, which says by ones and zeros who is in that subset."""
    size = z_x.sum(0)
    within = _summed(x, x, z_x, z_x, kernel) - kernel.diagonal(x) @ z_x
    within = within + _summed(y, y, z_y, z_y, kernel) - kernel.diagonal(y) @ z_y
    return within / (size * (size - 1)) - 2 * _summed(x, y, z_x, z_y, kernel) / size**2


def _summed(x: Tensor, y: Tensor, z_x: Tensor, z_y: Tensor, kernel: PolynomialKernel) -> Tensor:
    """The kernel's sum over each subset: diagonal of z_x^T K z_y, by blocks of K's rows."""
    rows = max(1, BLOCK // (8 * len(y)))
    parts = zip(x.split(rows), z_x.split(rows), strict=True)
    return torch.stack([((kernel(part, y) @ z_y) * z).sum(0) for part, z in parts]).sum(0)


def _membership(rows: Sequence[Tensor], count: int) -> Float64[Tensor, "count subsets"]:
    z = torch.zeros(count, len(rows), dtype=torch.float64)
    return z.scatter_(0, torch.stack(list(rows), dim=1), 1.0)
