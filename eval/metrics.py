"""The metrics of one set of pictures in one feature space: each a function of a view, found by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from .errors import EvalError
from .features import Classifier, Extractor
from .frechet import frechet, frechet_from_features, gaussian_of
from .inception_score import inception_score
from .kernel import kid
from .latent import diversity
from .manifold import memberships
from .measures import About, Picks, Score
from .neighbours import copies, nearest
from .similarity import cosines, csls, nearer_to_own, nearest_mean, own, style_means
from .spaces import Labelled, Space
from .statistics import StyleStatistics, TapStatistics
from .style import balanced_accuracy, confusion, margins


@dataclass(frozen=True, kw_only=True)
class View:
    """Pictures beside the real ones, in one space and its scale."""

    pictures: Labelled
    space: Space

    def each_style(self, score: Callable[[Tensor, Tensor], float], against: Labelled) -> tuple[float, ...]:
        """`score` of each style's pictures against the real ones of that style."""
        pairs = ((self.pictures.of(s), against.of(s)) for s in range(self.space.styles))
        return tuple(score(mine, theirs) for mine, theirs in pairs)

    def means(self, values: Shaped[Tensor, "n"]) -> Score:
        """Mean over all pictures of a value that each has, by style too, with its standard error."""
        values = values.double()
        by_style = style_means(values[:, None], self.pictures.styles, self.space.styles).squeeze(1)
        error = values.std() / len(values) ** 0.5
        return Score(value=float(values.mean()), per_style=tuple(by_style.tolist()), spread=float(error))


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
    found = copies(view.pictures.features, held_out, train)
    # Each sample's own ratio averages to what `found.ratio` says of the medians only if there is no skew.
    near = view.means(found.distances <= found.threshold)
    return {"copies": near, "nearest_ratio": Score(value=found.ratio)}


def diversity_scores(view: View) -> Scores:
    """Mean distance of two pictures of one style, over that of two real training pictures of it."""

    def spread(pictures: Labelled) -> Tensor:
        found = diversity(pictures.features, pictures.styles, count=view.space.styles)
        return torch.tensor(found.per_style, dtype=torch.float64)

    by_style = spread(view.pictures) / spread(view.space.train)
    return {"diversity": Score(value=float(by_style.mean()), per_style=tuple(by_style.tolist()))}


# Style
def probe_scores(view: View) -> Scores:
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
        value=float(own_style.mean()), per_style=tuple(own_style.tolist()),
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

FIGURES: dict[str, About] = {
    "fd": About(
        title="Frechet distance", better="less", kind="distance",
        note="How far the samples of all styles together lie from the real training pictures, each taken as "
        "one Gaussian; 0 if they agree. By style, against that style's training pictures.",
    ),
    "accuracy": About(
        title="style accuracy", better="more", kind="share",
        note="Share of pictures whose style a linear probe names, as a mean over the styles, with its "
        "standard error. The probe learnt from real training pictures.",
    ),
    "kid": About(
        title="kernel distance", better="less", kind="distance",
        note="Squared maximum mean discrepancy with a cubic kernel, unbiased, so that it may be negative; "
        "the spread is the deviation over its subsets.",
    ),
    "precision": About(
        title="precision", better="more", kind="share",
        note="Share of samples within the real training pictures' manifold, with its standard error.",
    ),
    "recall": About(
        title="recall", better="more", kind="share",
        note="Share of real training pictures within the samples' manifold, with its standard error.",
    ),
    "density": About(
        title="density", better="more", kind="share",
        note="In how many real neighbourhoods a sample lies, over k; may exceed 1.",
    ),
    "coverage": About(
        title="coverage", better="more", kind="share",
        note="Share of real training pictures that have a sample in their neighbourhood.",
    ),
    "is": About(
        title="inception score", better="more", kind="share",
        note="Exponential of the mean divergence between a sample's classes and all samples' classes; the "
        "spread is the deviation over ten splits.",
    ),
    "cosine": About(
        title="cosine to the style", better="more", kind="share",
        note="Mean cosine to the prototype of the style asked for; uncalibrated: read it beside the next.",
    ),
    "csls": About(
        title="calibrated cosine", better="more", kind="share",
        note="Twice the cosine less the mean nearness of that picture and of that prototype (CSLS).",
    ),
    "nearer_to_own": About(
        title="nearer to its own style", better="more", kind="share",
        note="Chance that a picture is more like its own style's prototype than like another's; 0.5 is none.",
    ),
    "gram": About(
        title="Gram distance", better="less", kind="distance",
        note="Squared distance of the mean Gram matrices (normalised by chw) of samples and of real training "
        "pictures.",
    ),
    "mean_std": About(
        title="mean/std distance", better="less", kind="distance",
        note="Squared distance of the mean channel statistics, summed over the taps.",
    ),
    "diversity": About(
        title="diversity within a style", better="more", kind="share",
        note="Typical distance of two samples of one style over that of two real training pictures of it.",
    ),
    "copies": About(
        title="share of near-copies", better="less", kind="share",
        note="Share of samples nearer to a training picture than all but 1 % of held-out real ones are.",
    ),
    "nearest_ratio": About(
        title="distance to the nearest training picture", better="more", kind="share",
        note="As a multiple of the median of held-out real pictures: near 0 are copies.",
    ),
}  # fmt: skip


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
    """The clearest and least clear of each style, and the samples nearest to a training picture."""
    margin = margins(view.space.probe.scores(view.pictures.features), view.pictures.styles)
    best, worst = [], []
    for style in range(view.space.styles):
        indices = (view.pictures.styles == style).nonzero().squeeze(1)
        order = indices[margin[indices].argsort(descending=True)]
        best.append(order[:each])
        worst.append(order.flip(0)[:each])
    found = nearest(view.pictures.features, view.space.train.features)
    closest = found.distances.argsort()[:nearest_count]
    return Picks(best=tuple(best), worst=tuple(worst), nearest=closest, nearest_train=found.indices[closest])
