"""The benchmark `sample`: how fast pictures are drawn, encoded, and both at once."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

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
from brushwork.scripts.bench.harness import Finding, Race, Table, alternated, machine, peak_memory
from brushwork.scripts.bench.report import plot, write_findings
from brushwork.training.calibration import faster_precision
from brushwork.training.errors import TrainingError
from brushwork.training.presets import PRESETS

STYLES = 6
"""Of a preset's generator, whose data set is not looked at."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many pictures are drawn, how."""

    pictures: int = 256
    drawn: int = 64
    """Pictures of a round in which only drawing is timed."""
    batches: tuple[int, ...] = (1, 16, 64)
    threads: tuple[int, ...] = (1, 2, 4)
    """Of encoding."""
    repeats: int = 5


# What is drawn
def generator_for(source: str, device: str) -> Generator:
    """A preset's generator with fresh weights, else that of a run, a snapshot or a Hub repository.

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


def drawn_batches(
    generator: Generator, count: int, batch: int, precision: Precision = "fp32"
) -> Iterator[np.ndarray]:
    """Pictures (n, h, w, 3) of every style in turn, `count` together."""
    styles = torch.eye(len(generator.style_names)) if generator.style_names else torch.zeros(1, 0)

    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, styles, seeds)

    seeds, cells = torch.arange(-(-count // len(styles))), torch.arange(count)
    for some in sample_batches(generator, codes, styles, seeds, cells, batch=batch, precision=precision):
        yield rearrange(some.images, "n c h w -> n h w c").numpy()


def with_paths(folder: Path, batches: Iterator[np.ndarray]) -> Iterator[tuple[Sequence[Path], np.ndarray]]:
    """Each picture with the name of its number."""
    before = 0
    for pictures in batches:
        yield [folder / f"{before + i}.png" for i in range(len(pictures))], pictures
        before += len(pictures)


# Races
def drawing(generator: Generator, sizes: Sizes) -> Race:
    """Every size of batch, in every precision that is worth it here."""
    device = generator.synthesis.start.device
    faster = faster_precision(device)
    precisions: list[Precision] = ["fp32"] if faster == "fp32" else ["fp32", faster]

    def draw(batch: int, precision: Precision) -> Callable[[], int]:
        return lambda: sum(map(len, drawn_batches(generator, sizes.drawn, batch, precision)))

    functions = {
        f"{precision}, {batch} at once": draw(batch, precision)
        for precision in precisions
        for batch in sizes.batches
    }
    note = "" if len(precisions) > 1 else "bf16 is left out: a convolution is not faster in it here."
    return _race(f"Drawing {sizes.drawn} pictures", functions, sizes.drawn, sizes, *([note] if note else []))


def encoding(generator: Generator, sizes: Sizes) -> Race:
    """The same pictures as PNG to a temporary folder, by so many threads."""
    batches = list(drawn_batches(generator, sizes.pictures, max(sizes.batches)))

    def encode(threads: int) -> Callable[[], int]:
        def run() -> int:
            with tempfile.TemporaryDirectory() as folder:
                write_pictures(with_paths(Path(folder), iter(batches)), threads=threads)
                return len(list(Path(folder).iterdir()))

        return run

    functions = {f"{count} thread{'s' if count > 1 else ''}": encode(count) for count in sizes.threads}
    return _race(f"Encoding {sizes.pictures} pictures", functions, sizes.pictures, sizes)


def to_disk(generator: Generator, sizes: Sizes) -> Race:
    """Drawing and encoding, one after the other and at once."""
    batch, threads = max(sizes.batches), free_cores()

    def drawn_into(folder: str) -> Iterator[tuple[Sequence[Path], np.ndarray]]:
        return with_paths(Path(folder), drawn_batches(generator, sizes.pictures, batch))

    def after() -> int:
        with tempfile.TemporaryDirectory() as folder:
            for paths, pictures in drawn_into(folder):
                for path, pixels in zip(paths, pictures, strict=True):
                    save_picture(path, pixels)
            return len(list(Path(folder).iterdir()))

    def at_once() -> int:
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(drawn_into(folder), threads=threads)
            return len(list(Path(folder).iterdir()))

    functions = {"one after the other": after, f"at once, {threads} encoding": at_once}
    title = f"Drawing and encoding {sizes.pictures} pictures, in batches of {batch}"
    return _race(title, functions, sizes.pictures, sizes)


def _race(
    title: str, functions: dict[str, Callable[[], int]], pictures: int, sizes: Sizes, *notes: str
) -> Race:
    timings = alternated(functions, repeats=sizes.repeats, progress=title)
    return Race(
        title=title, timings=timings, figures={}, pictures=pictures, yardstick=next(iter(functions)),
        notes=notes,
    )  # fmt: skip


# Memory
@dataclass(frozen=True, kw_only=True)
class Memory:
    """The most that the process held, in MB."""

    before: float
    """With the network, before anything was drawn."""
    peak: float

    def table(self) -> Table:
        row = ("this process", f"{self.before:.0f}", f"{self.peak:.0f}")
        return Table(title="Memory", header=("", "MB before", "peak MB"), rows=(row,))

    def to_json(self) -> dict[str, Any]:
        return {"before": self.before, "peak": self.peak}


def benchmark(generator: Generator, sizes: Sizes) -> dict[str, Finding]:
    """All races, then the memory that they took."""
    before = peak_memory()
    found: dict[str, Finding] = {
        "drawing": drawing(generator, sizes),
        "encoding": encoding(generator, sizes),
        "to_disk": to_disk(generator, sizes),
    }
    return {**found, "memory": Memory(before=before, peak=peak_memory())}


@options
class SampleBenchArguments:
    """Times drawing pictures in batches of several sizes, encoding them as PNG by several threads, and both
    together, one after the other and at once as brushwork sample does.

    Examples, a minute on a CPU:
        brushwork bench sample emoji-32
        brushwork bench sample runs/emoji-32 --pictures 1024
    """

    source: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot, a Hub repository, or a preset, whose network has fresh weights."""
    pictures: Count = Sizes.pictures
    """In each round of encoding; drawing alone is timed on 64 at most."""
    repeats: Count = Sizes.repeats
    """Rounds after the first, in which everything has its turn."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network runs."""
    out: Path = Path("runs/bench")
    """Folder for sample.json, sample.md and sample.png."""


def bench_sample(args: SampleBenchArguments) -> None:
    """Measures, prints a table of each part, writes all of them."""
    sizes = Sizes(pictures=args.pictures, drawn=min(Sizes.drawn, args.pictures), repeats=args.repeats)
    generator, here = generator_for(args.source, args.device), machine(("torch", "pillow"), args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    found = benchmark(generator, sizes)
    words = f"{args.source}, {generator.trained_stage.resolution} px; {here.words()}"
    about = {**asdict(sizes), "source": args.source}
    text = write_findings(args.out, "sample", here, about, found, head=words)
    plot(args.out / "sample.png", found)
    print(f"{text}\n")
    print(f"All rounds: {args.out / 'sample.json'}; sample.md, sample.png beside it")


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(SampleBenchArguments, bench_sample)


if __name__ == "__main__":
    main()
