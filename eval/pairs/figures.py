"""Names and descriptions of the figures of pairs, in reports and in the log of a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from brushwork.data.dataset import Pictures

from ..results import METRIC_INFO, MetricInfo, distance, share

UNCHANGED, STYLE_MEAN = "content unchanged", "mean of the style"
"""Names of the two baselines."""

PAIR_METRICS = ("content", "ssim", "cfsd", "lpips", "truth", "reference")
"""Metrics of pairs, beside the metrics of the outputs alone."""

PAIR_FIGURES: dict[str, MetricInfo] = {
    "content_raw": distance(
        "content distance, raw", "Mean squared difference of feature maps; loud taps count most."
    ),
    "content_normalised": distance(
        "content distance, normalised", "The same of directions over channels, 0 to 4: blind to contrast."
    ),
    "ssim": share("SSIM", "Structural similarity of content and output; a new style may rightly lower it."),
    "cfsd": distance(
        "structural distance (CFSD)", "Which places of an image are alike, in content and output."
    ),
    "lpips": distance("LPIPS", "Learned perceptual distance of content and output."),
    "truth": distance("distance to the real drawing", "Of the same subject, really drawn in that style."),
    "nearer_truth": share(
        "nearer to the truth than both baselines", "Nearer than the content and the mean of the style."
    ),
    "reference_gram": distance(
        "Gram distance to the style picture", "Mean squared difference of the Gram entries (chw)."
    ),
    "reference_mean_std": distance(
        "mean/std distance to the style picture", "The same of channel means and deviations, over the taps."
    ),
}

RESTYLED = "restyled_"
"""Prefix of the figures of restyled images in the log of a training."""

BASELINES = {UNCHANGED: "unchanged", STYLE_MEAN: "mean_picture"}
"""Suffixes of the baselines in that log."""


def about_logged(name: str) -> MetricInfo | None:
    """Returns what a figure of a training's log is, such as `fd@inception`, `restyled_truth`; else None."""
    figure = name.removeprefix(RESTYLED).partition("@")[0]
    of_pairs = PAIR_FIGURES.get(figure) if name.startswith(RESTYLED) else None
    return METRIC_INFO.get(figure, of_pairs)


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Real images for the metric `truth`."""

    test: Pictures
    """Images that hold a pair's subject in its target style."""
    train: Pictures
    """Images that the mean of each style is taken of."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """A figure of k pairs, float (k,), and the same of its baselines."""

    outputs: Tensor
    baselines: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None
    """Indices of the pairs that have this figure; None: all."""
