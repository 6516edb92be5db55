"""Does a picture carry its style? A linear probe on frozen features, and how its answers are counted.

The probe is a ridge regression onto one-hot styles: closed form, no learning rate, no seed, so that its
accuracy is a property of the features and the pictures. It is fitted on real training subjects and read
beside its own accuracy on held-out real pictures (the ceiling) and on random-weight features (the control).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from ..errors import EvalError
from ..features.extract import Standardiser

PENALTY = 300.0
"""Ridge penalty, for standardised features: the value that the project's figures have been taken with."""


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
        """Least squares onto one-hot rows of `count` styles with an intercept that the penalty spares.

        `features` should be standardised, for one penalty to suit all columns. Raises EvalError for styles
        outside 0..count-1 (unlabelled pictures cannot be fitted).
        """
        if len(styles) == 0 or styles.min() < 0 or styles.max() >= count:
            raise EvalError(f"The style probe needs labels 0 to {count - 1}: drop unlabelled pictures.")
        x, y = features.double(), F.one_hot(styles, count).double()
        x_mean, y_mean = x.mean(0), y.mean(0)
        weights = ridge(x - x_mean, y - y_mean, penalty)
        return cls(weights=weights, bias=y_mean - x_mean @ weights)

    def predict(self, features: Float32[Tensor, "n d"]) -> Int64[Tensor, "n"]:
        """The style of the highest score."""
        return self.scores(features).argmax(dim=1)

    def scores(self, features: Float32[Tensor, "n d"]) -> Float64[Tensor, "n s"]:
        """About 1 for the style that a picture has, about 0 for the others."""
        return features.double() @ self.weights + self.bias

    def before(self, standardise: Standardiser) -> "LinearProbe":
        """The probe that reads features as they are, of one that was fitted on standardised ones."""
        weights = self.weights * standardise.scale.double()[:, None]
        return LinearProbe(weights=weights, bias=self.bias - standardise.mean.double() @ weights)


def ridge(x: Float64[Tensor, "n d"], y: Float64[Tensor, "n s"], penalty: float) -> Float64[Tensor, "d s"]:
    """argmin |x w - y|^2 + penalty |w|^2, by the normal equations (their matrix is positive definite), or,
    which is the same, by those of the n rows where they are fewer than the columns."""
    wide = x.shape[1] > x.shape[0]
    products = x @ x.T if wide else x.T @ x
    factor = torch.linalg.cholesky(products + penalty * torch.eye(len(products), dtype=x.dtype))
    return x.T @ torch.cholesky_solve(y, factor) if wide else torch.cholesky_solve(x.T @ y, factor)


def confusion(true: Int64[Tensor, "n"], predicted: Int64[Tensor, "n"], count: int) -> Float64[Tensor, "s s"]:
    """Rows true styles, columns predicted; rows sum to 1 (NaN for a style without pictures)."""
    pairs = torch.bincount(true * count + predicted, minlength=count * count).double().view(count, count)
    return pairs / pairs.sum(dim=1, keepdim=True)


def balanced_accuracy(shares: Float64[Tensor, "s s"]) -> float:
    """Mean over the styles of the share recognised: chance is 1/S however unequal the styles are."""
    return float(shares.diagonal().nanmean())


def margins(scores: Float64[Tensor, "n s"], styles: Int64[Tensor, "n"]) -> Float64[Tensor, "n"]:
    """How far the style's own score is above the best other one; negative where it is taken for another."""
    own = scores.gather(1, styles[:, None])
    others = scores.scatter(1, styles[:, None], -torch.inf)
    return own.squeeze(1) - others.max(dim=1).values
