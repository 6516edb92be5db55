"""Metrics from distances between images: precision and recall, density and coverage, copies, diversity.

Own implementation: density and coverage come from the same pass, memory is bounded by blocks, and every value
is given image by image, for means over a style and standard errors.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y is one matrix product, which is many times faster than differences. It
cancels: each squared distance is off by up to 2 (d + 2) u (|x|^2 + |y|^2) with the unit roundoff u. So it is
computed in float64 and relative to the mean, where |x| is of the size of the distances.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from ..errors import EvalError

BLOCK = 64 * 2**20
"""Bytes of distances in memory at once."""
CANDIDATES = 4
"""Nearest images by matrix product whose distances are computed again from differences."""
COPY_QUANTILE = 0.01
"""Share of held-out images that are as near to a training image as a copy."""
PAIRS = 20_000
"""Pairs of images of a style over which diversity averages, at most."""


# Distances
def squared_blocks(
    queries: Float[Tensor, "n d"], base: Float[Tensor, "m d"], centre: Float64[Tensor, "d"] | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Rows of `queries`, as many as BLOCK allows, and their squared distances (rows, m) to `base`. `centre`
    (default: the mean of `base`) changes the rounding alone."""
    centre = base.mean(0, dtype=torch.float64) if centre is None else centre
    y = base - centre
    y_squared = torch.linalg.vector_norm(y, dim=1).square()
    rows = max(1, BLOCK // (8 * len(base)))
    for start in range(0, len(queries), rows):
        part = slice(start, min(start + rows, len(queries)))
        x = queries[part] - centre
        squared = torch.addmm(y_squared, x, y.T, alpha=-2)
        yield part, squared.add_(x.square().sum(1, keepdim=True)).clamp_(min=0)


# Manifolds
@dataclass(frozen=True, kw_only=True)
class Memberships:
    """m samples against n real images. Precision, recall, density * k and coverage are the means of
    `balls > 0`, `recalled`, `balls` and `covered`."""

    balls: Int64[Tensor, "m"]
    """Number of balls of real images that contain each sample."""
    recalled: Bool[Tensor, "n"]
    """Whether each real image lies in the ball of a sample."""
    covered: Bool[Tensor, "n"]
    """Whether the ball of each real image contains a sample."""


def memberships(
    real: Float[Tensor, "n d"],
    fake: Float[Tensor, "m d"],
    *,
    k: int = 5,
    real_radii: Float64[Tensor, "n"] | None = None,
) -> Memberships:
    """Finds which samples lie in which balls, and the other way round.

    The radius of an image's ball is its distance to the k-th nearest other image of its set (Kynkaanniemi et
    al. 2019, arXiv 1904.06991, eq. 1 and 2; Naeem et al. 2020, arXiv 2002.09797, eq. 3 and 5). "Inside" is
    strict, as in the code of both papers and not in their formulas. So identical sets score 1, and sets
    without any spread score 0. A distance within rounding of the radius counts as equal, that is, as outside.

    `real_radii`, of the same k, saves a third of the work. Raises EvalError for a side with k images or
    fewer.
    """
    centre = real.mean(0, dtype=torch.float64)
    real_radii = radii(real, k, centre) if real_radii is None else real_radii
    real_limits = _squared_limits(real, real_radii, centre)
    fake_limits = _squared_limits(fake, radii(fake, k, centre), centre)
    balls = torch.empty(len(fake), dtype=torch.int64)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros_like(recalled)
    for part, squared in squared_blocks(fake, real, centre):
        in_real = squared < real_limits
        balls[part] = in_real.sum(1)
        covered |= in_real.any(0)
        recalled |= (squared < fake_limits[part, None]).any(0)
    return Memberships(balls=balls, recalled=recalled, covered=covered)


def radii(
    features: Float[Tensor, "n d"], k: int = 5, centre: Float64[Tensor, "d"] | None = None
) -> Float64[Tensor, "n"]:
    """Distance from each image to the k-th nearest other one. Raises EvalError for k images or fewer."""
    if len(features) <= k:
        few = f"one has {len(features)}: add some."
        raise EvalError(f"{k} nearest neighbours need {k + 1} images a side at least and {few}")
    found = torch.empty(len(features), dtype=torch.float64)
    for part, squared in squared_blocks(features, features, centre):
        squared.diagonal(part.start).fill_(torch.inf)  # an image is not its own neighbour
        found[part] = squared.topk(k, largest=False).values[:, -1]
    return found.sqrt()


def _squared_limits(
    features: Float[Tensor, "n d"], reach: Float64[Tensor, "n"], centre: Float64[Tensor, "d"]
) -> Float64[Tensor, "n"]:
    """Squared radii, minus the largest difference that rounding makes between an equal distance and radius.

    Each is off by 2 (d + 2) u (|x|^2 + |y|^2) at most, with |y| <= |x| + r and so |x|^2 + |y|^2 <=
    3 (|x|^2 + r^2). There are two of them, and u = eps / 2.
    """
    squared_norm = torch.linalg.vector_norm(features - centre, dim=1).square()
    slack = 6 * (features.shape[1] + 2) * torch.finfo(torch.float64).eps
    return reach.square() - slack * (squared_norm + reach.square())


# Copies
class Neighbours(NamedTuple):
    """The nearest row of the base to each query, and the Euclidean distance to it."""

    indices: Int64[Tensor, "n"]
    distances: Float64[Tensor, "n"]


def nearest(queries: Float[Tensor, "n d"], base: Float[Tensor, "m d"]) -> Neighbours:
    """The nearest row of `base` to each query.

    The distances of the nearest candidates are computed again from differences, so that a copy has distance 0
    exactly and rounding decides nothing. Of equal distances, the first candidate wins.
    """
    indices, distances = [], []
    for part, squared in squared_blocks(queries, base):
        candidates = squared.topk(min(CANDIDATES, len(base)), largest=False).indices.sort(dim=1).values
        rows = max(1, BLOCK // (8 * CANDIDATES * base.shape[1]))
        for near, x in zip(candidates.split(rows), queries[part].split(rows), strict=True):
            again = (base[near].double() - x[:, None]).square().sum(2)
            best = again.argmin(1, keepdim=True)
            indices.append(near.gather(1, best).squeeze(1))
            distances.append(again.gather(1, best).squeeze(1).sqrt())
    return Neighbours(torch.cat(indices), torch.cat(distances))


class Copies(NamedTuple):
    """Distances of samples to their nearest training images, compared with those of held-out images."""

    copied: Bool[Tensor, "n"]
    """Whether each sample is as near to a training image as the nearest COPY_QUANTILE of held-out images."""
    ratio: float
    """Median distance over that of held-out images: 0 for copies, 1 for images as new as real ones."""


def find_copies(
    samples: Float[Tensor, "n d"], held_out: Float[Tensor, "h d"], train: Float[Tensor, "m d"]
) -> Copies:
    """Finds samples that are nearer to a training image than nearly all held-out images are. Raises EvalError
    if half of the held-out images are training images."""
    real, fake = nearest(held_out, train).distances, nearest(samples, train).distances
    usual = float(real.quantile(0.5))
    if usual == 0:
        raise EvalError(
            "Half of the held-out images or more are training images (distance 0): "
            "hold out images that are not."
        )
    threshold = real.quantile(COPY_QUANTILE, interpolation="lower")
    return Copies(fake <= threshold, float(fake.quantile(0.5)) / usual)


# Diversity
def diversity(
    features: Float32[Tensor, "n d"], styles: Int64[Tensor, "n"], count: int
) -> Float64[Tensor, "{count}"]:
    """Mean Euclidean distance between two images of each of `count` styles, over all pairs or PAIRS seeded
    random ones; NaN for fewer than two images."""
    means = torch.full((count,), torch.nan, dtype=torch.float64)
    for style in range(count):
        own = features[styles == style].double()
        if len(own) > 1:
            first, second = _pairs(len(own), np.random.default_rng([0, style]))
            # Norms and products would cancel for images that are nearly equal.
            blocks = zip(first.split(2048), second.split(2048), strict=True)
            means[style] = sum((own[a] - own[b]).norm(dim=1).sum() for a, b in blocks) / len(first)
    return means


def _pairs(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """All pairs of `count` rows, or PAIRS random pairs of two different rows."""
    if count * (count - 1) // 2 <= PAIRS:
        first, second = torch.triu_indices(count, count, offset=1)
        return first, second
    first = rng.integers(count, size=PAIRS)
    second = (first + rng.integers(1, count, size=PAIRS)) % count
    return torch.from_numpy(first), torch.from_numpy(second)
