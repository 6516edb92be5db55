"""Measures pairs: each output beside its own content, and the outputs as images of their styles.

Every figure of pairs is a mean over the pairs. Beside it stand the same figure with random weights and, if
there are any, the scores of baselines: the unchanged content, the mean of the style.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from brushwork.data.progress import Progress

from ..errors import EvalError
from ..features.extract import PLAIN, Extraction, MapExtractor
from ..features.statistics import StyleStatistics, TapStatistics
from ..metrics.content import SSIM_PROTOCOL, feature_distance, ssim
from ..metrics.lpips import Lpips
from ..metrics.registry import METRICS
from ..metrics.style import mean_score
from ..reference import Reference
from ..results import PAIR_FIGURES, UNCHANGED, Measurement, MetricResult, Score
from ..sources import Stored
from ..suite import measure, with_metric
from .read import PairSet
from .truth import BATCH, Drawings, Values, paired_truth, truth_indices

PAIR_METRICS = ("content", "ssim", "lpips", "truth", "reference")
"""Metrics of pairs, beside the metrics of the outputs alone."""

Figures = Mapping[str, Values]


@dataclass(frozen=True, kw_only=True)
class PairNetworks:
    """Networks that compare images: one of feature maps, the same with random weights, and LPIPS."""

    maps: MapExtractor
    control: MapExtractor | None = None
    lpips: Lpips | None = None


def default_metrics(pairs: PairSet, drawings: Drawings | None) -> tuple[str, ...]:
    """Returns all metrics that these pairs allow without weights that must be fetched."""
    names = ["content", "ssim"]
    if pairs.references is not None:
        names.append("reference")
    if drawings is not None:
        has_truth = bool((truth_indices(pairs, drawings.test) >= 0).any())
        names = ["fd", "accuracy", *names, *(["truth"] if has_truth else [])]
    return tuple(names)


def measure_outputs(
    pairs: PairSet,
    networks: PairNetworks,
    *,
    metrics: Sequence[str],
    reference: Reference | None = None,
    drawings: Drawings | None = None,
    how: Extraction = PLAIN,
    label: str = "",
) -> Measurement:
    """Measures pairs by `metrics`, which are of METRICS (these need a reference) and of PAIR_METRICS.

    A metric that cannot be measured is left out with a note: `truth` without drawings, `reference` without
    style images. Raises EvalError for an unknown metric, for one of METRICS without a reference, and if
    nothing can be measured.
    """
    unknown = [metric for metric in metrics if metric not in (*METRICS, *PAIR_METRICS)]
    if unknown:
        known = ", ".join((*METRICS, *PAIR_METRICS))
        raise EvalError(f"There is no metric {unknown[0]!r} of pairs: choose from {known}.")
    of_outputs = [metric for metric in metrics if metric in METRICS]
    if of_outputs and reference is None:
        raise EvalError(f"The metric {of_outputs[0]} needs real images: give --reference DATASET.")
    names = tuple(sorted(set(pairs.styles)))
    measures = Measurement(style_names=names, figures={}, protocol={})
    if reference is not None and of_outputs:
        try:
            measures = _outputs(pairs, reference.restricted_to(names), of_outputs, how)
        except EvalError as error:
            measures = measures.noted(f"{', '.join(of_outputs)}: {error}")
    suite = PairSuite(
        pairs=pairs, style_names=names, networks=networks, drawings=drawings, progress=how.progress
    )
    for metric in (metric for metric in metrics if metric in PAIR_METRICS):
        try:
            figures, words = suite.measure(metric)
            measures = with_metric(measures, metric, words, figures)
        except EvalError as error:
            measures = measures.noted(f"{metric}: {error}")
    if not measures.figures:
        raise EvalError(f"Nothing of these pairs can be measured. {' '.join(measures.notes)}")
    protocol = {**measures.protocol, "source": "pairs", "pairs": len(pairs)}
    return replace(measures, label=label, style_names=names, protocol=protocol)


def _outputs(pairs: PairSet, reference: Reference, metrics: Sequence[str], how: Extraction) -> Measurement:
    """Measures the outputs as images of their styles. The contents' accuracy becomes a baseline."""
    names = reference.style_names
    styles = torch.tensor([names.index(style) if names else -1 for style in pairs.styles])

    def measured(images: Tensor, names: Sequence[str]) -> Measurement:
        source = Stored(images=images, styles=styles)
        return measure(source, reference, metrics=names, how=how)

    measures = measured(pairs.outputs, metrics)
    accuracies = [name for name in measures.figures if name.partition("@")[0] == "accuracy"]
    if not accuracies:
        return measures
    unchanged, figures = measured(pairs.contents, ["accuracy"]).figures, dict(measures.figures)
    for name in accuracies:
        if name in unchanged:
            figures[name] = replace(figures[name], baselines={UNCHANGED: unchanged[name].measured})
    return replace(measures, figures=figures)


@dataclass(frozen=True, kw_only=True)
class PairSuite:
    """The metrics of one set of pairs."""

    pairs: PairSet
    style_names: tuple[str, ...]
    networks: PairNetworks
    drawings: Drawings | None = None
    progress: bool = False

    def measure(self, metric: str) -> tuple[dict[str, MetricResult], str]:
        """Returns the figures of one of PAIR_METRICS, and its protocol. Raises EvalError if data lack."""
        maps, lpips = self.networks.maps.maps_protocol, self.networks.lpips
        if metric == "ssim":
            values = Values(outputs=ssim(self.pairs.contents, self.pairs.outputs))
            return self.results("pixels", {"ssim": values}, {}), SSIM_PROTOCOL
        if metric == "lpips":
            assert lpips is not None
            controls = {} if self.networks.control is None else self.perceptual(lpips.control())
            return self.results(lpips.name, self.perceptual(lpips), controls), lpips.protocol
        if metric == "content":
            return self.by_maps(self.content), f"mean over taps of {maps}"
        if metric == "truth":
            return self.by_maps(self.truth), f"channel-normalised feature distance; {maps}"
        return self.by_maps(self.reference), StyleStatistics(self.networks.maps).protocol

    # Results
    def by_maps(self, take: Callable[[MapExtractor], Figures]) -> dict[str, MetricResult]:
        """Returns the results of `take` for the network, with those of its control."""
        network, control = self.networks.maps, self.networks.control
        return self.results(network.name, take(network), {} if control is None else take(control))

    def results(self, features: str, measured: Figures, control: Figures) -> dict[str, MetricResult]:
        return {
            name: MetricResult(
                about=PAIR_FIGURES[name], features=features, measured=self.score(values.outputs, values.rows),
                control=self.score(control[name].outputs, values.rows) if name in control else None,
                baselines={key: self.score(x, values.rows) for key, x in values.baselines.items()},
            )
            for name, values in measured.items()
        }  # fmt: skip

    def score(self, values: Tensor, rows: Tensor | None) -> Score:
        """Returns the mean over the pairs, or those of `rows`, and by style."""
        styles = torch.tensor([self.style_names.index(style) for style in self.pairs.styles])
        return mean_score(values, styles if rows is None else styles[rows], len(self.style_names))

    def in_batches(self, values: Callable[[Tensor, Tensor], Tensor], label: str) -> Tensor:
        """Returns `values` of contents and outputs. Both have the same batches: equal images, equal maps."""
        sides = list(zip(self.pairs.contents.split(BATCH), self.pairs.outputs.split(BATCH), strict=True))
        bar = Progress(sides, desc=label, unit="batch", leave=False, disable=not self.progress)
        return torch.cat([values(content, output) for content, output in bar])

    # Metrics
    def content(self, network: MapExtractor) -> Figures:
        def both(contents: Tensor, outputs: Tensor) -> Tensor:
            maps = network.maps(contents), network.maps(outputs)
            return torch.stack([feature_distance(*maps, normalised=flag) for flag in (False, True)], 1)

        raw, normalised = self.in_batches(both, "content").unbind(dim=1)
        return {"content_raw": Values(outputs=raw), "content_normalised": Values(outputs=normalised)}

    def perceptual(self, lpips: Lpips) -> Figures:
        return {"lpips": Values(outputs=self.in_batches(lpips, "lpips"))}

    def truth(self, network: MapExtractor) -> Figures:
        if self.drawings is None:
            raise EvalError("The distance to real drawings needs a data set: give --reference DATASET.")
        truth = paired_truth(self.pairs, self.drawings, network, progress=self.progress)
        if network is self.networks.control:
            return {"truth": truth}
        nearer = truth.outputs < torch.minimum(*truth.baselines.values())
        return {"truth": truth, "nearer_truth": Values(outputs=nearer.double(), rows=truth.rows)}

    def reference(self, network: MapExtractor) -> Figures:
        """Returns Gram and mean/std distances to the style images."""
        if self.pairs.references is None:
            raise EvalError(
                "The distance to the style image needs the column `reference` in the manifest: add it, or "
                "leave the metric out."
            )
        statistics = StyleStatistics(network)

        def split(images: Tensor) -> list[TapStatistics]:
            parts = images.split(BATCH)
            bar = Progress(parts, desc="reference", unit="batch", leave=False, disable=not self.progress)
            return statistics.split(torch.cat([statistics(part) for part in bar]))

        targets, distances = split(self.pairs.references), []
        for images in (self.pairs.outputs, self.pairs.contents):
            taps = list(zip(split(images), targets, strict=True))
            gram = torch.stack([(a.gram - b.gram).square().mean(1) for a, b in taps]).sum(0)
            moments = [(a.mean - b.mean).square().mean(1) + (a.std - b.std).square().mean(1) for a, b in taps]
            distances.append((gram, torch.stack(moments).sum(0)))
        (gram, moments), (gram_unchanged, moments_unchanged) = distances
        return {
            "reference_gram": Values(outputs=gram, baselines={UNCHANGED: gram_unchanged}),
            "reference_mean_std": Values(outputs=moments, baselines={UNCHANGED: moments_unchanged}),
        }
