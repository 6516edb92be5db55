"""The metrics of one set of pictures in one feature space: each a function of a view, found by name."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ..errors import EvalError
from ..features.extract import Classifier, Extractor
from ..features.statistics import StyleStatistics, TapStatistics
from ..measures import Picks, Score
from ..spaces import Labelled, Space
from .frechet import frechet, frechet_from_features, gaussian_of
from .inception_score import inception_score
from .kernel import kid
from .latent import diversity
from .manifold import memberships
from .neighbours import copies, nearest
from .similarity import cosines, csls, nearer_to_own, nearest_mean, own, style_means
from .style import balanced_accuracy, confusion, margins


@dataclass(frozen=True, kw_only=True)
class View:
    """Pictures beside the real ones, in one space and its scale."""

    pictures: Labelled
    space: Space

    def each_style(self, score: Callable[[Tensor, Tensor], float], against: Labelled) -> tuple[float, ...]:
        """`score` of each style's pictures against the real ones of that style; NaN where either are fewer
        than two."""
        pairs = ((self.pictures.of(s), against.of(s)) for s in range(self.space.styles))
        return tuple(
            score(mine, theirs) if min(len(mine), len(theirs)) > 1 else math.nan for mine, theirs in pairs
        )

    def means(self, values: Shaped[Tensor, "n"]) -> Score:
        """Mean over all pictures of a value that each has, by style too, with its standard error."""
        values = values.double()
        by_style: tuple[float, ...] = ()
        if self.space.styles:
            means = style_means(values[:, None], self.pictures.styles, self.space.styles)
            by_style = tuple(means.squeeze(1).tolist())
        error = values.std() / len(values) ** 0.5
        return Score(value=float(values.mean()), per_style=by_style, spread=float(error))

    def require_styles(self, least: int) -> None:
        """Raises EvalError for fewer styles, and for one of which there is no training picture."""
        count = self.space.styles
        if count < least:
            counted = f"there is {count}" if count == 1 else f"there are {count}"
            raise EvalError(f"It takes {least} styles or more, and {counted}.")
        if (torch.bincount(self.space.train.styles, minlength=count) == 0).any():
            raise EvalError("It compares styles, and one has no training picture.")


Scores = dict[str, Score]


# Distribution
def frechet_scores(view: View) -> Scores:
    pictures, real = view.pictures, view.space.train
    dim = pictures.features.shape[1]
    enough = min(len(pictures.styles), len(real.styles)) >= dim
    distance = (
        frechet(gaussian_of(pictures.features), view.space.gaussian)
        if enough
        else frechet_from_features(pictures.features, real.features)
    )
    return {"fd": Score(value=distance, per_style=view.each_style(frechet_from_features, real))}


def kernel_scores(view: View) -> Scores:
    def mean(mine: Tensor, theirs: Tensor) -> float:
        return kid(mine, theirs).mean

    whole = kid(view.pictures.features, view.space.train.features)
    by_style = view.each_style(mean, view.space.train)
    return {"kid": Score(value=whole.mean, per_style=by_style, spread=whole.std)}


def manifold_scores(view: View) -> Scores:
    train = View(pictures=view.space.train, space=view.space)
    found = memberships(train.pictures.features, view.pictures.features, real_radii=view.space.train_radii)
    return {
        "precision": view.means(found.inside),
        "recall": train.means(found.recalled),
        "density": view.means(found.balls / found.k),
        "coverage": train.means(found.covered),
    }


def inception_scores(view: View) -> Scores:
    assert isinstance(view.space.extractor, Classifier)
    found = inception_score(view.space.extractor.logits(view.pictures.features))
    return {"is": Score(value=found.mean, spread=found.std)}


def copy_scores(view: View) -> Scores:
    train, held_out = view.space.train.features, view.space.test.features
    if len(held_out) == 0:
        raise EvalError("How near is too near is told by held-out pictures, and there are none.")
    found = copies(view.pictures.features, held_out, train)
    # Each sample's own ratio averages to what `found.ratio` says of the medians only if there is no skew.
    near = view.means(found.distances <= found.threshold)
    return {"copies": near, "nearest_ratio": Score(value=found.ratio)}


def diversity_scores(view: View) -> Scores:
    """Mean distance of two pictures of one style, over that of two real training pictures of it. Without
    styles, all pictures are of one."""

    def spread(pictures: Labelled) -> Tensor:
        found = diversity(pictures.features, pictures.styles, count=max(1, view.space.styles))
        return torch.tensor(found.per_style, dtype=torch.float64)

    real = spread(view.space.train)
    by_style = spread(view.pictures) / torch.where(real > 0, real, torch.nan)
    if by_style.isnan().all():
        raise EvalError("It takes two pictures of a style, and two different training pictures of it.")
    per_style = tuple(by_style.tolist()) if view.space.styles else ()
    return {"diversity": Score(value=float(by_style.nanmean()), per_style=per_style)}


# Style
def probe_scores(view: View) -> Scores:
    view.require_styles(2)
    predicted = view.space.probe.predict(view.pictures.features)
    return {"accuracy": recognition(view.pictures.styles, predicted, view.space.styles)}


def recognition(styles: Int64[Tensor, "n"], predicted: Int64[Tensor, "n"], count: int) -> Score:
    """Balanced accuracy, the share of each style that is recognised, and the confusion."""
    shares = confusion(styles, predicted, count)
    hits = shares.diagonal()
    # Of a mean over styles, each a share of its own number of pictures.
    sizes = torch.bincount(styles, minlength=count).clamp(min=1)
    error = (hits * (1 - hits) / sizes).nansum().sqrt() / count
    return Score(
        value=balanced_accuracy(shares), per_style=tuple(hits.tolist()), spread=float(error),
        matrix=tuple(tuple(row) for row in shares.tolist()),
    )  # fmt: skip


def similarity_scores(view: View) -> Scores:
    view.require_styles(2)
    space, styles = view.space, view.pictures.styles
    cosine = cosines(view.pictures.features - space.centre, space.prototypes)
    crowding = nearest_mean(cosines(space.train.features - space.centre, space.prototypes).T)
    calibrated = csls(cosine, crowding)
    matrix = style_means(calibrated, styles, space.styles)
    mean = view.means(own(calibrated, styles))
    return {
        "cosine": view.means(own(cosine, styles)),
        "csls": Score(
            value=mean.value, per_style=mean.per_style, spread=mean.spread,
            matrix=tuple(tuple(row) for row in matrix.tolist()),
        ),
        "nearer_to_own": view.means(nearer_to_own(cosine, styles)),
    }  # fmt: skip


def statistics_scores(view: View) -> Scores:
    view.require_styles(1)
    extractor, real = view.space.extractor, view.space.train
    assert isinstance(extractor, StyleStatistics)

    def of_each_style(pictures: Labelled) -> list[TapStatistics]:
        return extractor.split(style_means(pictures.features, pictures.styles, view.space.styles))

    pairs = list(zip(of_each_style(view.pictures), of_each_style(real), strict=True))
    grams = sum((mean_squares(mine.gram, theirs.gram) for mine, theirs in pairs), torch.zeros(()))
    moments = sum(
        (mean_squares(mine.mean, theirs.mean) + mean_squares(mine.std, theirs.std) for mine, theirs in pairs),
        torch.zeros(()),
    )
    return {"gram": _against_every_style(grams), "mean_std": _against_every_style(moments)}


def mean_squares(a: Float[Tensor, "s k"], b: Float[Tensor, "t k"]) -> Float[Tensor, "s t"]:
    """Mean squared difference of every row of one to every row of the other."""
    return (a[:, None] - b[None]).double().square().mean(dim=2)


def _against_every_style(distances: Float[Tensor, "s s"]) -> Score:
    """The diagonal is each style against its own."""
    own_style = distances.diagonal()
    return Score(
        value=float(own_style.nanmean()), per_style=tuple(own_style.tolist()),
        matrix=tuple(tuple(row) for row in distances.tolist()),
    )  # fmt: skip


# By name
@dataclass(frozen=True, kw_only=True)
class Metric:
    """What can be asked for: a function of a view, and the figures that it gives."""

    score: Callable[[View], Scores]
    figures: tuple[str, ...]


METRICS: dict[str, Metric] = {
    "fd": Metric(score=frechet_scores, figures=("fd",)),
    "accuracy": Metric(score=probe_scores, figures=("accuracy",)),
    "kid": Metric(score=kernel_scores, figures=("kid",)),
    "prdc": Metric(score=manifold_scores, figures=("precision", "recall", "density", "coverage")),
    "is": Metric(score=inception_scores, figures=("is",)),
    "similarity": Metric(score=similarity_scores, figures=("cosine", "csls", "nearer_to_own")),
    "gram": Metric(score=statistics_scores, figures=("gram", "mean_std")),
    "diversity": Metric(score=diversity_scores, figures=("diversity",)),
    "copies": Metric(score=copy_scores, figures=("copies", "nearest_ratio")),
}

DEFAULT = ("fd", "accuracy", "prdc", "similarity", "diversity", "copies")


def require_known(metrics: Iterable[str]) -> None:
    """Raises EvalError for a metric that there is not."""
    for name in metrics:
        if name not in METRICS:
            raise EvalError(f"There is no metric {name!r}: choose from {', '.join(METRICS)}.")


def applies(metric: str, extractor: Extractor) -> bool:
    """Whether a metric can be taken of these features: logits and style statistics are particular."""
    if metric == "gram" or isinstance(extractor, StyleStatistics):
        return metric == "gram" and isinstance(extractor, StyleStatistics)
    return metric != "is" or isinstance(extractor, Classifier)


# Pictures worth looking at
def picks(view: View, *, each: int = 6, nearest_count: int = 12) -> Picks:
    """The clearest and least clear of each style, where there are several, and the samples nearest to a
    training picture."""
    best, worst = [], []
    if view.space.styles > 1:
        margin = margins(view.space.probe.scores(view.pictures.features), view.pictures.styles)
        for style in range(view.space.styles):
            indices = (view.pictures.styles == style).nonzero().squeeze(1)
            order = indices[margin[indices].argsort(descending=True)]
            best.append(order[:each])
            worst.append(order.flip(0)[:each])
    found = nearest(view.pictures.features, view.space.train.features)
    closest = found.distances.argsort()[:nearest_count]
    return Picks(best=tuple(best), worst=tuple(worst), nearest=closest, nearest_train=found.indices[closest])
