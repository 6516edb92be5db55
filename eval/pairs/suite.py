"""The measure of pairs: what became of contents that were redrawn in a style.

The outputs are measured as any pictures are (`suite.measure`), and each beside its own content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import EvalError
from ..features.cache import FeatureCache
from ..features.extract import MapExtractor
from ..features.statistics import StyleStatistics
from ..metrics.content import CFSD_PROTOCOL, SSIM_PROTOCOL, art_fid, ssim
from ..metrics.lpips import Lpips
from ..metrics.registry import METRICS
from ..reference import Reference
from ..results import Measurement, MetricResult, Score
from ..sources import Stored
from ..suite import measure
from .figures import (
    PAIR_FIGURES,
    PAIR_METRICS,
    UNCHANGED,
    Drawings,
    PairGroup,
    normalised_distance,
    raw_distance,
    structural,
)
from .read import PairSet


@dataclass(frozen=True, kw_only=True)
class PairNetworks:
    """What looks at pairs: the network of maps, its control, and LPIPS where its trunk is at hand."""

    maps: MapExtractor
    control: MapExtractor | None = None
    lpips: Lpips | None = None


def default_metrics(pairs: PairSet, drawings: Drawings | None) -> tuple[str, ...]:
    """What is measured unless told: all that these pairs allow without weights that need fetching."""
    names = ["content", "ssim", "cfsd"]
    if pairs.references is not None:
        names.append("reference")
    if drawings is not None:
        names = ["fd", "accuracy", *names] + (["truth"] if drawings.has_any(pairs) else [])
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
    """Measures pairs by `metrics`, of METRICS (which need a reference) and of PAIR_METRICS.

    What cannot be taken is left out with a note. Raises EvalError for a metric that there is not, without a
    reference that is needed, and if nothing can be taken.
    """
    of_outputs = [metric for metric in metrics if metric in METRICS]
    unknown = [metric for metric in metrics if metric not in (*METRICS, *PAIR_METRICS)]
    if unknown:
        known = ", ".join((*METRICS, *PAIR_METRICS))
        raise EvalError(f"There is no metric {unknown[0]!r} of pairs: choose from {known}.")
    if of_outputs and reference is None:
        raise EvalError(f"The metric {of_outputs[0]} needs real pictures: give --reference DATASET.")
    names = tuple(sorted(set(pairs.styles)))
    measures = Measurement(style_names=names, figures={}, protocol={"source": "pairs", "pairs": len(pairs)})
    if reference is not None and of_outputs:
        try:
            measures = _outputs(pairs, reference.restricted_to(names), of_outputs, cache, progress)
        except EvalError as error:
            measures = replace(measures, notes=(f"{', '.join(of_outputs)}: {error}",))
    of_pairs = [metric for metric in metrics if metric in PAIR_METRICS]
    found = measure_pairs(pairs, names, networks, metrics=of_pairs, drawings=drawings, progress=progress)
    notes = (*measures.notes, *found.notes)
    if not (measures.figures or found.figures):
        raise EvalError(f"Nothing of these pairs can be measured. {' '.join(notes)}")
    taken = {**measures.protocol.get("metrics", {}), **found.words}
    return with_art_fid(
        replace(
            measures, figures={**measures.figures, **found.figures}, label=label, notes=notes,
            style_names=names,
            protocol={**measures.protocol, "source": "pairs", "pairs": len(pairs), "metrics": taken},
        )
    )  # fmt: skip


def _outputs(
    pairs: PairSet, reference: Reference, metrics: Sequence[str], cache: FeatureCache | None, progress: bool
) -> Measurement:
    """The outputs as pictures of their styles; what the contents would score is the accuracy's baseline."""
    names = reference.style_names
    styles = torch.tensor([names.index(style) if names else -1 for style in pairs.styles])

    def measured(images: torch.Tensor, names: Sequence[str]) -> Measurement:
        source = Stored(images=images, styles=styles)
        return measure(source, reference, metrics=names, cache=cache, progress=progress)

    measures = measured(pairs.outputs, metrics)
    if not any(name.partition("@")[0] == "accuracy" for name in measures.figures):
        return measures
    unchanged = measured(pairs.contents, ["accuracy"]).figures
    figures = {
        name: replace(figure, baselines={UNCHANGED: unchanged[name].measured})
        if name in unchanged
        else figure
        for name, figure in measures.figures.items()
    }
    return replace(measures, figures=figures)


@dataclass(frozen=True, kw_only=True)
class PairFigures:
    """What was measured of pairs, how each metric was taken, and what was left out."""

    figures: dict[str, MetricResult]
    words: dict[str, str]
    notes: list[str]


def measure_pairs(
    pairs: PairSet,
    style_names: Sequence[str],
    networks: PairNetworks,
    *,
    metrics: Sequence[str],
    drawings: Drawings | None = None,
    progress: bool = False,
) -> PairFigures:
    """The figures of `metrics` (PAIR_METRICS). One that lacks what it needs is left out with a note: `truth`
    the drawings, `reference` the style pictures that were followed, `lpips` its network."""
    group = PairGroup(
        pairs=pairs, style_names=tuple(style_names), network=networks.maps, control=networks.control,
        progress=progress,
    )  # fmt: skip
    found = PairFigures(figures={}, words={}, notes=[])
    for metric in metrics:
        try:
            figures, words = _taken(metric, group, networks, drawings)
        except EvalError as error:
            found.notes.append(f"{metric}: {error}")
        else:
            found.figures.update(figures)
            found.words[metric] = words
    return found


def _taken(
    metric: str, group: PairGroup, networks: PairNetworks, drawings: Drawings | None
) -> tuple[dict[str, MetricResult], str]:
    """The figures of one metric, and how it was taken. Raises EvalError where it cannot be."""
    network, lpips, pairs = networks.maps, networks.lpips, group.pairs
    if metric == "content":
        figures = {
            "content_raw": group.of_maps("content_raw", raw_distance),
            "content_normalised": group.of_maps("content_normalised", normalised_distance),
        }
        return figures, f"mean over taps of {network.maps_protocol}"
    if metric == "cfsd":
        return {metric: group.of_maps(metric, structural)}, f"{CFSD_PROTOCOL}; {network.maps_protocol}"
    if metric == "ssim":
        return {metric: group.figure(metric, ssim(pairs.contents, pairs.outputs), "pixels")}, SSIM_PROTOCOL
    if metric == "lpips":
        if lpips is None:
            raise EvalError("LPIPS needs its trunk: give --lpips-weights PATH, or leave the metric out.")
        return {metric: group.perceptual(lpips)}, lpips.protocol
    if metric == "truth":
        return group.truth(drawings), f"channel-normalised feature distance; {network.maps_protocol}"
    return group.reference(), StyleStatistics(network).protocol


def with_art_fid(measures: Measurement) -> Measurement:
    """Adds ArtFID where both of its factors were measured: LPIPS, and an FID with Inception features."""
    lpips = measures.figures.get("lpips")
    fid = next((measures.figures[name] for name in ("fd", "fd@inception") if name in measures.figures
                and measures.figures[name].features == "inception"), None)  # fmt: skip
    if fid is None or lpips is None:
        return measures
    score = Score(value=art_fid(lpips.measured.value, fid.measured.value))
    figure = MetricResult(
        about=PAIR_FIGURES["artfid"], features=f"{lpips.features}, inception", measured=score
    )
    return replace(measures, figures={**measures.figures, "artfid": figure})
