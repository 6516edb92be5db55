"""The benchmark `sample`: images a second of generating, of encoding as PNG, and of both at once."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from einops import rearrange
from torch import Tensor

from brushwork.data.writing import free_cores, save_image, write_images
from brushwork.models.generator import Generator
from brushwork.models.options import Count, DeviceName, options, resolve_device
from brushwork.models.sampling import Precision, sample_batches, style_codes
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Comparison, Table, alternated, machine, report
from brushwork.scripts.cli import parse_and_run
from brushwork.training.presets import PRESETS
from brushwork.training.speed import faster_precision

STYLES = 6
"""Styles of a preset's generator, whose data set is not read."""
BATCHES = (1, 16, 64)
THREADS = (1, 2, 4)
"""Threads that encode."""
GENERATED = 64
"""Images of a round in which only generating is timed."""


@options
class SampleArguments:
    """Times generating images in batches of several sizes, encoding them as PNG by several threads, and both
    together, one after the other and at once as brushwork sample does.

    Examples, a minute on a CPU:
        brushwork bench sample emoji-32
        brushwork bench sample runs/emoji-32 --pictures 1024
    """

    source: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot, a Hub repository, or a preset, whose network has fresh weights."""
    pictures: Count = 256
    """Images in each round of encoding; generating alone is timed on 64 at most."""
    repeats: Count = 5
    """Rounds, after one to warm up."""
    device: DeviceName = "auto"
    """Device of the network: auto, cpu, cuda, cuda:N or mps."""
    out: Path = Path("runs/bench")
    """Folder for sample.json and sample.md."""


# What is timed
def generator_for(source: str, device: torch.device) -> Generator:
    """A preset's generator with fresh weights, or that of a run, a snapshot or a Hub repository.

    Raises ModelError if there is no such run.
    """
    if source not in PRESETS:
        return load_generator(source, device=str(device))
    config = PRESETS[source][1].generator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config, tuple(f"style {number}" for number in range(STYLES)))
    return generator.eval().requires_grad_(False).to(device)


def generated_batches(
    generator: Generator, count: int, batch: int, precision: Precision = "fp32"
) -> Iterator[np.ndarray]:
    """Batches of uint8 images (N, H, W, 3), `count` in total, of every style in turn."""
    styles = torch.eye(len(generator.style_names)) if generator.style_names else torch.zeros(1, 0)

    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, styles, seeds)

    seeds, cells = torch.arange(-(-count // len(styles))), torch.arange(count)
    for _, images in sample_batches(generator, codes, styles, seeds, cells, batch=batch, precision=precision):
        yield rearrange(images, "n c h w -> n h w c").numpy()


Batches = Iterator[tuple[Sequence[Path], np.ndarray]]


def files_written(write: Callable[[Batches], object], batches: Callable[[], Iterator[np.ndarray]]) -> int:
    """Lets `write` write batches to a temporary folder, and returns the number of files in it."""
    with tempfile.TemporaryDirectory() as folder:

        def named() -> Batches:
            before = 0
            for images in batches():
                yield [Path(folder, f"{before + i}.png") for i in range(len(images))], images
                before += len(images)

        write(named())
        return len(list(Path(folder).iterdir()))


def write_in_turn(batches: Batches) -> None:
    """Writes each batch before the next is generated."""
    for paths, images in batches:
        for path, pixels in zip(paths, images, strict=True):
            save_image(path, pixels)


# Candidates
Candidates = dict[str, Callable[[], int]]
"""Functions that return how many images they generated or wrote, by name."""


def generating(generator: Generator, count: int) -> Candidates:
    """Every batch size, in float32 and in bf16 if it is faster here."""
    precisions: list[Precision] = ["fp32"]
    if faster_precision(generator.synthesis.start.device) == "bf16":
        precisions.append("bf16")

    def generate(batch: int, precision: Precision) -> int:
        return sum(map(len, generated_batches(generator, count, batch, precision)))

    return {
        f"{precision}, {batch} at once": partial(generate, batch, precision)
        for precision in precisions
        for batch in BATCHES
    }


def encoding(generator: Generator, count: int) -> Candidates:
    """The same images as PNG files by several numbers of threads."""
    batches = list(generated_batches(generator, count, max(BATCHES)))
    return {
        f"{number} thread{'s' if number > 1 else ''}": partial(
            files_written, partial(write_images, threads=number), lambda: iter(batches)
        )
        for number in THREADS
    }


def generating_and_encoding(generator: Generator, count: int) -> Candidates:
    """Both one after the other, and at once."""
    generate, threads = partial(generated_batches, generator, count, max(BATCHES)), free_cores()
    return {
        "one after the other": partial(files_written, write_in_turn, generate),
        f"at once, {threads} encoding": partial(
            files_written, partial(write_images, threads=threads), generate
        ),
    }


def tables(generator: Generator, args: SampleArguments) -> Iterator[tuple[str, Table]]:
    """Measures, and makes the parts of the report."""
    for function, count in (
        (generating, min(GENERATED, args.pictures)),
        (encoding, args.pictures),
        (generating_and_encoding, args.pictures),
    ):
        name = function.__name__
        timings = alternated(function(generator, count), repeats=args.repeats, progress=name)
        title = f"{name.capitalize().replace('_', ' ')} {count} images"
        yield name, Comparison(title=title, timings=timings, images=count).table


def bench_sample(args: SampleArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    device = resolve_device(args.device)
    generator, here = generator_for(args.source, device), machine(("torch", "pillow"), device)
    head = f"{args.source}, {generator.trained_stage.resolution} px; {here.describe()}"
    sizes = {"source": args.source, "pictures": args.pictures, "repeats": args.repeats}
    report(args.out / "sample", here, sizes, tables(generator, args), head=head)


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(SampleArguments, bench_sample)
