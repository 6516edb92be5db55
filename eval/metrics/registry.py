"""The metrics of one set of images in one feature space, by name."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import EvalError
from ..features.extract import Extractor
from ..features.statistics import StyleStatistics, TapStatistics
from ..reference import Labelled, Space
from ..results import Picks, Score
from .frechet import frechet, frechet_from_features, frechet_infinity, gaussian_of
from .kernel import cmmd, kid
from .neighbours import diversity, find_copies, memberships, nearest
from .style import (
    NEIGHBOURS,
    PENALTY,
    cosines,
    csls,
    mean_score,
    nearer_to_own,
    nearest_mean,
    own_entry,
    recognition,
    rows_of,
    style_means,
)

Scores = dict[str, Score]


@dataclass(frozen=True, kw_only=True)
class View:
    """Images and the real images, in one space and its scale."""

    images: Labelled
    space: Space

    def each_style(self, score: Callable[[Tensor, Tensor], float]) -> tuple[float, ...]:
        """`score` of each style's images against its training images; NaN for fewer than two of either."""
        pairs = ((self.images.of(s), self.space.train.of(s)) for s in range(self.space.styles))
        return tuple(
            score(mine, theirs) if min(len(mine), len(theirs)) > 1 else math.nan for mine, theirs in pairs
        )

    def mean(self, values: Tensor) -> Score:
        """Mean over the images, and by style."""
        return mean_score(values, self.images.styles, self.space.styles)

    def require_styles(self, least: int) -> None:
        """Raises EvalError for fewer styles, and for a style without training images."""
        count = self.space.styles
        if count < least:
            raise EvalError(f"It takes {least} styles or more, and there are {count}.")
        if (torch.bincount(self.space.train.styles, minlength=count) == 0).any():
            raise EvalError("It compares styles, and one has no training image.")


# Distribution
def frechet_scores(view: View) -> Scores:
    images, real = view.images.features, view.space.train.features
    if min(len(images), len(real)) >= images.shape[1]:
        distance = frechet(gaussian_of(images), view.space.gaussian)  # which is taken once
    else:
        distance = frechet_from_features(images, real)
    return {"fd": Score(value=distance, per_style=view.each_style(frechet_from_features))}


def extrapolated_scores(view: View) -> Scores:
    value, error = frechet_infinity(view.images.features, view.space.train.features)
    return {"fd_infinity": Score(value=value, spread=error)}


def kernel_scores(view: View) -> Scores:
    whole = kid(view.images.features, view.space.train.features)
    by_style = view.each_style(lambda mine, theirs: kid(mine, theirs).mean)
    return {"kid": Score(value=whole.mean, per_style=by_style, spread=whole.std)}


def clip_scores(view: View) -> Scores:
    images, real = view.images.features, view.space.train.features
    return {"cmmd": Score(value=cmmd(images, real), per_style=view.each_style(cmmd))}


def manifold_scores(view: View) -> Scores:
    k, train = 5, view.space.train
    found = memberships(train.features, view.images.features, k=k, real_radii=view.space.train_radii)
    return {
        "precision": view.mean(found.balls > 0),
        "recall": mean_score(found.recalled, train.styles, view.space.styles),
        "density": view.mean(found.balls / k),
        "coverage": mean_score(found.covered, train.styles, view.space.styles),
    }


def copy_scores(view: View) -> Scores:
    train, held_out = view.space.train.features, view.space.test.features
    if len(held_out) == 0:
        raise EvalError("Copies are told from held-out images, and this data set has none.")
    found = find_copies(view.images.features, held_out, train)
    return {"copies": view.mean(found.copied), "nearest_ratio": Score(value=found.ratio)}


def diversity_scores(view: View) -> Scores:
    """Mean distance of two images of one style, over that of two of its training images. Without styles, all
    images have one style."""

    def spread(images: Labelled) -> Tensor:
        return diversity(images.features, images.styles, max(1, view.space.styles))

    real = spread(view.space.train)
    by_style = spread(view.images) / torch.where(real > 0, real, torch.nan)
    if by_style.isnan().all():
        raise EvalError("Diversity needs two images of a style, and two different training images of it.")
    per_style = tuple(by_style.tolist()) if view.space.styles else ()
    return {"diversity": Score(value=float(by_style.nanmean()), per_style=per_style)}


# Style
def probe_scores(view: View) -> Scores:
    view.require_styles(2)
    predicted = view.space.probe.predict(view.images.features)
    return {"accuracy": recognition(view.images.styles, predicted, view.space.styles)}


def similarity_scores(view: View) -> Scores:
    view.require_styles(2)
    space, styles = view.space, view.images.styles
    cosine = cosines(view.images.features - space.centre, space.prototypes)
    crowding = nearest_mean(cosines(space.train.features - space.centre, space.prototypes).T)
    calibrated = csls(cosine, crowding)
    matrix = rows_of(style_means(calibrated, styles, space.styles))
    return {
        "cosine": view.mean(own_entry(cosine, styles)),
        "csls": replace(view.mean(own_entry(calibrated, styles)), matrix=matrix),
        "nearer_to_own": view.mean(nearer_to_own(cosine, styles)),
    }


def statistics_scores(view: View) -> Scores:
    """Distances of the mean statistics of each style to those of its training images, summed over taps."""
    view.require_styles(1)
    extractor = view.space.extractor
    assert isinstance(extractor, StyleStatistics)

    def style_statistics(images: Labelled) -> list[TapStatistics]:
        return extractor.split(style_means(images.features, images.styles, view.space.styles))

    pairs = list(zip(style_statistics(view.images), style_statistics(view.space.train), strict=True))
    gram = [_mean_squares(a.gram, b.gram) for a, b in pairs]
    mean_std = [_mean_squares(a.mean, b.mean) + _mean_squares(a.std, b.std) for a, b in pairs]
    return {"gram": _diagonal_score(gram), "mean_std": _diagonal_score(mean_std)}


def _mean_squares(a: Float[Tensor, "s k"], b: Float[Tensor, "t k"]) -> Float[Tensor, "s t"]:
    return (a[:, None] - b[None]).double().square().mean(dim=2)


def _diagonal_score(taps: list[Float[Tensor, "s s"]]) -> Score:
    distances = torch.stack(taps).sum(0)
    own = distances.diagonal()
    return Score(value=float(own.nanmean()), per_style=tuple(own.tolist()), matrix=rows_of(distances))


# By name
class Metric(NamedTuple):
    """A function of a view, the names of its scores, and what the protocol says about it."""

    score: Callable[[View], Scores]
    figures: tuple[str, ...]
    protocol: str


METRICS: dict[str, Metric] = {
    "fd": Metric(frechet_scores, ("fd",), "squared Frechet distance, covariance ddof 1, float64"),
    "fd_infinity": Metric(
        extrapolated_scores, ("fd_infinity",),
        "the line of fd over 1 / images, of 8 random subsets from a quarter of the images on, at 0",
    ),
    "accuracy": Metric(
        probe_scores, ("accuracy",),
        f"ridge probe on one-hot styles with intercept, lambda {PENALTY:g}, on standardised "
        "features of the real training images; mean over the styles",
    ),
    "kid": Metric(
        kernel_scores, ("kid",), "kernel (x.y/d + 1)^3, unbiased, 100 subsets of min(n, m, 1000), seed 2020"
    ),
    "cmmd": Metric(
        clip_scores, ("cmmd",), "CLIP features of length 1, Gaussian kernel, sigma 10, biased, times 1,000"
    ),
    "prdc": Metric(manifold_scores, ("precision", "recall", "density", "coverage"), "k = 5, strict <"),
    "similarity": Metric(
        similarity_scores, ("cosine", "csls", "nearer_to_own"),
        f"centred on the training images; CSLS over {NEIGHBOURS} neighbours",
    ),
    "gram": Metric(
        statistics_scores, ("gram", "mean_std"),
        "means over a style of upper triangles (chw) and of channel means and deviations",
    ),
    "diversity": Metric(
        diversity_scores, ("diversity",),
        "mean distance of two images of a style (at most 20,000 pairs) over that of real ones",
    ),
    "copies": Metric(
        copy_scores, ("copies", "nearest_ratio"),
        "nearest training image, threshold the 1 % quantile of held-out images",
    ),
}  # fmt: skip

DEFAULT = ("fd", "fd_infinity", "kid", "accuracy", "prdc", "similarity", "diversity", "copies")


def require_known(metrics: Iterable[str]) -> None:
    """Raises EvalError for an unknown metric."""
    for name in metrics:
        if name not in METRICS:
            raise EvalError(f"There is no metric {name!r}: choose from {', '.join(METRICS)}.")


def applies(metric: str, extractor: Extractor) -> bool:
    """Whether a metric can be taken of these features: `gram` of style statistics and no other metric,
    `cmmd` of CLIP's."""
    if metric == "cmmd":
        return extractor.name in ("clip", "clip-random")
    return (metric == "gram") == isinstance(extractor, StyleStatistics)


# Images for the report
def picks(view: View, count: int = 12) -> Picks:
    """The images nearest to a training image."""
    found = nearest(view.images.features, view.space.train.features)
    closest = found.distances.argsort()[:count]
    return Picks(nearest=closest, nearest_train=found.indices[closest])
