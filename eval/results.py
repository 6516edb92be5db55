"""Results: what each metric is called, its scores, and a whole measurement with its protocol."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jaxtyping import Int64
from torch import Tensor

Better = Literal["less", "more"]

COLLAPSED = 0.5
"""A style has collapsed if the diversity of its samples is below this share of the real images'."""
ADVICE = (
    "train longer if its diversity still rises in metrics.jsonl; else halve both learning rates "
    "(--optimizer.generator-lr, --optimizer.discriminator-lr), take the penalties more often "
    "(--loss.r1-interval 2), or start from a run that draws variety (--start-from RUN)"
)
"""Remedies for collapse."""
SAME = 0.05
"""Scores of styles that differ by less are the same."""
LEAST_SHARE = 0.2
"""Scores below this share of the held-out images' are equally bad."""
MOST_NAMES = 4
"""Styles that are named. The rest are counted."""


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """Title and meaning of a metric, whatever it is taken of."""

    title: str
    better: Better
    kind: Literal["distance", "share"]
    """A distance has its own scale in every feature space. A share means the same in all."""
    note: str
    """What the value says, in one sentence for the report."""


def distance(title: str, note: str) -> MetricInfo:
    return MetricInfo(title=title, better="less", kind="distance", note=note)


def share(title: str, note: str, better: Better = "more") -> MetricInfo:
    return MetricInfo(title=title, better=better, kind="share", note=note)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Value of one metric for one set of images. `per_style` and `matrix` follow the style names."""

    value: float
    per_style: tuple[float, ...] = ()
    spread: float | None = None
    """Standard error of `value`; of `kid`, the deviation over subsets."""
    matrix: tuple[tuple[float, ...], ...] = ()
    """(styles, styles): claimed style by compared style (confusion, similarity, or distance)."""

    def to_json(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"value": None if math.isnan(self.value) else self.value}
        if self.spread is not None:
            parts["spread"] = None if math.isnan(self.spread) else self.spread
        if self.per_style:
            parts["per_style"] = _finite(self.per_style)
        if self.matrix:
            parts["matrix"] = [_finite(row) for row in self.matrix]
        return parts


def _finite(values: tuple[float, ...]) -> list[float | None]:
    """JSON has no NaN: a style without images has null."""
    return [value if math.isfinite(value) else None for value in values]


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric in one feature space, with its ceiling, its control and its baselines."""

    about: MetricInfo
    features: str
    """Name of the feature extractor."""
    measured: Score
    real: Score | None = None
    """Ceiling: the score of held-out real images."""
    control: Score | None = None
    """The score in the features of the same network with random weights."""
    control_real: Score | None = None
    """The score of held-out real images in the control's features."""
    baselines: Mapping[str, Score] = field(default_factory=dict)
    """Scores of trivial methods, by name."""

    @property
    def control_matches(self) -> bool:
        """Whether random weights give the same result, so that it is no evidence of learnt perception.

        Shares match if they, and their differences to the ceiling, are equal within two standard errors. The
        scale of distances differs between feature spaces, so the ratio to the distance of held-out real
        images is compared, within 5 %.

        A share below half of the ceiling never matches: recall 0 where real images have 0.6 is a collapse,
        whatever random weights see. Neither does a fault that was found in no image.
        """
        measured, real, control = self.measured, self.real, self.control
        if control is None:
            return False
        if self.about.kind == "share":
            if self.about.better == "more" and real is not None and measured.value < real.value / 2:
                return False
            if self.about.better == "less" and measured.value == 0:
                return False
            slack = 2 * math.hypot(measured.spread or 0.0, control.spread or 0.0)
            difference = measured.value - control.value
            at_ceiling = real.value - self.control_real.value if real and self.control_real else difference
            return max(abs(difference), abs(difference - at_ceiling)) <= slack
        if real is None or self.control_real is None:
            return False
        if min(real.value, self.control_real.value) <= 0:  # an unbiased estimate may be negative
            return False
        ratio = measured.value / real.value
        return control.value / self.control_real.value >= 0.95 * ratio > 0.95

    def worst(self) -> int | None:
        """Returns the index of the style with the worst score. None without styles, and where they hardly
        differ: by less than a twentieth, of the largest value or of 1."""
        values = self.measured.per_style
        if not values or any(math.isnan(value) for value in values):
            return None
        scale = 1.0 if self.about.kind == "share" else max(map(abs, values))
        if max(values) - min(values) < SAME * scale:
            return None
        return values.index(max(values) if self.about.better == "less" else min(values))

    def to_json(self, style_names: tuple[str, ...]) -> dict[str, Any]:
        worst = self.worst()
        scores = {"measured": self.measured, "real": self.real, "control": self.control,
                  "control_real": self.control_real}  # fmt: skip
        return {
            "title": self.about.title,
            "better": self.about.better,
            "features": self.features,
            **{name: score.to_json() for name, score in scores.items() if score is not None},
            "baselines": {name: score.to_json() for name, score in self.baselines.items()},
            "worst_style": None if worst is None else style_names[worst],
            "control_matches": self.control_matches,
        }


def collapse_warning(collapsed: Sequence[str], count: int) -> str:
    """'3 of 6 styles draw one image: bold, linear, outline'. Empty for no collapsed style."""
    if not collapsed:
        return ""
    more = f" and {len(collapsed) - MOST_NAMES} more" if len(collapsed) > MOST_NAMES else ""
    names = ", ".join(collapsed[:MOST_NAMES])
    verb = "draws" if len(collapsed) == 1 else "draw"
    return f"{len(collapsed)} of {count} styles {verb} one image: {names}{more}"


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Scores by name at one setting `x` of a parameter."""

    x: float
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Picks:
    """Indices of the images nearest to a training image, and of that training image."""

    nearest: Int64[Tensor, "k"]
    nearest_train: Int64[Tensor, "k"]


def _of_real(figure: MetricResult) -> float | None:
    """The score over that of held-out images; None where that says nothing, as of a rare fault."""
    measured, real = figure.measured.value, figure.real and figure.real.value
    rare = figure.about.kind == "share" and figure.about.better == "less"
    if rare or real is None or not (real > 0 and measured >= 0):
        return None
    return measured / real


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """All results of one measurement. Two measurements are comparable if their protocols are equal.

    Keys of `figures` are metric names in the features of the first extractor (`fd`), and metric@extractor in
    those of others (`fd@inception`).
    """

    style_names: tuple[str, ...]
    figures: Mapping[str, MetricResult]
    protocol: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Versions and device, which should not change the results. Not part of the protocol."""
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    picks: Picks | None = None
    label: str = ""
    """Name of what was measured. Not part of the protocol."""
    cautions: tuple[str, ...] = ()
    """Sentences about figures that say too much or too little."""
    notes: tuple[str, ...] = ()
    """Sentences about metrics that were left out and images that could not be read."""

    @property
    def warning(self) -> str:
        """The sentence that names the collapsed styles, by their diversity. Empty if there are none."""
        diversity = self.figures.get("diversity")
        shares = diversity.measured.per_style if diversity else ()
        pairs = zip(self.style_names, shares, strict=bool(shares))
        collapsed = [name for name, share in pairs if share < COLLAPSED]
        return collapse_warning(collapsed, len(self.style_names))

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Sentences on figures that one evaluator sees twice as near to the held-out images as another."""
        sentences = []
        for name, figure in self.figures.items():
            first = self.figures.get(name.partition("@")[0])
            if first is None or first is figure:
                continue
            one, other = _of_real(first), _of_real(figure)
            if one is None or other is None or max(one, other) < max(2 * min(one, other), LEAST_SHARE):
                continue
            sentences.append(
                f"{figure.about.title}: {one:.2g} times that of held-out images by {first.features}, "
                f"{other:.2g} times by {figure.features}"
            )
        return tuple(sentences)

    def summary(self) -> dict[str, float]:
        """Returns each metric's value, its mean over the styles and its worst style, for a training's log."""
        values: dict[str, float] = {}
        for name, figure in self.figures.items():
            values[name], per_style = figure.measured.value, figure.measured.per_style
            if (worst := figure.worst()) is not None:
                values[f"{name}_style_mean"] = sum(per_style) / len(per_style)
                values[f"{name}_worst_style"] = per_style[worst]
        return values

    def noted(self, *sentences: str) -> "Measurement":
        return replace(self, notes=(*self.notes, *sentences))

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the picks, as plain values."""
        return {
            "label": self.label,
            "warning": self.warning,
            "cautions": list(self.cautions),
            "notes": list(self.notes),
            "protocol": dict(self.protocol),
            "environment": dict(self.environment),
            "style_names": list(self.style_names),
            "figures": {name: figure.to_json(self.style_names) for name, figure in self.figures.items()},
            "curves": {
                name: [{"x": point.x, **point.scores} for point in curve]
                for name, curve in self.curves.items()
            },
        }


METRIC_INFO: dict[str, MetricInfo] = {
    "fd": distance("Frechet distance", "To the real training images, each set taken as one Gaussian."),
    "fd_infinity": distance(
        "Frechet distance, extrapolated",
        "To infinitely many images: with few, the distance itself is too large.",
    ),
    "kid": distance("kernel distance", "Squared maximum mean discrepancy; unbiased, so it may be negative."),
    "cmmd": distance("CMMD", "Squared maximum mean discrepancy in CLIP's features, times 1,000."),
    "accuracy": share("style accuracy", "Share of images whose style a linear probe recognises."),
    "precision": share("precision", "Share of samples inside the manifold of the real training images."),
    "recall": share("recall", "Share of real training images inside the manifold of the samples."),
    "density": share("density", "Mean number of real neighbourhoods of a sample, over k; it may exceed 1."),
    "coverage": share("coverage", "Share of real training images with a sample in their neighbourhood."),
    "cosine": share("cosine to the style", "To the prototype of the target style; not calibrated."),
    "csls": share(
        "calibrated cosine", "Corrected by the mean similarities to the nearest neighbours (CSLS)."
    ),
    "nearer_to_own": share(
        "nearer to its own style", "Chance that another style's prototype is farther; 0.5 is chance."
    ),
    "gram": distance(
        "Gram distance", "Squared, of the mean Gram matrices of samples and real training images."
    ),
    "mean_std": distance(
        "mean/std distance", "Squared, of the mean channel statistics, summed over the taps."
    ),
    "diversity": share(
        "diversity within a style", "Mean distance of two samples, over that of two real training images."
    ),
    "copies": share(
        "share of near-copies", "Nearer to a training image than 99 % of held-out images are.", better="less"
    ),
    "nearest_ratio": share(
        "distance to the nearest training image", "Over the median of held-out images; copies are near 0."
    ),
}


# Pairs, and the log of a training
UNCHANGED, STYLE_MEAN = "content unchanged", "mean of the style"
"""Names of the two baselines."""

PAIR_FIGURES: dict[str, MetricInfo] = {
    "content_raw": distance(
        "content distance, raw", "Mean squared difference of feature maps; loud taps count most."
    ),
    "content_normalised": distance(
        "content distance, normalised", "The same of directions over channels, 0 to 4: blind to contrast."
    ),
    "ssim": share("SSIM", "Structural similarity of content and output; a new style may rightly lower it."),
    "lpips": distance("LPIPS", "Learned perceptual distance of content and output."),
    "truth": distance("distance to the real drawing", "Of the same subject, really drawn in that style."),
    "nearer_truth": share(
        "nearer to the truth than both baselines", "Nearer than the content and the mean of the style."
    ),
    "reference_gram": distance(
        "Gram distance to the style image", "Mean squared difference of the Gram entries (chw)."
    ),
    "reference_mean_std": distance(
        "mean/std distance to the style image", "The same of channel means and deviations, over the taps."
    ),
}

RESTYLED = "restyled_"
"""Prefix of the figures of restyled images in the log of a training."""

UNCHANGED_SUFFIX = "_unchanged"
"""Suffix of the same figures of unchanged contents, the baseline, in that log."""


def about_logged(name: str) -> MetricInfo | None:
    """Returns what a figure of a training's log is, such as `fd` or `restyled_accuracy`; else None."""
    figure = name.removeprefix(RESTYLED).partition("@")[0]
    of_pairs = PAIR_FIGURES.get(figure) if name.startswith(RESTYLED) else None
    return METRIC_INFO.get(figure, of_pairs)
