"""Agreement with other implementations: on the same weights, and where the distance is known exactly."""

from collections.abc import Callable, Mapping
from fractions import Fraction

import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, UInt8
from scipy.linalg import hadamard
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.features.inception import Inception, ResizeName, random_state
from brushwork.eval.metrics.frechet import frechet, frechet_from_features, gaussian_of
from brushwork.eval.metrics.kernel import kid
from brushwork.scripts.bench.harness import Table
from brushwork.scripts.bench.third_party import (
    DISTANCES,
    PYTORCH_FID,
    TORCH_FIDELITY,
    inception_networks,
    sqrtm_distance,
    torch_fidelity_kid,
)

RESIZES: Mapping[str, ResizeName] = {TORCH_FIDELITY: "legacy_tensorflow", PYTORCH_FID: "legacy_pytorch"}
"""The resizing of each library."""


# The same weights
def agreement(count: int, device: torch.device) -> Table:
    """Compares features and metrics of two sets of `count` images with those of each library.

    All networks have the same random weights. Data: by library, the largest relative difference of a feature;
    and the metrics, each with "figure", "library", "ours" and "theirs".
    """
    sides = [noise_images(count, seed=1), noise_images(count, seed=2, contrast=0.5)]
    networks, notes = inception_networks(random_state(0), device)
    differences: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    figures: list[dict[str, float | str]] = []
    for library, network in networks.items():
        extractor = Inception(pretrained=False, resize=RESIZES[library], device=device)
        ours, theirs = ([_in_batches(f, side) for side in sides] for f in (extractor, network))
        differences[library] = feature_difference(torch.cat(ours), torch.cat(theirs))
        rows.append((f"features, {library}", "", "", f"{differences[library]:.1e}"))
        value = DISTANCES.get(library, sqrtm_distance)(*(gaussian_of(side) for side in theirs))
        pairs = {
            "FD": (frechet_from_features(*ours), value),
            "FD of their features": (frechet_from_features(*theirs), value),
        }
        if library == TORCH_FIDELITY:
            size = min(1000, count // 2)
            here = kid(*ours, subset_size=size)
            there = torch_fidelity_kid(*theirs, subsets=here.subsets, subset_size=size)
            pairs |= {"KD": (here.mean, there.mean), "KD's deviation": (here.std, there.std)}
        for name, (a, b) in pairs.items():
            rows.append((f"{name}, {library}", f"{a:.9g}", f"{b:.9g}", f"{abs(a - b) / abs(b):.1e}"))
            figures.append({"figure": name, "library": library, "ours": a, "theirs": b})
    return Table(
        title=f"Agreement on the same random weights, two sets of {count} images",
        header=("", "ours", "theirs", "relative difference"), rows=rows, notes=notes,
        data={"pictures": count, "features": differences, "figures": figures},
    )  # fmt: skip


def feature_difference(ours: Float32[Tensor, "n d"], theirs: Float32[Tensor, "n d"]) -> float:
    """The largest difference of a feature, over the largest feature."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _in_batches(features: Callable[[Tensor], Tensor], images: Tensor, size: int = 32) -> Tensor:
    return torch.cat([features(part) for part in images.split(size)])


def noise_images(
    count: int, *, seed: int, size: int = 64, contrast: float = 1.0
) -> UInt8[Tensor, "count 3 size size"]:
    """Coloured noise at 2, 4, 8, 16 and 32 cells a side in turn, enlarged to `size`."""
    generator = torch.Generator().manual_seed(seed)
    images = [
        F.interpolate(
            torch.randn(1, 3, 2 ** (1 + i % 5), 2 ** (1 + i % 5), generator=generator),
            size=(size, size), mode="bilinear",
        )
        for i in range(count)
    ]  # fmt: skip
    return (torch.cat(images) * 64 * contrast + 128).clamp(0, 255).to(torch.uint8)


# Fewer features than dimensions
def known_distance(
    count: int, dim: int
) -> tuple[Float64[Tensor, "count dim"], Float64[Tensor, "count dim"], float]:
    """Two sets of features X and Y, and their exact Frechet distance.

    Fewer features than dimensions whose distance is a fraction of whole numbers.

    With columns u_i, v_i, w_i of Hadamard matrices (entries 1 and -1, orthogonal; u_i sum to 0) and
    whole a_i, b_i > 0,

        X = sum_i a_i u_i v_i^T,    Y = 1 + sum_i b_i u_i (3 v_i + 4 w_i)^T

    have c S_X = sum a_i^2 v_i v_i^T, and S_Y likewise, of rank n - 1, with c = (n - 1) / n. Then the nuclear
    norm of the product of their factors is 3 d / c sum a_i b_i, and the distance

        d + d / c sum_i (a_i^2 + 25 b_i^2 - 6 a_i b_i).

    The covariances do not commute, and every number is exact in float32 too. Features are scaled by 2^-6,
    to the size of Inception's. Raises EvalError for sizes without such matrices.
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
    return x / 64, y / 64, float(exact / 64**2)


def exactness(count: int, dim: int) -> Table:
    """Compares distances of `count` features, fewer than `dim`, with the exact distance.

    Data: by implementation, "apart" is the distance of two sets and "itself" that of a set to itself, which
    is exactly 0.
    """
    x, y, exact = known_distance(count, dim)
    a, b = gaussian_of(x), gaussian_of(y)
    distances = {"ours, from covariances": frechet, **DISTANCES}
    apart = {"ours, from features": frechet_from_features(x, y)}
    itself = {"ours, from features": frechet_from_features(x, x)}
    apart |= {name: distance(a, b) for name, distance in distances.items()}
    itself |= {name: distance(a, a) for name, distance in distances.items()}
    rows = [
        (name, f"{value:.12g}", f"{abs(value - exact) / exact:.1e}", f"{itself[name]:.1e}")
        for name, value in apart.items()
    ]
    return Table(
        title=f"{count} features of {dim} dimensions a side, the distance known exactly",
        header=("", "distance", "relative error", "distance of a set to itself"),
        rows=[("exact", f"{exact:.12g}", "", "0"), *rows],
        data={"count": count, "dim": dim, "exact": exact, "apart": apart, "itself": itself},
    )
