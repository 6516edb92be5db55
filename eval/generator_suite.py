"""Figures that need a generator, not its pictures alone: path length, and the effect of truncation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .features.cache import FeatureCache
from .features.extract import MapExtractor, Source, extract
from .measures import About, CurvePoint, Measures, MetricResult, Score
from .metrics.content import feature_distance
from .metrics.latent import Distance, Draw, Quality, path_length, trimmed_mean, truncation_curve
from .metrics.lpips import Lpips
from .processes import Processes
from .reference import Reference
from .spaces import Labelled
from .suite import scores

GENERATOR_METRICS = ("ppl", "truncation", "disentanglement")
"""What can be asked of a run or a snapshot, beside the metrics of its pictures."""

PSIS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)

PATH_LENGTH = About(
    title="perceptual path length", better="less", kind="distance",
    note="How fast pictures change along straight ways between codes in W, the most and least extreme 1 % "
    "left out; a smooth latent space has short ways, and so has one that draws always the same.",
)  # fmt: skip


# Path length
@dataclass(frozen=True, kw_only=True)
class PathDistance:
    """What measures small steps, with its name, its protocol and its control."""

    name: str
    protocol: str
    of: Distance
    control: Distance | None = None


def feature_steps(network: MapExtractor, control: MapExtractor | None) -> PathDistance:
    """Channel-normalised feature distance of float pictures in [-1, 1]: the offline stand-in for LPIPS."""

    def distance(network: MapExtractor) -> Distance:
        def of(a: Tensor, b: Tensor) -> Tensor:
            first, second = (network.maps(images * 127.5 + 127.5) for images in (a, b))
            return feature_distance(first, second, normalised=True)

        return of

    return PathDistance(
        name=network.name, protocol=f"channel-normalised feature distance; {network.maps_protocol}",
        of=distance(network), control=None if control is None else distance(control),
    )  # fmt: skip


def perceptual_steps(lpips: Lpips, *, control: bool) -> PathDistance:
    """LPIPS, as published."""
    return PathDistance(
        name=lpips.name, protocol=lpips.protocol, of=lpips.distance,
        control=lpips.control().distance if control else None,
    )  # fmt: skip


def with_path_length(
    measures: Measures, draw: Draw, distance: PathDistance, *, per_style: int = 100, seed: int = 0,
    count: int | None = None, progress: bool = False,
) -> Measures:  # fmt: skip
    """Adds the figure `ppl`: trimmed mean over `per_style` ways of each style, or of no style where there are
    none, from seeds `seed` on. `count` is the number of styles that `draw` knows, where the measures know
    none."""
    count = len(measures.style_names) if count is None else count
    styles = torch.arange(max(1, count)).repeat_interleave(per_style)
    weights = F.one_hot(styles, max(1, count))[:, :count].float()
    seeds = (seed + torch.arange(per_style)).repeat(max(1, count))

    def score(of: Distance) -> Score:
        lengths = path_length(draw, of, weights, seeds, seed=seed, progress=progress)
        named = range(len(measures.style_names))
        by_style = tuple(trimmed_mean(lengths[styles == s]) for s in named)
        error = float(lengths.double().std() / len(lengths) ** 0.5)
        return Score(value=trimmed_mean(lengths), per_style=by_style, spread=error)

    figure = MetricResult(
        about=PATH_LENGTH, features=distance.name, measured=score(distance.of),
        control=None if distance.control is None else score(distance.control),
    )  # fmt: skip
    words = f"straight in W, epsilon 1e-4, {per_style} ways a style, seed {seed}; {distance.protocol}"
    return with_metric(measures, "ppl", words, figures={"ppl": figure})


# Truncation
def with_truncation(
    measures: Measures,
    source_at: Callable[[float], Source],
    reference: Reference,
    *,
    psis: Sequence[float] = PSIS,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
) -> Measures:
    """Adds the curve `truncation`: distance, precision and recall of `source_at(psi)` in the first space."""
    space = reference.spaces[0]

    def features(psi: float) -> Tensor:
        words = f"psi {psi:g}" if progress else None
        return extract([space.extractor], source_at(psi), cache=cache, processes=processes, progress=words)[0]

    styles = source_at(psis[0]).styles

    def score(found: Tensor) -> Quality:
        pictures = Labelled(features=found, styles=styles)
        manifold = scores("prdc", pictures, space)
        distance = scores("fd", pictures, space)["fd"].value
        return Quality(fd=distance, precision=manifold["precision"].value, recall=manifold["recall"].value)

    points = tuple(
        CurvePoint(x=point.psi, scores={"fd": point.fd, "precision": point.precision, "recall": point.recall})
        for point in truncation_curve(features, score, psis)
    )
    words = f"psi {', '.join(f'{psi:g}' for psi in psis)}; fd and prdc in {space.extractor.name}"
    return replace(
        with_metric(measures, "truncation", words, figures={}),
        curves={**measures.curves, "truncation": points},
    )


def with_metric(measures: Measures, metric: str, words: str, *, figures: dict[str, MetricResult]) -> Measures:
    """Adds the figures of a metric, and to the protocol how it was taken."""
    taken = {**measures.protocol.get("metrics", {}), metric: words}
    return replace(
        measures, figures={**measures.figures, **figures}, protocol={**measures.protocol, "metrics": taken}
    )
