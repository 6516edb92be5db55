"""Metrics that need a generator, not its images alone: perceptual path length and the effect of
truncation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from brushwork.data.progress import Progress

from .features.cache import FeatureCache
from .features.extract import MapExtractor, Source, extract
from .metrics.content import feature_distance
from .metrics.lpips import Lpips
from .processes import Processes
from .reference import Labelled, Reference
from .results import CurvePoint, Measurement, MetricInfo, MetricResult, Score
from .sources import consecutive_seeds
from .suite import scores, with_metric

GENERATOR_METRICS = ("ppl", "truncation", "disentanglement")
"""Metrics of a run or a snapshot, besides those of its samples."""

PSIS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Truncations of the curve. 1 is none; 0 gives the average image of each style."""

EPSILON = 1e-4
"""Step of the path length, as a share of the path."""

BATCH = 32

PATH_LENGTH = MetricInfo(
    title="perceptual path length", better="less", kind="distance",
    note="How fast images change along straight paths between codes in W, without the most and least extreme "
    "1 %. It is small for a smooth latent space, and for one that always gives the same image.",
)  # fmt: skip

Interpolate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""interpolate(styles, seeds_a, seeds_b, t): float images (n, 3, h, w) at share t (n, float64) of the path
from the codes of seeds_a to those of seeds_b."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""distance(a, b) of float images in [-1, 1], (n,): quadratic in small differences, as LPIPS is."""


# Path length
@dataclass(frozen=True, kw_only=True)
class StepDistance:
    """A distance for small steps, with its name, its protocol and its control."""

    name: str
    protocol: str
    distance: Distance
    control: Distance | None = None


def feature_steps(network: MapExtractor, control: MapExtractor | None) -> StepDistance:
    """Channel-normalised feature distance, the offline replacement for LPIPS."""

    def distance_by(network: MapExtractor) -> Distance:
        def distance(a: Tensor, b: Tensor) -> Tensor:
            first, second = (network.maps(images * 127.5 + 127.5) for images in (a, b))
            return feature_distance(first, second, normalised=True)

        return distance

    return StepDistance(
        name=network.name, protocol=f"channel-normalised feature distance; {network.maps_protocol}",
        distance=distance_by(network), control=None if control is None else distance_by(control),
    )  # fmt: skip


def lpips_steps(lpips: Lpips, *, control: bool) -> StepDistance:
    """LPIPS."""
    return StepDistance(
        name=lpips.name, protocol=lpips.protocol, distance=lpips.distance,
        control=lpips.control().distance if control else None,
    )  # fmt: skip


def with_path_length(
    measurement: Measurement, interpolate: Interpolate, steps: StepDistance, *, per_style: int = 100,
    seed: int = 0, count: int | None = None, progress: bool = False,
) -> Measurement:  # fmt: skip
    """Adds `ppl`, the trimmed mean over `per_style` paths of each style, from seeds `seed` on.

    `count` is the number of styles of the generator, if the measurement has none. Raises EvalError for seeds
    that exceed 64 bits.
    """
    count = len(measurement.style_names) if count is None else count
    styles = torch.arange(max(1, count)).repeat_interleave(per_style)
    weights = F.one_hot(styles, max(1, count))[:, :count].float()
    seeds = consecutive_seeds(seed, per_style).repeat(max(1, count))

    def score(distance: Distance) -> Score:
        lengths = path_length(interpolate, distance, weights, seeds, seed=seed, progress=progress)
        by_style = tuple(trimmed_mean(lengths[styles == s]) for s in range(len(measurement.style_names)))
        error = float(lengths.double().std() / len(lengths) ** 0.5)
        return Score(value=trimmed_mean(lengths), per_style=by_style, spread=error)

    result = MetricResult(
        about=PATH_LENGTH, features=steps.name, measured=score(steps.distance),
        control=None if steps.control is None else score(steps.control),
    )  # fmt: skip
    protocol = f"straight in W, epsilon 1e-4, {per_style} ways a style, seed {seed}; {steps.protocol}"
    return with_metric(measurement, "ppl", protocol, {"ppl": result})


@torch.no_grad()
def path_length(
    interpolate: Interpolate,
    distance: Distance,
    styles: Float[Tensor, "n s"],
    seeds: Int64[Tensor, "n"],
    *,
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, "n"]:
    """Perceptual path length of each path: distance(g(t), g(t + epsilon)) / epsilon^2 (Karras et al. 2019,
    arXiv 1812.04948, eq. 2 and 3).

    Path i starts at seeds[i]. Its other end and its place t, uniform in [0, 1), depend on (seed, seeds[i])
    alone. Images must be float: steps of 1e-4 would vanish in rounded grey levels. Raises TypeError for
    others.
    """
    ends, places = path_places(seeds, seed)
    lengths = []
    parts = torch.arange(len(seeds)).split(BATCH)
    for rows in Progress(parts, desc="path length", unit="batch", leave=False, disable=not progress):
        path = styles[rows], seeds[rows], ends[rows]
        here, there = interpolate(*path, places[rows]), interpolate(*path, places[rows] + EPSILON)
        if not here.is_floating_point():
            raise TypeError(f"interpolate gave {here.dtype}: path_length needs float images")
        lengths.append(distance(here, there).cpu() / EPSILON**2)
    return torch.cat(lengths)


def path_places(seeds: Int64[Tensor, "n"], seed: int) -> tuple[Int64[Tensor, "n"], Float[Tensor, "n"]]:
    """The other end of each path, a seed below 2^31, and the place on it."""
    streams = [np.random.default_rng([seed & (2**64 - 1), int(start) & (2**64 - 1)]) for start in seeds]
    ends = torch.tensor([int(stream.integers(2**31)) for stream in streams])
    return ends, torch.tensor([stream.random() for stream in streams], dtype=torch.float64)


def trimmed_mean(values: Float[Tensor, "n"], low: float = 0.01, high: float = 0.99) -> float:
    """Mean of the values from the `low` to the `high` quantile, both inclusive. Each quantile is the nearest
    value outside, as in the code of the path length's authors."""
    x = values.detach().double().cpu().numpy()
    least, most = np.quantile(x, low, method="lower"), np.quantile(x, high, method="higher")
    return float(x[(x >= least) & (x <= most)].mean())


# Truncation
def with_truncation(
    measurement: Measurement,
    source_at: Callable[[float], Source],
    reference: Reference,
    *,
    psis: Sequence[float] = PSIS,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
) -> Measurement:
    """Adds the curve `truncation`: Frechet distance, precision and recall of `source_at(psi)`, in the first
    space. All sources must have the same seeds and styles."""
    space = reference.spaces[0]

    def point(psi: float) -> CurvePoint:
        source, words = source_at(psi), f"psi {psi:g}" if progress else None
        features = extract([space.extractor], source, cache=cache, processes=processes, progress=words)[0]
        images = Labelled(features=features, styles=source.styles)
        found = scores("fd", images, space) | scores("prdc", images, space)
        return CurvePoint(x=psi, scores={name: found[name].value for name in ("fd", "precision", "recall")})

    points = tuple(point(psi) for psi in psis)
    protocol = f"psi {', '.join(f'{psi:g}' for psi in psis)}; fd and prdc in {space.extractor.name}"
    return replace(
        with_metric(measurement, "truncation", protocol, {}),
        curves={**measurement.curves, "truncation": points},
    )
