"""Metrics that need a generator, not its images alone: perceptual path length and the effect of
truncation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from brushwork.data.progress import Progress

from .features.extract import PLAIN, Extraction, MapExtractor, Source, extract
from .metrics.content import feature_distance
from .reference import Labelled, Reference
from .results import CurvePoint, Measurement, MetricResult, Score, distance
from .sources import consecutive_seeds
from .suite import scores, with_metric

GENERATOR_METRICS = ("ppl", "truncation")
"""Metrics of a run or a snapshot, besides those of its samples."""

PSIS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Truncations of the curve. 1 is none; 0 gives the average image of each style."""

PATHS = 100
"""Paths of each style."""

EPSILON = 1e-4
"""Step of the path length, as a share of the path."""

BATCH = 32

PATH_LENGTH = distance(
    "perceptual path length", "How fast images change along straight paths in W; small for a collapse, too."
)

Interpolate = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""interpolate(styles, seeds_a, seeds_b, t): float images (n, 3, h, w) at share t (n, float64) of the path
from the codes of seeds_a to those of seeds_b."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""distance(a, b) of float images in [-1, 1], (n,): quadratic in small differences, as LPIPS is."""


# Path length
def with_path_length(
    measurement: Measurement,
    interpolate: Interpolate,
    networks: tuple[MapExtractor, MapExtractor | None],
    *,
    count: int,
    seed: int = 0,
    progress: bool = False,
) -> Measurement:
    """Adds `ppl`, the trimmed mean over PATHS paths of each of `count` styles, from seeds `seed` on.

    The distance is that of the channel-normalised maps of `networks`, a network and its control, in place of
    LPIPS. Raises EvalError for seeds that exceed 64 bits.
    """
    styles = torch.arange(max(1, count)).repeat_interleave(PATHS)
    weights = F.one_hot(styles, max(1, count))[:, :count].float()
    seeds = consecutive_seeds(seed, PATHS).repeat(max(1, count))

    def score(network: MapExtractor) -> Score:
        def distance(a: Tensor, b: Tensor) -> Tensor:
            first, second = (network.maps(images * 127.5 + 127.5) for images in (a, b))
            return feature_distance(first, second, normalised=True)

        lengths = path_length(interpolate, distance, weights, seeds, seed=seed, progress=progress)
        by_style = tuple(trimmed_mean(lengths[styles == s]) for s in range(len(measurement.style_names)))
        error = float(lengths.double().std() / len(lengths) ** 0.5)
        return Score(value=trimmed_mean(lengths), per_style=by_style, spread=error)

    network, control = networks
    result = MetricResult(
        about=PATH_LENGTH, features=network.name, measured=score(network),
        control=None if control is None else score(control),
    )  # fmt: skip
    protocol = (
        f"straight in W, epsilon 1e-4, {PATHS} ways a style, seed {seed}; channel-normalised feature "
        f"distance; {network.maps_protocol}"
    )
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
    """Returns the perceptual path length of each path: distance(g(t), g(t + epsilon)) / epsilon^2 (Karras et
    al. 2019, arXiv 1812.04948, eq. 2 and 3). Its other end and place t depend on (seed, seeds[i]) alone."""
    ends, places = path_places(seeds, seed)
    lengths = []
    parts = torch.arange(len(seeds)).split(BATCH)
    for rows in Progress(parts, desc="path length", unit="batch", leave=False, disable=not progress):
        path = styles[rows], seeds[rows], ends[rows]
        here, there = interpolate(*path, places[rows]), interpolate(*path, places[rows] + EPSILON)
        lengths.append(distance(here, there).cpu() / EPSILON**2)
    return torch.cat(lengths)


def path_places(seeds: Int64[Tensor, "n"], seed: int) -> tuple[Int64[Tensor, "n"], Float[Tensor, "n"]]:
    """Returns the other end of each path, a seed below 2^31, and the place on it."""
    streams = [np.random.default_rng([seed & (2**64 - 1), int(start) & (2**64 - 1)]) for start in seeds]
    ends = torch.tensor([int(stream.integers(2**31)) for stream in streams])
    return ends, torch.tensor([stream.random() for stream in streams], dtype=torch.float64)


def trimmed_mean(values: Float[Tensor, "n"]) -> float:
    """Returns the mean of the values from the 0.01 to the 0.99 quantile, both inclusive. Each quantile is the
    nearest value outside, as in the code of the path length's authors."""
    x = values.detach().double().cpu().numpy()
    least, most = np.quantile(x, 0.01, method="lower"), np.quantile(x, 0.99, method="higher")
    return float(x[(x >= least) & (x <= most)].mean())


# Truncation
def with_truncation(
    measurement: Measurement,
    source_at: Callable[[float], Source],
    reference: Reference,
    *,
    psis: Sequence[float] = PSIS,
    how: Extraction = PLAIN,
) -> Measurement:
    """Adds the curve `truncation`: Frechet distance, precision and recall of `source_at(psi)`, in the first
    space. All sources must have the same seeds and styles."""
    space = reference.spaces[0]

    def point(psi: float) -> CurvePoint:
        source = source_at(psi)
        features = extract([space.extractor], source, how, f"psi {psi:g}")[0]
        images = Labelled(features=features, styles=source.styles)
        found = scores("fd", images, space) | scores("prdc", images, space)
        return CurvePoint(x=psi, scores={name: found[name].value for name in ("fd", "precision", "recall")})

    points = tuple(point(psi) for psi in psis)
    protocol = f"psi {', '.join(f'{psi:g}' for psi in psis)}; fd and prdc in {space.extractor.name}"
    return replace(
        with_metric(measurement, "truncation", protocol, {}),
        curves={**measurement.curves, "truncation": points},
    )
