"""Distances from every picture of one set to every picture of another, in blocks; and who is nearest.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y is one matrix product, many times faster than differences are. It cancels:
each squared distance is off by up to 2 (d + 2) u (|x|^2 + |y|^2), u the unit roundoff. So it is taken in
float64 and about the mean, where |x| is of the size of distances, and whatever rests on such distances says
how it deals with the remainder.

Results are on the CPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ..errors import EvalError

BLOCK = 64 * 2**20
"""Bytes of distances that are held at once."""

CANDIDATES = 4
"""How many of the nearest by matrix product are measured again, by their differences."""


# Distances
def centre_of(features: Float[Tensor, "n d"]) -> Float64[Tensor, "d"]:
    """The mean in float64, about which distances are taken."""
    return features.mean(0, dtype=torch.float64)


def squared_blocks(
    queries: Float[Tensor, "n d"],
    base: Float[Tensor, "m d"],
    *,
    centre: Float64[Tensor, "d"] | None = None,
    block: int = BLOCK,
) -> Iterator[tuple[slice, Tensor]]:
    """Rows of `queries`, as many as `block` bytes allow, and their squared distances (rows, m) to `base`.

    `centre` (default: the mean of `base`) changes the rounding alone. Beside one block, a float64 copy of
    `base` is held.
    """
    centre = centre_of(base) if centre is None else centre
    y = base - centre
    y_squared = torch.linalg.vector_norm(y, dim=1).square()
    rows = max(1, block // (8 * len(base)))
    for start in range(0, len(queries), rows):
        part = slice(start, min(start + rows, len(queries)))
        x = queries[part] - centre
        squared = torch.addmm(y_squared, x, y.T, alpha=-2)
        yield part, squared.add_(x.square().sum(1, keepdim=True)).clamp_(min=0)


# Nearest
@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """For each query, its nearest row of the base and the Euclidean distance to it."""

    indices: Int64[Tensor, "n"]
    distances: Float64[Tensor, "n"]


def nearest(queries: Float[Tensor, "n d"], base: Float[Tensor, "m d"], *, block: int = BLOCK) -> Neighbours:
    """The nearest of `base` to each query; of equally near ones, the first of those measured again.

    The four nearest by matrix product are measured again by their differences, so a copy has distance 0
    exactly and the rounding of the product decides nothing. Raises EvalError for an empty side and for
    features that are not finite.
    """
    require_features(queries, base)
    # The rows that are measured again are as large as 4 d distances each.
    block = block * len(base) // max(len(base), CANDIDATES * base.shape[1])
    indices, distances = [], []
    for part, squared in squared_blocks(queries, base, block=block):
        near = squared.topk(min(CANDIDATES, len(base)), largest=False).indices.sort(dim=1).values
        again = (base[near].double() - queries[part, None]).square().sum(2)
        best = again.argmin(1, keepdim=True)
        indices.append(near.gather(1, best).squeeze(1))
        distances.append(again.gather(1, best).squeeze(1).sqrt())
    return Neighbours(indices=torch.cat(indices).cpu(), distances=torch.cat(distances).cpu())


def require_features(*sides: Tensor, least: int = 1) -> None:
    """Raises EvalError for a side with fewer than `least` rows, or with a value that is not finite."""
    for features in sides:
        if len(features) < least:
            raise EvalError(
                f"{least} images a side are needed at least and one has {len(features)}: add some."
            )
        if not features.isfinite().all():
            bad = int((~features.isfinite().all(dim=1)).sum())
            raise EvalError(f"Features of {bad} images are not finite: check the images and the weights.")


# Memorisation
@dataclass(frozen=True, kw_only=True)
class CopyFigures:
    """How near samples come to training pictures, against how near held-out real pictures do.

    `share` of the samples lies within `threshold` of a training picture, in 0..1: 1 for copies, about the
    `quantile` for held-out pictures. `ratio` is the samples' median nearest distance over the held-out
    pictures' one: 0 for copies, 1 for pictures that are as new as real ones. `distances` and `indices` name
    each sample's nearest training picture.
    """

    share: float
    threshold: float
    ratio: float
    quantile: float
    distances: Float64[Tensor, "n"]
    indices: Int64[Tensor, "n"]


def copies(
    samples: Float[Tensor, "n d"],
    held_out: Float[Tensor, "h d"],
    train: Float[Tensor, "m d"],
    *,
    quantile: float = 0.01,
    block: int = BLOCK,
) -> CopyFigures:
    """A memorisation check: samples nearer to a training picture than all but `quantile` of held-out ones.

    The threshold is the distance of an actual held-out picture (the quantile's lower neighbour), and a sample
    that is as near counts. Raises EvalError for an empty set, a quantile outside 0..1, and held-out pictures
    of which half are training pictures, against which nothing can be told.
    """
    if not 0 <= quantile < 1:
        raise EvalError(
            f"The quantile {quantile} is not in 0..1: 0.01 lets one held-out image in a hundred be."
        )
    real, fake = nearest(held_out, train, block=block), nearest(samples, train, block=block)
    usual = float(real.distances.quantile(0.5))
    if usual == 0:
        raise EvalError(
            "Half of the held-out images or more are training images (distance 0): "
            "hold out images that are not."
        )
    threshold = float(real.distances.quantile(quantile, interpolation="lower"))
    return CopyFigures(
        share=float((fake.distances <= threshold).double().mean()),
        threshold=threshold,
        ratio=float(fake.distances.quantile(0.5)) / usual,
        quantile=quantile,
        distances=fake.distances,
        indices=fake.indices,
    )
