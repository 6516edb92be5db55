"""Precision and recall, density and coverage: are samples where real pictures are, and everywhere there?

A set's manifold is the union of balls about its pictures, each as wide as the way to the k-th nearest other
picture (Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 1 and 2; Naeem et al. 2020, arXiv 2002.09797, eq. 3
and 5). "Inside" is strict, as in the papers' code and not in their formulas: so identical sets score 1 each,
and sets without any spread 0.

Distances round (see neighbours.py), and a strict comparison of equal ones would then be a coin's toss: a
picture against its own copy where all are copies, or against the very picture that ends its ball. A distance
that is within rounding of the radius is therefore taken for equal to it, that is, for outside.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from ..errors import EvalError
from .neighbours import BLOCK, centre_of, require_features, squared_blocks


# Results
@dataclass(frozen=True, kw_only=True)
class ManifoldFigures:
    """Precision, recall and coverage in 0..1; density from 0, above 1 where samples crowd among real ones."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, kw_only=True)
class Memberships:
    """What the four figures are means of, picture by picture: m samples against n real pictures.

    Their spread over pictures gives standard errors, with the balls taken as given.
    """

    balls: Int64[Tensor, "m"]
    """In how many real pictures' balls each sample lies."""
    recalled: Bool[Tensor, "n"]
    """Whether each real picture lies in some sample's ball."""
    covered: Bool[Tensor, "n"]
    """Whether some sample lies in each real picture's ball."""
    k: int

    @property
    def inside(self) -> Bool[Tensor, "m"]:
        """Whether each sample lies in some real picture's ball."""
        return self.balls > 0

    def of(self, samples: Bool[Tensor, "m"], real: Bool[Tensor, "n"]) -> "Memberships":
        """Those of some samples and some real pictures (of one style), in the balls of all."""
        return Memberships(
            balls=self.balls[samples], recalled=self.recalled[real], covered=self.covered[real], k=self.k
        )

    def figures(self) -> ManifoldFigures:
        """The four means; NaN where there is no picture to take them of."""
        return ManifoldFigures(
            precision=_mean(self.inside),
            recall=_mean(self.recalled),
            density=_mean(self.balls) / self.k,
            coverage=_mean(self.covered),
        )


# Measuring
def prdc(
    real: Float[Tensor, "n d"],
    fake: Float[Tensor, "m d"],
    *,
    k: int = 5,
    real_radii: Float64[Tensor, "n"] | None = None,
    block: int = BLOCK,
) -> ManifoldFigures:
    """Precision, recall, density and coverage of samples against real pictures. See `memberships`."""
    return memberships(real, fake, k=k, real_radii=real_radii, block=block).figures()


def memberships(
    real: Float[Tensor, "n d"],
    fake: Float[Tensor, "m d"],
    *,
    k: int = 5,
    real_radii: Float64[Tensor, "n"] | None = None,
    block: int = BLOCK,
) -> Memberships:
    """Who lies in whose ball. `real_radii`, of the same k, spares a third of the work if they are at hand.

    Raises EvalError for k below 1, for a side with k pictures or fewer, and for features that are not finite.
    """
    _require_more_than(k, real, fake)
    centre = centre_of(real)
    real_radii = radii(real, k, centre=centre, block=block) if real_radii is None else real_radii
    real_limits = _squared_limits(real, real_radii, centre)
    fake_limits = _squared_limits(fake, radii(fake, k, centre=centre, block=block), centre)
    balls = torch.empty(len(fake), dtype=torch.int64, device=fake.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    for part, squared in squared_blocks(fake, real, centre=centre, block=block):
        in_real = squared < real_limits
        balls[part] = in_real.sum(1)
        covered |= in_real.any(0)
        recalled |= (squared < fake_limits[part, None]).any(0)
    return Memberships(balls=balls.cpu(), recalled=recalled.cpu(), covered=covered.cpu(), k=k)


def radii(
    features: Float[Tensor, "n d"],
    k: int = 5,
    *,
    centre: Float64[Tensor, "d"] | None = None,
    block: int = BLOCK,
) -> Float64[Tensor, "n"]:
    """The distance from each picture to the k-th nearest other one.

    Raises EvalError as `memberships` does.
    """
    _require_more_than(k, features)
    found = torch.empty(len(features), dtype=torch.float64, device=features.device)
    for part, squared in squared_blocks(features, features, centre=centre, block=block):
        squared.diagonal(part.start).fill_(torch.inf)  # a picture is no neighbour of its own
        found[part] = squared.topk(k, largest=False).values[:, -1]
    return found.sqrt().cpu()


def _squared_limits(
    features: Float[Tensor, "n d"], reach: Float64[Tensor, "n"], centre: Float64[Tensor, "d"]
) -> Float64[Tensor, "n"]:
    """Squared radii, less what a squared distance and a squared radius can differ by when they are equal.

    Each is off by 2 (d + 2) u (|x|^2 + |y|^2) at most, with |y| <= |x| + r and so |x|^2 + |y|^2 <=
    3 (|x|^2 + r^2); two of them, and u = eps / 2.
    """
    reach = reach.to(features.device)
    squared_norm = torch.linalg.vector_norm(features - centre, dim=1).square()
    slack = 6 * (features.shape[1] + 2) * torch.finfo(torch.float64).eps
    return reach.square() - slack * (squared_norm + reach.square())


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _require_more_than(k: int, *sides: Tensor) -> None:
    if k < 1:
        raise EvalError(f"k = {k} is no neighbour: take 1 or more.")
    for features in sides:
        if len(features) <= k:
            raise EvalError(
                f"{k} nearest neighbours need {k + 1} images a side at least and one has {len(features)}: "
                "add some."
            )
    require_features(*sides)
