"""Whether the metrics equal their reference implementations: the tables of docs/evaluation.md.

No published weights are needed: both sides have the same seeded random weights, in the published format.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Interval
from jaxtyping import Float32, Float64
from scipy.linalg import hadamard
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.features.inception import Inception, random_state
from brushwork.eval.features.vision_transformers import NETWORKS, VisionTransformer
from brushwork.eval.metrics.frechet import frechet, frechet_from_features, gaussian_of
from brushwork.eval.metrics.kernel import cmmd, kid
from brushwork.models.options import options
from brushwork.scripts.bench.harness import Table, machine, version_of
from brushwork.scripts.bench.third_party import (
    DISTANCES,
    Features,
    clip_network,
    cmmd_formula,
    csd_network,
    dinov2_network,
    pytorch_fid_features,
    sqrtm_distance,
    torch_fidelity_distance,
    torch_fidelity_features,
    torch_fidelity_kid,
)
from brushwork.scripts.bench.toy import noise_images
from brushwork.scripts.cli import parse_and_run

from .documented import RESULTS, command_of, results_folder, write_results

PACKAGES = (
    "torch", "numpy", "scipy", "timm", "torch-fidelity", "pytorch-fid", "dinov2", "transformers",
)  # fmt: skip


@options
class Arguments:
    """Compares features and distances with those of reference implementations, on the same random weights.

    Ten minutes on a CPU and 6 GB of memory. dinov2 is installed apart, since it asks for an old PyTorch:
        pip install --no-deps dinov2==0.0.1.dev2
        brushwork reproduce agreement
        brushwork reproduce agreement --quick
    """

    images: Annotated[int, Interval(ge=2, le=4096)] = 16
    """Images a side."""
    few: Annotated[int, Interval(ge=2, le=4096)] = 128
    """Features a side whose distance is known exactly: a power of two."""
    quick: bool = False
    """Two images a side, and no ViT-L."""
    results: Path = RESULTS
    """Folder of agreement.json; the documents above it get the tables."""


# The same weights
@dataclass(frozen=True)
class Compared:
    """Our extractor and a reference network with the same weights, and the distances taken of both."""

    network: str
    package: str
    ours: Features
    theirs: Features
    distances: dict[str, tuple[Callable[[Tensor, Tensor], float], Callable[[Tensor, Tensor], float]]]
    """Ours and theirs, of two sets of features, by name."""


def comparisons(folder: Path, *, large: bool) -> Iterator[Compared]:
    """One network after the other: ViT-L takes 1.2 GB. Reference packages that are missing are left out."""
    cpu, state = torch.device("cpu"), random_state(0)
    inception = {"FD": (frechet_from_features, _of_gaussians(torch_fidelity_distance))}
    kernel = (lambda x, y: _kid(x, y), lambda x, y: _torch_fidelity_kid(x, y))
    yield Compared(
        "Inception, legacy_tensorflow", "torch-fidelity",
        Inception(pretrained=False, resize="legacy_tensorflow"), torch_fidelity_features(state, cpu),
        {**inception, "KID": kernel},
    )  # fmt: skip
    fd = {"FD": (frechet_from_features, _of_gaussians(sqrtm_distance))}
    if version_of("pytorch-fid"):
        yield Compared(
            "Inception, legacy_pytorch", "pytorch-fid",
            Inception(pretrained=False, resize="legacy_pytorch"), pytorch_fid_features(state, cpu), fd,
        )  # fmt: skip
    if not large:
        return
    kinds: list[tuple[str, str, Callable[[Path], Features], dict[str, Any]]] = [
        ("dinov2-l", "dinov2", dinov2_network, fd),
        ("clip", "transformers", clip_network, {"CMMD": (cmmd, cmmd_formula)}),
        ("csd", "torch-fidelity", csd_network, {"mean cosine": (_mean_cosine, _mean_cosine)}),
    ]
    for name, package, build, distances in kinds:
        if version_of(package):
            file = folder / f"{name}.pth"
            theirs = build(file)
            ours = VisionTransformer(NETWORKS[name], file)
            yield Compared(NETWORKS[name].title, package, ours, theirs, distances)
            file.unlink()


def networks_table(count: int, *, large: bool) -> Table:
    """Two sets of `count` images through each pair of networks. Data: every figure of both sides."""
    sides = [noise_images(count, seed=1), noise_images(count, seed=2, contrast=0.5)]
    rows: list[tuple[str, ...]] = []
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for compared in comparisons(Path(folder), large=large):
            ours, theirs = (
                [features(side) for side in sides] for features in (compared.ours, compared.theirs)
            )
            difference = feature_difference(torch.cat(ours), torch.cat(theirs))
            reference = f"{compared.package} {version_of(compared.package)}"
            for name, (our_distance, their_distance) in compared.distances.items():
                a, b = our_distance(*ours), their_distance(*theirs)
                rows.append((
                    f"{compared.network}: {name}", reference, f"{difference:.0e}", f"{a:.7g}", f"{b:.7g}",
                    f"{abs(a - b) / abs(b):.0e}",
                ))  # fmt: skip
                figures.append({
                    "network": compared.network, "figure": name, "reference": reference,
                    "features": difference, "ours": a, "theirs": b,
                })  # fmt: skip
    header = (
        "", "reference", "features differ by", "brushwork", "the reference", "relative difference"
    )  # fmt: skip
    about = f"Two sets of {count} images of 64 px. Features differ by the largest gap over the largest value."
    return Table(
        title="The same random weights", header=header, rows=rows, notes=(about,), data={"figures": figures}
    )


def _of_gaussians(distance: Callable[..., float]) -> Callable[[Tensor, Tensor], float]:
    return lambda x, y: distance(gaussian_of(x), gaussian_of(y))


def _kid(x: Tensor, y: Tensor) -> float:
    return kid(x, y, subset_size=max(2, len(x) // 2)).mean


def _torch_fidelity_kid(x: Tensor, y: Tensor) -> float:
    return torch_fidelity_kid(x, y, subsets=100, subset_size=max(2, len(x) // 2)).mean


def _mean_cosine(x: Tensor, y: Tensor) -> float:
    return float((x.double() @ y.double().T).mean())


def feature_difference(ours: Float32[Tensor, "n d"], theirs: Float32[Tensor, "n d"]) -> float:
    """The largest difference of a feature, over the largest feature."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


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


# The experiment
def agreement(args: Arguments) -> None:
    """Compares, and writes agreement.json."""
    tables = {
        "networks": networks_table(2 if args.quick else args.images, large=not args.quick),
        "exact": exactness(args.few, 2048 if not args.quick else 2 * args.few),
    }
    folder, command = results_folder(args.results, quick=args.quick), command_of("agreement", args)
    write_results(folder, "agreement", tables, machine(PACKAGES), command=command)


def main() -> None:
    """Parses the command line and compares."""
    parse_and_run(Arguments, agreement)


if __name__ == "__main__":
    main()
