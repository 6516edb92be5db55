"""The style that an image shows: a linear probe on frozen features, and cosines to the styles' prototypes.

The probe is a ridge regression onto one-hot styles. It has a closed form, no learning rate and no seed, so
that its accuracy is a property of the features and the images. Its ceiling is its accuracy on held-out real
images.

A raw cosine says little, since the images of some styles resemble each other less than they resemble other
styles. CSLS subtracts how near everything is to that prototype and to that image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from torch import Tensor

from ..features.extract import Standardiser
from ..results import Score

PENALTY = 300.0
"""Ridge penalty for standardised features."""
NEIGHBOURS = 10
"""Neighbours over which CSLS averages, as published; all styles if there are fewer."""


# Means over styles
def style_means(
    values: Float[Tensor, "n k"], styles: Int64[Tensor, "n"], count: int
) -> Float[Tensor, "{count} k"]:
    """Mean row of each style; NaN for a style without images."""
    sums = torch.zeros(count, values.shape[1], dtype=values.dtype).index_add_(0, styles, values)
    return sums / torch.bincount(styles, minlength=count)[:, None]


def mean_score(values: Shaped[Tensor, "n"], styles: Int64[Tensor, "n"], count: int) -> Score:
    """Mean of a value that each image has, over all images and by style, with its standard error."""
    values = values.double()
    by_style = style_means(values[:, None], styles, count).squeeze(1) if count else values[:0]
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return Score(value=float(values.mean()), per_style=tuple(by_style.tolist()), spread=error)


def rows_of(matrix: Float[Tensor, "s s"]) -> tuple[tuple[float, ...], ...]:
    """The matrix of a Score."""
    return tuple(map(tuple, matrix.tolist()))


# Probe
@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """Scores of S styles: features @ weights + bias."""

    weights: Float64[Tensor, "d s"]
    bias: Float64[Tensor, "s"]

    @classmethod
    def fit(
        cls,
        features: Float32[Tensor, "n d"],
        styles: Int64[Tensor, "n"],
        count: int,
        penalty: float = PENALTY,
    ) -> "LinearProbe":
        """Least squares onto one-hot rows of `count` styles, with an intercept that is not penalised.

        `features` should be standardised, so that one penalty suits all columns.
        """
        x, y = features.double(), F.one_hot(styles, count).double()
        x_mean, y_mean = x.mean(0), y.mean(0)
        weights = ridge(x - x_mean, y - y_mean, penalty)
        return cls(weights=weights, bias=y_mean - x_mean @ weights)

    def predict(self, features: Float32[Tensor, "n d"]) -> Int64[Tensor, "n"]:
        """The style with the highest score."""
        return self.scores(features).argmax(dim=1)

    def scores(self, features: Float32[Tensor, "n d"]) -> Float64[Tensor, "n s"]:
        """About 1 for the style of an image, about 0 for the others."""
        return features.double() @ self.weights + self.bias

    def before(self, standardise: Standardiser) -> "LinearProbe":
        """The same probe for raw features, given the standardiser that it was fitted behind."""
        weights = self.weights * standardise.scale.double()[:, None]
        return LinearProbe(weights=weights, bias=self.bias - standardise.mean.double() @ weights)


def ridge(x: Float64[Tensor, "n d"], y: Float64[Tensor, "n s"], penalty: float) -> Float64[Tensor, "d s"]:
    """argmin |x w - y|^2 + penalty |w|^2, by the normal equations, or their dual if x is wide."""
    wide = x.shape[1] > x.shape[0]
    products = x @ x.T if wide else x.T @ x
    factor = torch.linalg.cholesky(products + penalty * torch.eye(len(products), dtype=x.dtype))
    return x.T @ torch.cholesky_solve(y, factor) if wide else torch.cholesky_solve(x.T @ y, factor)


def recognition(styles: Int64[Tensor, "n"], predicted: Int64[Tensor, "n"], count: int) -> Score:
    """Balanced accuracy (the mean over styles of any size, so that chance is 1/S), the share of each style
    that is recognised, and the confusion matrix."""
    pairs = torch.bincount(styles * count + predicted, minlength=count * count).double().view(count, count)
    shares = pairs / pairs.sum(dim=1, keepdim=True)  # NaN for a style without images
    hits = shares.diagonal()
    # The standard error of a mean over styles, each a share of its own number of images.
    sizes = torch.bincount(styles, minlength=count).clamp(min=1)
    error = (hits * (1 - hits) / sizes).nansum().sqrt() / count
    return Score(
        value=float(hits.nanmean()), per_style=tuple(hits.tolist()), spread=float(error),
        matrix=rows_of(shares),
    )  # fmt: skip


# Prototypes
def prototypes(
    features: Float32[Tensor, "n d"], styles: Int64[Tensor, "n"], count: int
) -> Float32[Tensor, "{count} d"]:
    """Mean direction of each style, of unit length. `features` should be centred."""
    sums = torch.zeros(count, features.shape[1]).index_add_(0, styles, F.normalize(features, dim=1))
    return F.normalize(sums, dim=1)


def cosines(features: Float32[Tensor, "n d"], prototypes: Float32[Tensor, "s d"]) -> Float32[Tensor, "n s"]:
    """Cosine of every image to every prototype."""
    return F.normalize(features, dim=1) @ prototypes.T


def csls(
    cosine: Float32[Tensor, "n s"], crowding: Float32[Tensor, "s"], k: int = NEIGHBOURS
) -> Float32[Tensor, "n s"]:
    """Cross-domain similarity local scaling, 2 cos(x, p) - r(x) - r(p) (Conneau et al. 2018, arXiv
    1710.04087, eq. 3): r(x) is the mean cosine of the image to its k nearest prototypes, and r(p) =
    `crowding` that of the prototype to its k nearest real images."""
    return 2 * cosine - nearest_mean(cosine, k)[:, None] - crowding


def nearest_mean(cosine: Float32[Tensor, "n m"], k: int = NEIGHBOURS) -> Float32[Tensor, "n"]:
    """Mean of the k largest values of each row."""
    return cosine.topk(min(k, cosine.shape[1]), dim=1).values.mean(dim=1)


def own_entry(values: Float[Tensor, "n s"], styles: Int64[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The entry of each row at its own style."""
    return values.gather(1, styles[:, None]).squeeze(1)


def nearer_to_own(values: Float[Tensor, "n s"], styles: Int64[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of the other styles that each image resembles less than its own; a tie counts half."""
    mine = own_entry(values, styles)[:, None]
    wins = (mine > values).double() + 0.5 * (mine == values).double()
    others = max(values.shape[1] - 1, 1)
    return ((wins.sum(dim=1) - 0.5) / others).to(values.dtype)
