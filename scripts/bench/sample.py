"""The benchmark `sample`: images a second of generating, of encoding as PNG, and of both at once."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from einops import rearrange
from torch import Tensor

from brushwork.data.writing import free_cores, save_picture, write_pictures
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.options import Count, options
from brushwork.models.sampling import Precision, sample_batches, style_codes
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Comparison, Finding, Part, Table, compare, machine, peak_memory
from brushwork.scripts.bench.report import write_report
from brushwork.scripts.cli import parse_and_run
from brushwork.training.errors import TrainingError
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
class SampleBenchArguments:
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
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of the network."""
    out: Path = Path("runs/bench")
    """Folder for sample.json and sample.md."""


# What is timed
def generator_for(source: str, device: str) -> Generator:
    """A preset's generator with fresh weights, or that of a run, a snapshot or a Hub repository.

    Raises:
        ModelError: there is no such run or device.
        TrainingError: the name is neither a preset nor a run.
    """
    if source not in PRESETS:
        try:
            return load_generator(source, device=device)
        except ModelError as error:
            if Path(source).exists():
                raise
            raise TrainingError(f"{error} The presets are {', '.join(PRESETS)}.") from error
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
    for part in sample_batches(generator, codes, styles, seeds, cells, batch=batch, precision=precision):
        yield rearrange(part.images, "n c h w -> n h w c").numpy()


def with_paths(folder: Path, batches: Iterator[np.ndarray]) -> Iterator[tuple[Sequence[Path], np.ndarray]]:
    """Batches with the file names of their images: 0.png, 1.png, ..."""
    before = 0
    for images in batches:
        yield [folder / f"{before + i}.png" for i in range(len(images))], images
        before += len(images)


def in_folder(write: Callable[[Path], object]) -> int:
    """Runs `write` on a temporary folder and returns the number of files in it."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return len(list(Path(folder).iterdir()))


# Comparisons
def compare_generating(generator: Generator, count: int, repeats: int) -> Comparison:
    """Times every batch size, in float32 and in bf16 if it is faster here."""
    faster = faster_precision(generator.synthesis.start.device)
    precisions: list[Precision] = ["fp32"] if faster == "fp32" else ["fp32", faster]

    def generate(batch: int, precision: Precision) -> Callable[[], int]:
        return lambda: sum(map(len, generated_batches(generator, count, batch, precision)))

    functions = {
        f"{precision}, {batch} at once": generate(batch, precision)
        for precision in precisions
        for batch in BATCHES
    }
    notes = ["bf16 is left out: a convolution is not faster in it here."] if faster == "fp32" else []
    return compare(f"Generating {count} pictures", functions, repeats=repeats, images=count, notes=notes)


def compare_encoding(generator: Generator, count: int, repeats: int) -> Comparison:
    """Times encoding the same images as PNG files by several numbers of threads."""
    batches = list(generated_batches(generator, count, max(BATCHES)))

    def encode(threads: int) -> Callable[[], int]:
        return lambda: in_folder(
            lambda folder: write_pictures(with_paths(folder, iter(batches)), threads=threads)
        )

    functions = {f"{number} thread{'s' if number > 1 else ''}": encode(number) for number in THREADS}
    return compare(f"Encoding {count} pictures", functions, repeats=repeats, images=count)


def compare_both(generator: Generator, count: int, repeats: int) -> Comparison:
    """Times generating and encoding, one after the other and at once."""
    batch, threads = max(BATCHES), free_cores()

    def generated(folder: Path) -> Iterator[tuple[Sequence[Path], np.ndarray]]:
        return with_paths(folder, generated_batches(generator, count, batch))

    def in_turn(folder: Path) -> None:
        for paths, images in generated(folder):
            for path, pixels in zip(paths, images, strict=True):
                save_picture(path, pixels)

    functions = {
        "one after the other": lambda: in_folder(in_turn),
        f"at once, {threads} encoding": lambda: in_folder(
            lambda folder: write_pictures(generated(folder), threads=threads)
        ),
    }
    title = f"Generating and encoding {count} pictures, in batches of {batch}"
    return compare(title, functions, repeats=repeats, images=count)


def bench_sample(args: SampleBenchArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    generator, here = generator_for(args.source, args.device), machine(("torch", "pillow"), args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    before, generated = peak_memory(), min(GENERATED, args.pictures)
    parts: dict[str, Part] = {
        "generating": compare_generating(generator, generated, args.repeats),
        "encoding": compare_encoding(generator, args.pictures, args.repeats),
        "to_disk": compare_both(generator, args.pictures, args.repeats),
    }
    peak = peak_memory()
    row = ("this process", f"{before:.0f}", f"{peak:.0f}")
    memory = Table(title="Memory", header=("", "MB before", "peak MB"), rows=(row,))
    parts["memory"] = Finding(table=memory, data={"before": before, "peak": peak})
    head = f"{args.source}, {generator.trained_stage.resolution} px; {here.describe()}"
    sizes = {
        "source": args.source, "pictures": args.pictures, "generated": generated, "repeats": args.repeats,
        "batches": BATCHES, "threads": THREADS,
    }  # fmt: skip
    print(write_report(args.out, "sample", here, sizes, parts, head=head))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(SampleBenchArguments, bench_sample)
