"""The benchmark `metrics`: time and values of the metrics of `brushwork measure` beside other libraries."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from brushwork.eval.features.inception import Inception, random_state
from brushwork.eval.metrics.frechet import frechet, gaussian_of
from brushwork.eval.metrics.kernel import KernelDistance, kid
from brushwork.eval.metrics.neighbours import memberships
from brushwork.models.options import DeviceName, options, resolve_device
from brushwork.scripts.bench.harness import Comparison, Table, alternated, machine, report
from brushwork.scripts.bench.third_party import (
    DISTANCES,
    PACKAGES,
    TORCH_FIDELITY,
    inception_networks,
    torch_fidelity_kid,
    torch_fidelity_precision_recall,
)
from brushwork.scripts.bench.toy import noise_images
from brushwork.scripts.cli import parse_and_run

NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True)
class BenchmarkSizes:
    """Numbers of features, images and rounds."""

    dim: int = 2048
    repeats: int = 3
    pictures: int = 32
    """Images in a round of Inception."""
    sample: int = 10_000
    """Features a side for kernel distance, precision and recall."""
    subset_size: int = 1000


FULL = BenchmarkSizes()
QUICK = BenchmarkSizes(repeats=1, pictures=8, sample=2000, subset_size=200)


def simulated(
    count: int, dim: int, *, seed: int, directions: int = 0, shift: float = 0.0
) -> Float32[Tensor, "count dim"]:
    """Gaussian features whose variances fall as 1 / k^2 along random directions.

    Sets of equal `directions`, a seed, differ by sampling and by `shift` alone.
    """
    z = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) / torch.arange(1, dim + 1)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(1000 + directions))
    return z @ mix + shift


def _two_samples(sizes: BenchmarkSizes) -> tuple[Tensor, Tensor]:
    x = simulated(sizes.sample, sizes.dim, seed=1)
    return x, simulated(sizes.sample, sizes.dim, seed=2, shift=0.1)


def compare_frechet(sizes: BenchmarkSizes) -> Comparison:
    """Times the Frechet distance from means and covariances."""
    a = gaussian_of(simulated(4 * sizes.dim, sizes.dim, seed=1))
    b = gaussian_of(simulated(4 * sizes.dim, sizes.dim, seed=2, directions=1, shift=0.01))
    functions = {name: partial(f, a, b) for name, f in {"ours": frechet, **DISTANCES}.items()}
    return Comparison(
        title=f"Frechet step from two covariances of {sizes.dim} dimensions",
        timings=alternated(functions, repeats=sizes.repeats, warmup=0, progress="Frechet"),
        metrics={"distance": float},
    )  # fmt: skip


def compare_features(sizes: BenchmarkSizes, device: torch.device) -> Comparison:
    """Times Inception's features of one batch of uint8 images, resizing included."""
    images = noise_images(sizes.pictures, seed=0)
    networks, notes = inception_networks(random_state(0), device)
    extractors: dict[str, Callable[[Tensor], Tensor]] = {
        f"ours, {resize}": Inception(pretrained=False, resize=resize, device=device)
        for resize in ("legacy_tensorflow", "legacy_pytorch", "clean")
    }
    functions = {name: partial(features, images) for name, features in {**extractors, **networks}.items()}
    return Comparison(
        title=f"Inception features of {sizes.pictures} images of 64 px in float32",
        timings=alternated(functions, repeats=sizes.repeats + 2, progress="features"),
        images=sizes.pictures, notes=notes,
    )  # fmt: skip


def compare_kernel(sizes: BenchmarkSizes) -> Comparison:
    """Times the kernel distance over 100 subsets: ours in float64, torch-fidelity's in both precisions."""
    x, y = _two_samples(sizes)
    size = sizes.subset_size
    theirs = partial(torch_fidelity_kid, subsets=100, subset_size=size)
    functions: dict[str, Callable[[], KernelDistance]] = {
        "ours (float64)": partial(kid, x, y, subset_size=size),
        f"{TORCH_FIDELITY} (float32)": partial(theirs, x, y),
        f"{TORCH_FIDELITY} (float64)": lambda: theirs(x.double(), y.double()),
    }
    return Comparison(
        title=f"Kernel distance of {sizes.sample} features a side, 100 subsets of {size}",
        timings=alternated(functions, repeats=sizes.repeats, warmup=0, progress="kernel"),
        metrics={"mean": lambda result: result.mean, "deviation": lambda result: result.std},
    )  # fmt: skip


def compare_manifold(sizes: BenchmarkSizes) -> Comparison:
    """Times precision and recall. Ours, in float64 and in blocks, also computes density and coverage."""
    x, y = _two_samples(sizes)

    def ours() -> tuple[float, float]:
        found = memberships(x, y, k=NEIGHBOURS)
        return float((found.balls > 0).double().mean()), float(found.recalled.double().mean())

    theirs = partial(torch_fidelity_precision_recall, k=NEIGHBOURS)
    functions: dict[str, Callable[[], tuple[float, float]]] = {
        "ours (float64)": ours,
        f"{TORCH_FIDELITY} (float32)": partial(theirs, x, y),
        f"{TORCH_FIDELITY} (float64)": lambda: theirs(x.double(), y.double()),
    }
    return Comparison(
        title=f"Precision and recall of {sizes.sample} features a side, k = {NEIGHBOURS}",
        timings=alternated(functions, repeats=sizes.repeats, warmup=0, progress="manifold"),
        metrics={"precision": lambda result: result[0], "recall": lambda result: result[1]},
        notes=("Ours finds density and coverage in the same pass.",),
    )  # fmt: skip


PartName = Literal["frechet", "features", "kernel", "manifold"]

PARTS: Mapping[PartName, Callable[[BenchmarkSizes, torch.device], Table]] = {
    "frechet": lambda sizes, _: compare_frechet(sizes).table,
    "features": lambda sizes, device: compare_features(sizes, device).table,
    "kernel": lambda sizes, _: compare_kernel(sizes).table,
    "manifold": lambda sizes, _: compare_manifold(sizes).table,
}
"""The parts of the benchmark as functions of the sizes and of Inception's device."""


@options
class MetricsArguments:
    """Times the metrics of `brushwork measure` beside torch-fidelity, pytorch-fid and SciPy. Candidates
    alternate, so that disturbances affect all of them. `brushwork reproduce agreement` compares the values.

    Example, ten minutes on a CPU (without --quick half an hour); one thread each is the fairest:
        OMP_NUM_THREADS=1 brushwork bench metrics --quick
    """

    quick: bool = False
    """Smaller sets and fewer rounds."""
    parts: tuple[PartName, ...] = tuple(PARTS)
    """Only these."""
    out: Path = Path("runs/bench")
    """Folder for metrics.json and metrics.md, which are written anew after every part."""
    device: DeviceName = "cpu"
    """Device of Inception; everything else runs on the processor."""


def bench_metrics(args: MetricsArguments) -> None:
    """Runs the parts, prints a table of each and writes the report."""
    sizes, device = QUICK if args.quick else FULL, resolve_device(args.device)
    tables = ((name, PARTS[name](sizes, device)) for name in args.parts)
    report(args.out / "metrics", machine(PACKAGES, device), asdict(sizes), tables)


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(MetricsArguments, bench_metrics)
