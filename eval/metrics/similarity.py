"""How like a style is a picture? Cosine to the style's prototype, calibrated, and distances of statistics.

A raw cosine says little: some styles' pictures resemble each other less than they resemble other styles'. So
beside it stand CSLS, which takes off how near everything is to that prototype and to that picture, and the
chance that a picture is nearer to its own style than to another (0.5: no style at all).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor

NEIGHBOURS = 10
"""Neighbours over which CSLS averages, as published; all styles where there are fewer."""


# Prototypes
def prototypes(
    features: Float32[Tensor, "n d"], styles: Int64[Tensor, "n"], count: int
) -> Float32[Tensor, "{count} d"]:
    """Each style's mean direction, of unit length; `features` should be centred."""
    directions = F.normalize(features, dim=1)
    sums = torch.zeros(count, features.shape[1]).index_add_(0, styles, directions)
    return F.normalize(sums, dim=1)


def cosines(features: Float32[Tensor, "n d"], prototypes: Float32[Tensor, "s d"]) -> Float32[Tensor, "n s"]:
    """Cosine of every picture to every prototype."""
    return F.normalize(features, dim=1) @ prototypes.T


def csls(
    cosine: Float32[Tensor, "n s"], crowding: Float32[Tensor, "s"], k: int = NEIGHBOURS
) -> Float32[Tensor, "n s"]:
    """2 cos(x, p) - r(x) - r(p): cross-domain similarity local scaling (Conneau et al. 2018, arXiv
    1710.04087, eq. 3).

    r(x) is the picture's mean cosine to its k nearest prototypes, r(p) = `crowding` the prototype's to its k
    nearest real pictures.
    """
    return 2 * cosine - nearest_mean(cosine, k)[:, None] - crowding


def nearest_mean(cosine: Float32[Tensor, "n m"], k: int = NEIGHBOURS) -> Float32[Tensor, "n"]:
    """Mean of the k largest of each row."""
    return cosine.topk(min(k, cosine.shape[1]), dim=1).values.mean(dim=1)


def own(values: Float[Tensor, "n s"], styles: Int64[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Each row's entry at the style that it claims."""
    return values.gather(1, styles[:, None]).squeeze(1)


def nearer_to_own(values: Float[Tensor, "n s"], styles: Int64[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of the other styles that each picture resembles less than its own; a tie counts half."""
    mine = own(values, styles)[:, None]
    wins = (mine > values).double() + 0.5 * (mine == values).double()
    others = max(values.shape[1] - 1, 1)
    return ((wins.sum(dim=1) - 0.5) / others).to(values.dtype)


# Means over styles
def style_means(
    values: Float[Tensor, "n k"], styles: Int64[Tensor, "n"], count: int
) -> Float[Tensor, "{count} k"]:
    """Mean row of each style; NaN for a style without pictures."""
    sums = torch.zeros(count, values.shape[1], dtype=values.dtype).index_add_(0, styles, values)
    return sums / torch.bincount(styles, minlength=count)[:, None]
