"""Measures pairs: each output beside its own content, and the outputs as images of their styles.

Every figure of pairs is a mean over the pairs. Beside it stand the same figure with random weights and, if
there are any, the scores of baselines: the unchanged content, the mean of the style.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.data.progress import Progress

from ..errors import EvalError
from ..features.cache import FeatureCache
from ..features.extract import MapExtractor
from ..features.statistics import StyleStatistics, TapStatistics
from ..metrics.content import CFSD_PROTOCOL, SSIM_PROTOCOL, cfsd, feature_distance, ssim
from ..metrics.lpips import Lpips
from ..metrics.registry import METRICS
from ..metrics.style import style_means
from ..reference import Reference
from ..results import Measurement, MetricResult, Score
from ..sources import Stored
from ..suite import measure
from .figures import PAIR_FIGURES, PAIR_METRICS, STYLE_MEAN, UNCHANGED, Drawings
from .read import PairSet
from .truth import BATCH, paired_truth, truth_indices

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class PairNetworks:
    """Networks that compare images: one of feature maps, the same with random weights, and LPIPS."""

    maps: MapExtractor
    control: MapExtractor | None = None
    lpips: Lpips | None = None


def default_metrics(pairs: PairSet, drawings: Drawings | None) -> tuple[str, ...]:
    """Returns all metrics that these pairs allow without weights that must be fetched."""
    names = ["content", "ssim", "cfsd"]
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
    cache: FeatureCache | None = None,
    progress: bool = False,
    label: str = "",
) -> Measurement:
    """Measures pairs by `metrics`, which are of METRICS (these need a reference) and of PAIR_METRICS.

    A metric that cannot be measured is left out with a note: `truth` without drawings, `reference` without
    style images, `lpips` without its network. Raises EvalError for an unknown metric, for one of METRICS
    without a reference, and if nothing can be measured.
    """
    unknown = [metric for metric in metrics if metric not in (*METRICS, *PAIR_METRICS)]
    if unknown:
        known = ", ".join((*METRICS, *PAIR_METRICS))
        raise EvalError(f"There is no metric {unknown[0]!r} of pairs: choose from {known}.")
    of_outputs = [metric for metric in metrics if metric in METRICS]
    if of_outputs and reference is None:
        raise EvalError(f"The metric {of_outputs[0]} needs real pictures: give --reference DATASET.")
    names = tuple(sorted(set(pairs.styles)))
    measures = Measurement(style_names=names, figures={}, protocol={})
    if reference is not None and of_outputs:
        try:
            measures = _outputs(pairs, reference.restricted_to(names), of_outputs, cache, progress)
        except EvalError as error:
            measures = replace(measures, notes=(f"{', '.join(of_outputs)}: {error}",))
    suite = PairSuite(pairs=pairs, style_names=names, networks=networks, drawings=drawings, progress=progress)
    figures, notes = dict(measures.figures), list(measures.notes)
    taken = dict(measures.protocol.get("metrics", {}))
    for metric in (metric for metric in metrics if metric in PAIR_METRICS):
        try:
            found, taken[metric] = suite.measure(metric)
        except EvalError as error:
            notes.append(f"{metric}: {error}")
        else:
            figures |= found
    if not figures:
        raise EvalError(f"Nothing of these pairs can be measured. {' '.join(notes)}")
    protocol = {**measures.protocol, "source": "pairs", "pairs": len(pairs), "metrics": taken}
    return replace(
        measures, figures=figures, label=label, notes=tuple(notes), style_names=names,
        protocol=protocol,
    )  # fmt: skip


def _outputs(
    pairs: PairSet, reference: Reference, metrics: Sequence[str], cache: FeatureCache | None, progress: bool
) -> Measurement:
    """Measures the outputs as images of their styles. The contents' accuracy becomes a baseline."""
    names = reference.style_names
    styles = torch.tensor([names.index(style) if names else -1 for style in pairs.styles])

    def measured(images: Tensor, names: Sequence[str]) -> Measurement:
        source = Stored(images=images, styles=styles)
        return measure(source, reference, metrics=names, cache=cache, progress=progress)

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
        """Returns the figures of one of PAIR_METRICS, and its protocol. Raises EvalError if it lacks data."""
        network = self.networks.maps
        if metric == "content":
            return self.content(), f"mean over taps of {network.maps_protocol}"
        if metric == "cfsd":
            return {"cfsd": self.structure()}, f"{CFSD_PROTOCOL}; {network.maps_protocol}"
        if metric == "ssim":
            values = ssim(self.pairs.contents, self.pairs.outputs)
            return {"ssim": self.result("ssim", "pixels", values)}, SSIM_PROTOCOL
        if metric == "lpips":
            return self.perceptual()
        if metric == "truth":
            return self.truth(), f"channel-normalised feature distance; {network.maps_protocol}"
        return self.reference(), StyleStatistics(network).protocol

    # Results
    def score(self, values: Float[Tensor, "k"], rows: Tensor | None = None) -> Score:
        """Returns the mean over the pairs, or those of `rows`, with its standard error and mean by style."""
        styles = torch.tensor([self.style_names.index(style) for style in self.pairs.styles])
        styles, x = styles if rows is None else styles[rows], values.double()
        by_style = style_means(x[:, None], styles, len(self.style_names)).squeeze(1)
        error = float(x.std() / len(x) ** 0.5) if len(x) > 1 else None
        return Score(value=float(x.mean()), per_style=tuple(by_style.tolist()), spread=error)

    def result(
        self, name: str, features: str, values: Tensor, control: Tensor | None = None,
        baselines: Mapping[str, Tensor] | None = None, rows: Tensor | None = None,
    ) -> MetricResult:  # fmt: skip
        return MetricResult(
            about=PAIR_FIGURES[name], features=features, measured=self.score(values, rows),
            control=None if control is None else self.score(control, rows),
            baselines={key: self.score(scores, rows) for key, scores in (baselines or {}).items()},
        )  # fmt: skip

    def with_control(self, take: Callable[[MapExtractor], Result]) -> tuple[Result, Result | None]:
        """Returns `take` of the network, and of the same network with random weights."""
        control = self.networks.control
        return take(self.networks.maps), None if control is None else take(control)

    def in_batches(self, values: Callable[[Tensor, Tensor], Tensor], label: str) -> Tensor:
        """Returns `values` of contents and outputs. Both have the same batches: equal images, equal maps."""
        sides = list(zip(self.pairs.contents.split(BATCH), self.pairs.outputs.split(BATCH), strict=True))
        bar = Progress(sides, desc=label, unit="batch", leave=False, disable=not self.progress)
        return torch.cat([values(content, output) for content, output in bar])

    # Metrics
    def content(self) -> dict[str, MetricResult]:
        def distances(network: MapExtractor) -> Tensor:
            def both(contents: Tensor, outputs: Tensor) -> Tensor:
                maps = network.maps(contents), network.maps(outputs)
                return torch.stack([feature_distance(*maps, normalised=flag) for flag in (False, True)], 1)

            return self.in_batches(both, "content")

        mine, control = self.with_control(distances)
        return {
            name: self.result(
                name, self.networks.maps.name, mine[:, i], None if control is None else control[:, i]
            )
            for i, name in enumerate(("content_raw", "content_normalised"))
        }

    def structure(self) -> MetricResult:
        def distances(network: MapExtractor) -> Tensor:
            return self.in_batches(lambda a, b: cfsd(network.maps(a), network.maps(b)), "cfsd")

        return self.result("cfsd", self.networks.maps.name, *self.with_control(distances))

    def perceptual(self) -> tuple[dict[str, MetricResult], str]:
        lpips = self.networks.lpips
        if lpips is None:
            raise EvalError("LPIPS needs its trunk: give --lpips-weights PATH, or leave the metric out.")
        values = self.in_batches(lpips, "lpips")
        control = None if self.networks.control is None else self.in_batches(lpips.control(), "lpips")
        return {"lpips": self.result("lpips", lpips.name, values, control)}, lpips.protocol

    def truth(self) -> dict[str, MetricResult]:
        drawings, name = self.drawings, self.networks.maps.name
        if drawings is None:
            raise EvalError("The distance to real drawings needs a data set: give --reference DATASET.")
        mine, control = self.with_control(
            lambda network: paired_truth(self.pairs, drawings, network, progress=self.progress)
        )
        nearer = mine.output < torch.minimum(mine.content, mine.style_mean)
        return {
            "truth": self.result(
                "truth", name, mine.output, control and control.output, rows=mine.rows,
                baselines={UNCHANGED: mine.content, STYLE_MEAN: mine.style_mean},
            ),
            "nearer_truth": self.result("nearer_truth", name, nearer.double(), rows=mine.rows),
        }  # fmt: skip

    def reference(self) -> dict[str, MetricResult]:
        if self.pairs.references is None:
            raise EvalError(
                "The distance to the style picture needs the column `reference` in the manifest: add it, or "
                "leave the metric out."
            )
        mine, control = self.with_control(self._to_reference)
        return {
            name: self.result(
                name, self.networks.maps.name, mine[0][part], None if control is None else control[0][part],
                baselines={UNCHANGED: mine[1][part]},
            )
            for part, name in enumerate(("reference_gram", "reference_mean_std"))
        }  # fmt: skip

    def _to_reference(self, network: MapExtractor) -> list[tuple[Tensor, Tensor]]:
        """Returns Gram and mean/std distances to the style images, of the outputs and of the contents."""
        statistics = StyleStatistics(network)

        def split(images: Tensor) -> list[TapStatistics]:
            parts = images.split(BATCH)
            bar = Progress(parts, desc="reference", unit="batch", leave=False, disable=not self.progress)
            return statistics.split(torch.cat([statistics(part) for part in bar]))

        assert self.pairs.references is not None
        targets, distances = split(self.pairs.references), []
        for images in (self.pairs.outputs, self.pairs.contents):
            taps = list(zip(split(images), targets, strict=True))
            gram = torch.stack([(a.gram - b.gram).square().mean(1) for a, b in taps]).sum(0)
            moments = [(a.mean - b.mean).square().mean(1) + (a.std - b.std).square().mean(1) for a, b in taps]
            distances.append((gram, torch.stack(moments).sum(0)))
        return distances
