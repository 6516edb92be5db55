"""Figures of a generator as a function: path length, diversity within a style, the effect of truncation.

Nothing here knows a network: a generator is a callable that draws, an evaluator one that measures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from brushwork.data.progress import Progress

Draw = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""draw(styles, seeds_a, seeds_b, t): float pictures (n, 3, h, w) at share t (n, float64) of the way from the
codes of seeds_a to those of seeds_b, along whatever path the callable interpolates by."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""distance(a, b) of float pictures, (n,): quadratic in small differences, as LPIPS is."""

BATCH = 32


# Path length
@torch.no_grad()
def path_length(
    draw: Draw,
    distance: Distance,
    styles: Float[Tensor, "n s"],
    seeds: Int64[Tensor, "n"],
    *,
    epsilon: float = 1e-4,
    seed: int = 0,
    batch: int = BATCH,
    progress: bool = False,
) -> Float[Tensor, "n"]:
    """Perceptual path length of each path: distance(g(t), g(t + epsilon)) / epsilon^2 (Karras et al. 2019,
    arXiv 1812.04948, eq. 2 and 3); `trimmed_mean` of it is the figure. Not negative; 0 if nothing changes.

    Path i leads from seeds[i] to another seed and is looked at in one place t, uniform in [0, 1), both drawn
    from (seed, seeds[i]) alone, so that it is the same in any set. Whether the way is straight in W or an
    arc in Z is `draw`'s to say, as is that noise stands still along it.

    Pictures stay float all the way: rounded to grey levels, steps of 1e-4 would be nothing or whole levels.
    """
    ends, places = path_places(seeds, seed)
    lengths = []
    parts = torch.arange(len(seeds)).split(batch)
    for rows in Progress(parts, desc="path length", unit="batch", leave=False, disable=not progress):
        path = styles[rows], seeds[rows], ends[rows]
        here, there = draw(*path, places[rows]), draw(*path, places[rows] + epsilon)
        if not here.is_floating_point():
            raise TypeError(f"draw gave {here.dtype}: path_length needs float pictures, not rounded ones")
        lengths.append(distance(here, there).cpu() / epsilon**2)
    return torch.cat(lengths)


def path_places(seeds: Int64[Tensor, "n"], seed: int) -> tuple[Int64[Tensor, "n"], Float[Tensor, "n"]]:
    """The other end of each path, a seed below 2^31, and the place on it."""
    streams = [np.random.default_rng([seed & (2**64 - 1), int(start) & (2**64 - 1)]) for start in seeds]
    ends = torch.tensor([int(stream.integers(2**31)) for stream in streams])
    return ends, torch.tensor([stream.random() for stream in streams], dtype=torch.float64)


def trimmed_mean(values: Float[Tensor, "n"], low: float = 0.01, high: float = 0.99) -> float:
    """Mean of the values from the `low` to the `high` quantile, both inclusive, each taken as the nearest
    value outside: the outlier rule of the authors' path length."""
    x = values.detach().double().cpu().numpy()
    least, most = np.quantile(x, low, method="lower"), np.quantile(x, high, method="higher")
    return float(x[(x >= least) & (x <= most)].mean())


# Diversity
@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Mean distance of two pictures of one style, by style; NaN where a style has fewer than two."""

    per_style: tuple[float, ...]
    pairs: tuple[int, ...]
    """Pairs that each mean is over."""

    @property
    def mean(self) -> float:
        """Over the styles, each counted once."""
        return float(np.nanmean(self.per_style)) if any(self.pairs) else float("nan")


def diversity(
    features: Float32[Tensor, "n d"],
    styles: Int64[Tensor, "n"],
    *,
    count: int | None = None,
    pairs: int = 20_000,
    seed: int = 0,
) -> Diversity:
    """Mean Euclidean distance between two pictures of one style, in features of any kind.

    Over all pairs of a style if they are no more than `pairs`, else over that many drawn with `seed`.
    `count` is the number of styles; without it, one more than the highest that occurs.
    """
    count = int(styles.max()) + 1 if count is None else count
    means, used = [], []
    for style in range(count):
        own = features[styles == style].double()
        first, second = _pairs(len(own), pairs, np.random.default_rng([seed & (2**64 - 1), style]))
        means.append(_mean_distance(own, first, second) if len(first) else float("nan"))
        used.append(len(first))
    return Diversity(per_style=tuple(means), pairs=tuple(used))


def _pairs(count: int, most: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """All pairs of `count` things, or `most` random ones of two different things each."""
    if count * (count - 1) // 2 <= most:
        first, second = torch.triu_indices(count, count, offset=1)
        return first, second
    first = rng.integers(count, size=most)
    second = (first + rng.integers(1, count, size=most)) % count
    return torch.from_numpy(first), torch.from_numpy(second)


def _mean_distance(features: Tensor, first: Tensor, second: Tensor) -> float:
    """Of the differences themselves: norms and products would cancel for pictures that are nearly equal."""
    blocks = zip(first.split(2048), second.split(2048), strict=True)
    return float(sum((features[a] - features[b]).norm(dim=1).sum() for a, b in blocks)) / len(first)


# Truncation
@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a scorer says of a set of features: distance to the real ones, and shares of either manifold."""

    fd: float
    precision: float
    recall: float


@dataclass(frozen=True, kw_only=True)
class TruncationPoint:
    """What truncation by `psi` costs and brings: 1 is none, 0 draws each style's average alone."""

    psi: float
    fd: float
    precision: float
    recall: float


def truncation_curve(
    features: Callable[[float], Tensor], score: Callable[[Tensor], Quality], psis: Sequence[float]
) -> tuple[TruncationPoint, ...]:
    """A point for each psi, in their order: `features(psi)` draws and measures, `score` compares.

    The curve tells truncation only if `features` draws the same seeds and styles at every psi.
    """
    scored = ((psi, score(features(psi))) for psi in psis)
    return tuple(
        TruncationPoint(psi=psi, fd=found.fd, precision=found.precision, recall=found.recall)
        for psi, found in scored
    )
