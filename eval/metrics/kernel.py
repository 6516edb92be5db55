"""Kernel distances: the squared maximum mean discrepancy of KID (with the published Inception) and of CMMD.

KID is unbiased:

    MMD^2 = mean over i != j of k(x_i, x_j) + mean over i != j of k(y_i, y_j) - 2 mean of k(x_i, y_j)

with k(x, y) = (x.y / d + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401, section 4; Gretton et al. 2012, eq.
3), averaged over random subsets. It has no bias and so may be negative.

Own implementation: subsets and values are torch-fidelity's in float64, but the subsets share one kernel
matrix. At the usual 1,200 samples against 3,000 real images that is a twentieth of the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ..errors import EvalError
from .neighbours import BLOCK, squared_blocks

Subset = tuple[Int64[Tensor, "s"], Int64[Tensor, "s"]]
"""Rows of the one side and of the other."""


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean and standard deviation (ddof 0) over subsets. They overlap, so it is no standard error."""

    mean: float
    std: float
    subsets: int
    subset_size: int


def kid(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> KernelDistance:
    """Kernel distance over `subsets` random subsets of min(n, m, subset_size) images a side, in float64.

    Subsets and value equal torch-fidelity's for the same seed. Raises EvalError for fewer than 2 images a
    side.
    """
    size = min(len(x), len(y), subset_size)
    if size < 2:
        raise EvalError(f"A kernel distance needs 2 images a side at least and one has {size}: add some.")
    rows = random_subsets(len(x), len(y), subsets, size, seed)
    whole = len(x) ** 2 + len(x) * len(y) + len(y) ** 2 <= 3 * subsets * size**2
    values = squared_mmds(x, y, rows, whole=whole)
    return KernelDistance(
        mean=float(values.mean()), std=float(values.std(correction=0)), subsets=subsets, subset_size=size
    )


SIGMA, SCALE = 10.0, 1000.0
"""CMMD's bandwidth and unit."""


def cmmd(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """CMMD of CLIP features of length 1 (Jayasumana 2024, arXiv:2401.09603): the biased squared MMD, with
    pairs of an image and itself, times 1,000. The kernel is exp(-|x - y|^2 / (2 * 10^2))."""

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        sums = [torch.exp(part / (-2 * SIGMA**2)).sum() for _, part in squared_blocks(a.double(), b.double())]
        return torch.stack(sums).sum() / (len(a) * len(b))

    return float(SCALE * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)))


def random_subsets(n: int, m: int, subsets: int, size: int, seed: int) -> list[Subset]:
    """`size` rows of n and of m for each subset, without replacement, in torch-fidelity's order."""
    random = np.random.RandomState(seed)

    def rows(count: int) -> Tensor:
        return torch.from_numpy(random.choice(count, size, replace=False))

    return [(rows(n), rows(m)) for _ in range(subsets)]


def squared_mmds(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], subsets: Sequence[Subset], *, whole: bool
) -> Float64[Tensor, "subsets"]:
    """MMD^2 of each subset, from the kernel of all images (`whole`) or from one kernel per subset."""
    if whole:
        of_x, of_y = zip(*subsets, strict=True)
        z_x, z_y = _membership(of_x, len(x)), _membership(of_y, len(y))
        return _squared_mmds(x.double(), y.double(), z_x, z_y)
    ones = torch.ones(len(subsets[0][0]), 1, dtype=torch.float64)
    return torch.cat([_squared_mmds(x[i].double(), y[j].double(), ones, ones) for i, j in subsets])


def _squared_mmds(x: Tensor, y: Tensor, z_x: Tensor, z_y: Tensor) -> Tensor:
    """MMD^2 of each column of z, whose ones mark the members of that subset."""
    size = z_x.sum(0)
    within = _summed(x, x, z_x, z_x) - _kernel(x.square().sum(1), x.shape[1]) @ z_x
    within = within + _summed(y, y, z_y, z_y) - _kernel(y.square().sum(1), y.shape[1]) @ z_y
    return within / (size * (size - 1)) - 2 * _summed(x, y, z_x, z_y) / size**2


def _kernel(products: Tensor, dim: int) -> Tensor:
    """In place."""
    return products.mul_(1 / dim).add_(1.0).pow_(3)


def _summed(x: Tensor, y: Tensor, z_x: Tensor, z_y: Tensor) -> Tensor:
    """Sum of the kernel over each subset: the diagonal of z_x^T K z_y, by blocks of K's rows."""
    rows = max(1, BLOCK // (8 * len(y)))
    parts = zip(x.split(rows), z_x.split(rows), strict=True)
    return torch.stack([((_kernel(part @ y.T, x.shape[1]) @ z_y) * z).sum(0) for part, z in parts]).sum(0)


def _membership(rows: Sequence[Tensor], count: int) -> Float64[Tensor, "count subsets"]:
    z = torch.zeros(count, len(rows), dtype=torch.float64)
    return z.scatter_(0, torch.stack(tuple(rows), dim=1), 1.0)
