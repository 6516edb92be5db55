"""Figures of pairs: is the content still there, and how near is the output to the style it was to have?

Every figure is a mean over the pairs of a distance that each has, beside the same with random weights and,
where there is one, beside what a trivial answer scores: the content left unchanged, the mean of the style.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.progress import Progress

from ..errors import EvalError
from ..features.extract import MapExtractor
from ..features.statistics import StyleStatistics, TapStatistics
from ..metrics.content import cfsd, feature_distance
from ..metrics.lpips import Lpips
from ..metrics.style import style_means
from ..results import METRIC_INFO, MetricInfo, MetricResult, Score
from .read import PairSet
from .truth import paired_truth

UNCHANGED, STYLE_MEAN = "content unchanged", "mean of the style"

PAIR_METRICS = ("content", "ssim", "cfsd", "lpips", "truth", "reference")
"""What can be asked of pairs, beside the metrics of the outputs alone."""

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
        note="How otherwise the places of an output resemble each other than those of its content.",
    ),
    "lpips": MetricInfo(
        title="LPIPS", better="less", kind="distance",
        note="Learned perceptual distance of content and output.",
    ),
    "truth": MetricInfo(
        title="distance to the real drawing", better="less", kind="distance",
        note="From the output to the same subject as it was really drawn in that style; the baselines say "
        "what an unchanged content and the mean picture of the style would score.",
    ),
    "nearer_truth": MetricInfo(
        title="nearer to the truth than both baselines", better="more", kind="share",
        note="Share of pairs whose output is nearer to the real drawing than either baseline is.",
    ),
    "reference_gram": MetricInfo(
        title="Gram distance to the style picture", better="less", kind="distance",
        note="Mean squared difference of the Gram entries (chw) of output and picture followed.",
    ),
    "reference_mean_std": MetricInfo(
        title="mean/std distance to the style picture", better="less", kind="distance",
        note="The same of channel means and deviations, summed over the taps.",
    ),
    "artfid": MetricInfo(
        title="ArtFID", better="less", kind="distance",
        note="(1 + LPIPS) (1 + FID), with the FID of the outputs to the real pictures of their styles.",
    ),
}  # fmt: skip

RESTYLED = "restyled_"
"""What the log of a training puts before the names of figures of restyled pictures."""

BASELINES = {UNCHANGED: "unchanged", STYLE_MEAN: "mean_picture"}
"""What it puts after a figure's name for these baselines."""


def about_logged(name: str) -> MetricInfo | None:
    """What a figure in a training's log is: `fd`, `fd@inception`, `restyled_truth`; None for no figure."""
    figure = name.removeprefix(RESTYLED).partition("@")[0]
    of_pairs = PAIR_FIGURES.get(figure) if name.startswith(RESTYLED) else None
    return METRIC_INFO.get(figure, of_pairs)


PairValues = Callable[[MapExtractor, Tensor, Tensor], Tensor]
"""(network, contents, outputs) of one batch -> (n,)"""

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Real pictures: those in which a pair's subject is looked for, and those a style's mean is taken of."""

    test: Pictures
    train: Pictures

    def has_any(self, pairs: PairSet) -> bool:
        """Whether any pair's subject was really drawn in its style."""
        names, wanted = self.test.style_names, set(zip(pairs.styles, pairs.subjects, strict=True))
        drawn = zip(self.test.styles.tolist(), self.test.subjects, strict=True)
        return any(style >= 0 and (names[style], subject) in wanted for style, subject in drawn)


# Figures
@dataclass(frozen=True, kw_only=True)
class PairGroup:
    """What all figures of one set of pairs share."""

    pairs: PairSet
    style_names: tuple[str, ...]
    network: MapExtractor
    control: MapExtractor | None
    progress: bool = False

    def score(self, values: Float[Tensor, "n"], rows: Tensor | None = None) -> Score:
        """Mean over the pairs (or those of `rows`), by style too, with its standard error."""
        styles = torch.tensor([self.style_names.index(style) for style in self.pairs.styles])
        styles, x = styles if rows is None else styles[rows], values.double()
        by_style = style_means(x[:, None], styles, len(self.style_names)).squeeze(1)
        error = float(x.std() / len(x) ** 0.5) if len(x) > 1 else None
        return Score(value=float(x.mean()), per_style=tuple(by_style.tolist()), spread=error)

    def figure(self, name: str, values: Tensor, features: str, control: Tensor | None = None) -> MetricResult:
        return MetricResult(
            about=PAIR_FIGURES[name], features=features, measured=self.score(values),
            control=None if control is None else self.score(control),
        )  # fmt: skip

    def of_maps(self, name: str, values: PairValues) -> MetricResult:
        def taken(network: MapExtractor) -> Tensor:
            label = name if self.progress else None
            return in_batches(values, network, self.pairs.contents, self.pairs.outputs, label)

        control = None if self.control is None else taken(self.control)
        return self.figure(name, taken(self.network), self.network.name, control)

    def perceptual(self, lpips: Lpips) -> MetricResult:
        def taken(lpips: Lpips) -> Tensor:
            label = "lpips" if self.progress else None
            sides = self.pairs.contents, self.pairs.outputs
            return in_batches(lambda _, a, b: lpips(a, b), self.network, *sides, label)

        control = taken(lpips.control()) if self.control is not None else None
        return self.figure("lpips", taken(lpips), lpips.name, control)

    def truth(self, drawings: Drawings | None) -> dict[str, MetricResult]:
        if drawings is None:
            raise EvalError("The distance to real drawings needs a data set: give --reference DATASET.")
        real = drawings.test, drawings.train
        found = paired_truth(self.pairs, *real, self.network, progress=self.progress)
        rows = found.pairs
        baselines = {
            UNCHANGED: self.score(found.content, rows),
            STYLE_MEAN: self.score(found.style_mean, rows),
        }
        nearer = found.output < torch.minimum(found.content, found.style_mean)
        control = None
        if self.control is not None:
            seen = paired_truth(self.pairs, *real, self.control, progress=self.progress)
            control = self.score(seen.output, rows)
        about = PAIR_FIGURES
        return {
            "truth": MetricResult(
                about=about["truth"], features=self.network.name, measured=self.score(found.output, rows),
                control=control, baselines=baselines,
            ),
            "nearer_truth": MetricResult(
                about=about["nearer_truth"], features=self.network.name,
                measured=self.score(nearer.double(), rows),
            ),
        }  # fmt: skip

    def reference(self) -> dict[str, MetricResult]:
        if self.pairs.references is None:
            raise EvalError(
                "The distance to the style picture needs the column `reference` in the manifest: add it, or "
                "leave the metric out."
            )
        parts = {"reference_gram": 0, "reference_mean_std": 1}
        mine, control = self._to_reference(self.network), None
        if self.control is not None:
            control = self._to_reference(self.control)
        return {
            name: MetricResult(
                about=PAIR_FIGURES[name], features=self.network.name, measured=self.score(mine[0][part]),
                control=None if control is None else self.score(control[0][part]),
                baselines={UNCHANGED: self.score(mine[1][part])},
            )
            for name, part in parts.items()
        }  # fmt: skip

    def _to_reference(self, network: MapExtractor) -> list[tuple[Tensor, Tensor]]:
        """Gram and mean/std distances to the style pictures, of the outputs and of the contents."""
        statistics = StyleStatistics(network)

        def split(images: Tensor) -> list[TapStatistics]:
            parts = images.split(BATCH)
            bar = Progress(parts, desc="reference", unit="batch", leave=False, disable=not self.progress)
            return statistics.split(torch.cat([statistics(part) for part in bar]))

        assert self.pairs.references is not None
        goal, found = split(self.pairs.references), []
        for images in (self.pairs.outputs, self.pairs.contents):
            taps = list(zip(split(images), goal, strict=True))
            gram = torch.stack([(a.gram - b.gram).square().mean(1) for a, b in taps]).sum(0)
            moments = [(a.mean - b.mean).square().mean(1) + (a.std - b.std).square().mean(1) for a, b in taps]
            found.append((gram, torch.stack(moments).sum(0)))
        return found


# Distances of maps
def in_batches(
    values: PairValues, network: MapExtractor, contents: Tensor, outputs: Tensor, progress: str | None = None
) -> Tensor:
    """Both sides in the same batches, so that equal pictures have equal maps to the last bit. `progress`
    labels a bar."""
    sides = list(zip(contents.split(BATCH), outputs.split(BATCH), strict=True))
    bar = Progress(sides, desc=progress, unit="batch", leave=False, disable=progress is None)
    return torch.cat([values(network, content, output) for content, output in bar])


def raw_distance(network: MapExtractor, contents: Tensor, outputs: Tensor) -> Tensor:
    return feature_distance(network.maps(contents), network.maps(outputs), normalised=False)


def normalised_distance(network: MapExtractor, contents: Tensor, outputs: Tensor) -> Tensor:
    return feature_distance(network.maps(contents), network.maps(outputs), normalised=True)


def structural(network: MapExtractor, contents: Tensor, outputs: Tensor) -> Tensor:
    return cfsd(network.maps(contents), network.maps(outputs))
