"""Do other implementations give our numbers? On the same weights, and where the number is known exactly."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, UInt8
from scipy.linalg import hadamard
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.features.inception import Inception, random_state
from brushwork.eval.features.resize import ResizeName
from brushwork.eval.metrics.frechet import Gaussian, frechet, frechet_from_features, gaussian_of
from brushwork.eval.metrics.kernel import kid
from brushwork.scripts.bench.harness import Table
from brushwork.scripts.bench.third_party import (
    PYTORCH_FID,
    TORCH_FIDELITY,
    Distance,
    feature_peers,
    frechet_peers,
    sqrtm_distance,
    torch_fidelity_kid,
)

RESIZE_OF_PEER: Mapping[str, ResizeName] = {
    TORCH_FIDELITY: "legacy_tensorflow",
    PYTORCH_FID: "legacy_pytorch",
}
"""Which of our resizes each library has."""


# The same weights
@dataclass(frozen=True, kw_only=True)
class Likeness:
    """One figure here and there; the difference is relative to theirs."""

    figure: str
    peer: str
    ours: float
    theirs: float

    @property
    def difference(self) -> float:
        return abs(self.ours - self.theirs) / abs(self.theirs)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Features and figures of the same pictures through the same random weights."""

    pictures: int
    """Of each of two sets."""
    features: Mapping[str, float]
    """By library, the largest difference of any feature over the largest feature."""
    figures: tuple[Likeness, ...]
    notes: tuple[str, ...]

    def table(self) -> Table:
        features = [(f"features, {peer}", "", "", f"{apart:.1e}") for peer, apart in self.features.items()]
        figures = [
            (f"{f.figure}, {f.peer}", f"{f.ours:.9g}", f"{f.theirs:.9g}", f"{f.difference:.1e}")
            for f in self.figures
        ]
        return Table(
            title=f"Agreement on the same random weights, two sets of {self.pictures} pictures",
            header=("", "ours", "theirs", "relative difference"),
            rows=(*features, *figures),
            notes=self.notes,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def agreement(pictures: int, *, device: str = "cpu", seed: int = 0) -> Agreement:
    """Our features and figures against those of each library from the same uint8 pictures and weights."""
    sides = [noise_pictures(pictures, seed=seed + 1), noise_pictures(pictures, seed=seed + 2, contrast=0.5)]
    networks, distances = feature_peers(random_state(seed), device), frechet_peers()
    apart: dict[str, float] = {}
    figures: list[Likeness] = []
    notes = [*networks.notes, *distances.notes]
    for peer, network in networks.functions.items():
        resize = RESIZE_OF_PEER[peer]
        ours_of = Inception(pretrained=False, seed=seed, resize=resize, device=device)
        ours, theirs = ([_in_batches(f, side) for side in sides] for f in (ours_of, network))
        apart[peer] = feature_difference(torch.cat(ours), torch.cat(theirs))
        distance = distances.functions.get(peer, sqrtm_distance)
        value, trouble = attempted(distance, *(gaussian_of(side) for side in theirs))
        notes += [f"{peer} {trouble}"] if trouble else []
        for figure, pair in (("FD", ours), ("FD of their features", theirs)):
            here = frechet_from_features(*pair)
            figures.append(Likeness(figure=figure, peer=peer, ours=here, theirs=value))
        if peer == TORCH_FIDELITY:
            figures += _kernel_likeness(ours, theirs)
    notes = list(dict.fromkeys(notes))
    return Agreement(pictures=pictures, features=apart, figures=tuple(figures), notes=tuple(notes))


def _kernel_likeness(ours: list[Tensor], theirs: list[Tensor]) -> list[Likeness]:
    size = min(1000, len(ours[0]) // 2)
    here = kid(*ours, subset_size=size)
    there = torch_fidelity_kid(*theirs, subsets=here.subsets, subset_size=size)
    return [
        Likeness(figure="KD", peer=TORCH_FIDELITY, ours=here.mean, theirs=there.mean),
        Likeness(figure="KD's deviation", peer=TORCH_FIDELITY, ours=here.std, theirs=there.std),
    ]


def feature_difference(ours: Float32[Tensor, "n d"], theirs: Float32[Tensor, "n d"]) -> float:
    """The largest difference of any feature over the largest feature."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _in_batches(features: Callable[[Tensor], Tensor], images: Tensor, size: int = 32) -> Tensor:
    return torch.cat([features(part) for part in images.split(size)])


def attempted(distance: Distance, a: Gaussian, b: Gaussian) -> tuple[float, str]:
    """A library's distance, or NaN and what it said when it gave up."""
    try:
        return distance(a, b), ""
    except ValueError as error:
        return math.nan, f"gave up: {error}"


def noise_pictures(
    count: int, *, seed: int, size: int = 64, contrast: float = 1.0
) -> UInt8[Tensor, "count 3 size size"]:
    """Coloured noise whose grain grows from picture to picture, from 2 to 32 cells a side and again."""
    generator = torch.Generator().manual_seed(seed)
    pictures = [
        F.interpolate(
            torch.randn(1, 3, 2 ** (1 + i % 5), 2 ** (1 + i % 5), generator=generator),
            size=(size, size), mode="bilinear",
        )
        for i in range(count)
    ]  # fmt: skip
    return (torch.cat(pictures) * 64 * contrast + 128).clamp(0, 255).to(torch.uint8)


# Fewer pictures than dimensions
@dataclass(frozen=True, kw_only=True)
class Known:
    """Two sets of features whose distance is known exactly."""

    x: Float64[Tensor, "n d"]
    y: Float64[Tensor, "n d"]
    distance: float


def known_distance(count: int, dim: int) -> Known:
    """Fewer features than dimensions, and their distance as a fraction of whole numbers.

    With columns u_i, v_i, w_i of Hadamard matrices (entries 1 and -1, orthogonal; u_i sum to 0) and
    whole a_i, b_i > 0,

        X = sum_i a_i u_i v_i^T,    Y = 1 + sum_i b_i u_i (3 v_i + 4 w_i)^T

    have c S_X = sum a_i^2 v_i v_i^T, and S_Y likewise, of rank n - 1, with c = (n - 1) / n. Then the nuclear
    norm of the product of their factors is 3 d / c sum a_i b_i, and the distance

        d + d / c sum_i (a_i^2 + 25 b_i^2 - 6 a_i b_i).

    The covariances do not commute, and every number is exact in float32 too. Features come out scaled by
    2^-6, to the size of Inception's. Raises EvalError for sizes without such matrices.
    """
    powers = all(size > 1 and size & (size - 1) == 0 for size in (count, dim))
    if not powers or 2 * (count - 1) > dim:
        raise EvalError(
            f"{count} features of {dim} dimensions have no such form: take powers of two, "
            "twice as many dimensions as features."
        )
    u = torch.from_numpy(hadamard(count)).double()[:, 1:]
    directions = torch.from_numpy(hadamard(dim)).double()
    v, w = directions[:, : count - 1], directions[:, count - 1 : 2 * (count - 1)]
    a, b = torch.arange(count - 1) % 7 + 1, torch.arange(count - 1) % 3 + 1
    terms = int((a**2 + 25 * b**2 - 6 * a * b).sum())
    exact = dim + Fraction(dim * count, count - 1) * terms
    x, y = (u * a) @ v.T, 1 + (u * b) @ (3 * v + 4 * w).T
    return Known(x=x / 64, y=y / 64, distance=float(exact / 64**2))


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """Distances beside the exact ones: of two sets, and of one to itself, which is 0."""

    count: int
    dim: int
    exact: float
    apart: Mapping[str, float]
    itself: Mapping[str, float]
    notes: tuple[str, ...]

    def table(self) -> Table:
        rows = [
            (name, f"{value:.12g}", f"{abs(value - self.exact) / self.exact:.1e}", f"{self.itself[name]:.1e}")
            for name, value in self.apart.items()
        ]
        return Table(
            title=f"{self.count} features of {self.dim} dimensions a side, the distance known exactly",
            header=("", "distance", "relative error", "distance of a set to itself"),
            rows=(("exact", f"{self.exact:.12g}", "", "0"), *rows),
            notes=self.notes,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def exactness(count: int, dim: int) -> Exactness:
    """All distances of features that are fewer than their dimensions, whose covariances are singular."""
    known, peers = known_distance(count, dim), frechet_peers()
    a, b = gaussian_of(known.x), gaussian_of(known.y)
    apart, itself = (
        {
            "ours, from features": frechet_from_features(known.x, y),
            "ours, from covariances": frechet(a, other),
        }
        for y, other in ((known.y, b), (known.x, a))
    )
    notes = list(peers.notes)
    for name, distance in peers.functions.items():
        for found, other in ((apart, b), (itself, a)):
            found[name], trouble = attempted(distance, a, other)
            notes += [f"{name} {trouble}"] if trouble else []
    return Exactness(
        count=count, dim=dim, exact=known.distance, apart=apart, itself=itself, notes=tuple(notes)
    )
