"""The benchmark `metrics`: time of what `brushwork measure` rests on, against other libraries."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.eval.features.inception import Inception, random_state
from brushwork.eval.metrics.frechet import frechet, gaussian_of
from brushwork.eval.metrics.kernel import KernelDistance, kid
from brushwork.eval.metrics.neighbours import memberships
from brushwork.models.options import options
from brushwork.scripts.bench.agreement import agreement, exactness, noise_pictures
from brushwork.scripts.bench.harness import Finding, Race, alternated, machine
from brushwork.scripts.bench.report import markdown, plot, write_rounds
from brushwork.scripts.bench.third_party import (
    PACKAGES,
    TORCH_FIDELITY,
    feature_peers,
    frechet_peers,
    torch_fidelity_kid,
    torch_fidelity_precision_recall,
)

NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything."""

    dim: int = 2048
    repeats: int = 3
    pictures: int = 32
    """Timed at once, in each round."""
    picture_repeats: int = 5
    sample_repeats: int = 2
    sample: int = 10_000
    """Features a side for kernel distance, precision and recall."""
    subset_size: int = 1000
    compared: int = 128
    """Pictures a side whose features and figures are compared."""
    few: int = 128
    """Features a side, fewer than dimensions: a power of two."""


FULL = Sizes()
QUICK = Sizes(
    repeats=1, pictures=8, picture_repeats=3, sample_repeats=1, sample=2000,
    subset_size=200, compared=16,
)  # fmt: skip


def simulated(
    count: int, dim: int, *, seed: int, directions: int = 0, shift: float = 0.0
) -> Float32[Tensor, "count dim"]:
    """Gaussian features whose variances fall as 1 / k^2, far from round, along random directions.

    Sets of equal `directions`, a seed, differ by sampling and by `shift` alone.
    """
    z = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) / torch.arange(1, dim + 1)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(1000 + directions))
    return z @ mix + shift


# Time
def frechet_race(sizes: Sizes) -> Race:
    """The Frechet step from means and covariances."""
    a = gaussian_of(simulated(4 * sizes.dim, sizes.dim, seed=1))
    b = gaussian_of(simulated(4 * sizes.dim, sizes.dim, seed=2, directions=1, shift=0.01))
    peers = frechet_peers()
    functions = {"ours": frechet, **peers.functions}
    timings = alternated(
        {name: partial(distance, a, b) for name, distance in functions.items()},
        repeats=sizes.repeats, warmup=0, progress="Frechet step",
    )  # fmt: skip
    return Race(
        title=f"Frechet step from two covariances of {sizes.dim} dimensions", timings=timings,
        figures={"distance": timings.results}, notes=peers.notes,
    )  # fmt: skip


def feature_race(sizes: Sizes, device: str = "cpu") -> Race:
    """Inception's features of one batch of uint8 pictures, resize included."""
    images = noise_pictures(sizes.pictures, seed=0)
    peers = feature_peers(random_state(0), device)
    extractors: dict[str, Callable[[Tensor], Tensor]] = {
        f"ours, {resize}": Inception(pretrained=False, resize=resize, device=device)
        for resize in ("legacy_tensorflow", "legacy_pytorch", "clean")
    }
    timings = alternated(
        {name: partial(features, images) for name, features in (extractors | dict(peers.functions)).items()},
        repeats=sizes.picture_repeats, progress="Inception",
    )  # fmt: skip
    return Race(
        title=f"Inception features of {sizes.pictures} pictures of 64 px in float32", timings=timings,
        figures={}, pictures=sizes.pictures, notes=peers.notes,
    )  # fmt: skip


def kernel_race(sizes: Sizes) -> Race:
    """The kernel distance over 100 subsets: ours in float64, torch-fidelity's as it gets its features."""
    x, y = _two_samples(sizes)
    size = sizes.subset_size
    functions: dict[str, Callable[[], KernelDistance]] = {
        "ours (float64)": lambda: kid(x, y, subset_size=size),
        f"{TORCH_FIDELITY} (float32)": lambda: torch_fidelity_kid(x, y, subsets=100, subset_size=size),
        f"{TORCH_FIDELITY} (float64)": lambda: torch_fidelity_kid(
            x.double(), y.double(), subsets=100, subset_size=size
        ),
    }
    timings = alternated(functions, repeats=sizes.sample_repeats, warmup=0, progress="kernel distance")
    found = timings.results
    return Race(
        title=f"Kernel distance of {sizes.sample} features a side, 100 subsets of {size}", timings=timings,
        figures={
            "mean": {name: figures.mean for name, figures in found.items()},
            "deviation": {name: figures.std for name, figures in found.items()},
        },
    )  # fmt: skip


def manifold_race(sizes: Sizes) -> Race:
    """Precision and recall; ours in float64 and in blocks, with density and coverage."""
    x, y = _two_samples(sizes)

    def ours() -> tuple[float, float]:
        found = memberships(x, y, k=NEIGHBOURS)
        return float(found.inside.double().mean()), float(found.recalled.double().mean())

    functions: dict[str, Callable[[], tuple[float, float]]] = {
        "ours (float64)": ours,
        f"{TORCH_FIDELITY} (float32)": lambda: torch_fidelity_precision_recall(x, y, k=NEIGHBOURS),
        f"{TORCH_FIDELITY} (float64)": lambda: torch_fidelity_precision_recall(
            x.double(), y.double(), k=NEIGHBOURS
        ),
    }
    timings = alternated(functions, repeats=sizes.sample_repeats, warmup=0, progress="precision and recall")
    found = timings.results
    return Race(
        title=f"Precision and recall of {sizes.sample} features a side, k = {NEIGHBOURS}", timings=timings,
        figures={
            "precision": {name: values[0] for name, values in found.items()},
            "recall": {name: values[1] for name, values in found.items()},
        },
        notes=("Ours finds density and coverage in the same pass.",),
    )  # fmt: skip


def _two_samples(sizes: Sizes) -> tuple[Tensor, Tensor]:
    x = simulated(sizes.sample, sizes.dim, seed=1)
    return x, simulated(sizes.sample, sizes.dim, seed=2, shift=0.1)


# All of it
Part = Callable[[Sizes, str], Finding]
PartName = Literal["frechet", "features", "kernel", "manifold", "agreement", "exactness"]

PARTS: Mapping[PartName, Part] = {
    "frechet": lambda sizes, _: frechet_race(sizes),
    "features": feature_race,
    "kernel": lambda sizes, _: kernel_race(sizes),
    "manifold": lambda sizes, _: manifold_race(sizes),
    "agreement": lambda sizes, device: agreement(sizes.compared, device=device),
    "exactness": lambda sizes, _: exactness(sizes.few, sizes.dim),
}
"""What the benchmark consists of, each by its sizes and the device of Inception; each runs alone, too."""


@options
class MetricsArguments:
    """Times what `brushwork measure` rests on against torch-fidelity, pytorch-fid and SciPy, and compares
    the numbers that they give. Candidates run in turn, so that what disturbs the machine hits them all.

    Example, ten minutes on a CPU (without --quick half an hour); one thread each is the fairest:
        OMP_NUM_THREADS=1 brushwork bench metrics --quick
    """

    quick: bool = False
    """Smaller sets and fewer rounds."""
    parts: tuple[PartName, ...] = ()
    """Only these; by default all."""
    out: Path = Path("runs/bench")
    """Folder for metrics.json and metrics.png, which are written anew after every part."""
    device: str = "cpu"
    """Where Inception runs; everything else is the processor's."""


def metrics(args: MetricsArguments) -> None:
    """Runs the parts, prints a table of each, writes all of them."""
    sizes, here = QUICK if args.quick else FULL, machine(PACKAGES, args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    print(here.words())
    found: dict[str, Finding] = {}
    plotted = False
    for part in Progress(args.parts or tuple(PARTS), desc="bench metrics"):
        found[part] = PARTS[part](sizes, args.device)
        Progress.write(f"\n{markdown(found[part].table())}", file=sys.stdout)
        write_rounds(args.out / "metrics.json", here, asdict(sizes), found)
        plotted = plot(args.out / "metrics.png", found)
    print(f"\nAll rounds: {args.out / 'metrics.json'}" + ", plot: metrics.png beside it" * plotted)


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(MetricsArguments, metrics)


if __name__ == "__main__":
    main()
