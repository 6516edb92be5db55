"""Names and descriptions of the figures of pairs, in reports and in the log of a training."""

from dataclasses import dataclass

from brushwork.data.dataset import Pictures

from ..results import METRIC_INFO, MetricInfo

UNCHANGED, STYLE_MEAN = "content unchanged", "mean of the style"
"""Names of the two baselines."""

PAIR_METRICS = ("content", "ssim", "cfsd", "lpips", "truth", "reference")
"""Metrics of pairs, beside the metrics of the outputs alone."""

PAIR_FIGURES: dict[str, MetricInfo] = {
    "content_raw": MetricInfo(
        title="content distance, raw", better="less", kind="distance",
        note="Mean squared difference of the feature maps of content and output; grows with the loudest tap.",
    ),
    "content_normalised": MetricInfo(
        title="content distance, normalised", better="less", kind="distance",
        note="The same of directions over channels, 0 to 4: blind to contrast.",
    ),
    "ssim": MetricInfo(
        title="SSIM", better="more", kind="share",
        note="Structural similarity of the pixels of content and output; a new style may rightly lower it.",
    ),
    "cfsd": MetricInfo(
        title="structural distance (CFSD)", better="less", kind="distance",
        note="Difference of the self-similarities of content and output: how alike the places of each are.",
    ),
    "lpips": MetricInfo(
        title="LPIPS", better="less", kind="distance",
        note="Learned perceptual distance of content and output.",
    ),
    "truth": MetricInfo(
        title="distance to the real drawing", better="less", kind="distance",
        note="From the output to the same subject as it was really drawn in that style. The baselines are an "
        "unchanged content and the mean image of the style.",
    ),
    "nearer_truth": MetricInfo(
        title="nearer to the truth than both baselines", better="more", kind="share",
        note="Share of pairs whose output is nearer to the real drawing than either baseline is.",
    ),
    "reference_gram": MetricInfo(
        title="Gram distance to the style picture", better="less", kind="distance",
        note="Mean squared difference of the Gram entries (chw) of output and style image.",
    ),
    "reference_mean_std": MetricInfo(
        title="mean/std distance to the style picture", better="less", kind="distance",
        note="The same of channel means and deviations, summed over the taps.",
    ),
}  # fmt: skip

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
