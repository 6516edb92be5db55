"""The benchmark `data`: how many images a second one core decodes and collects into batches.

Compared with the images a second of `bench train`, it tells whether training waits for its data.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import tyro

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.loader import (
    ImageDataset,
    Loader,
    LoaderConfig,
    StoredDataset,
    load_dataset,
    stored_dataset,
)
from brushwork.models.options import BatchSize, Count, options
from brushwork.scripts.bench.harness import Comparison, Table, alternated, machine, report
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.cli import parse_and_run

PACKAGES = ("torch", "pillow", "pyarrow", "datasets")
TOY_STYLES, TOY_SUBJECTS, TOY_RESOLUTION = 6, 100, 64
"""The data set that is packed if none is given."""


@options
class DataArguments:
    """Times the data pipeline of a run on one thread: batches from memory as they are, halved, flipped
    and balanced, and decoding of a packed data set.

    Examples, a minute on a CPU:
        brushwork bench data
        brushwork bench data datasets/emoji-32 --batch 16
    """

    dataset: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")] = None
    """Packed data set, of which all splits are used; by default toy images of 64 px."""
    batch: BatchSize = 32
    """Images in a batch."""
    batches: Count = 50
    """Batches in each round."""
    repeats: Count = 8
    """Rounds, after one to warm up."""
    out: Path = Path("runs/bench")
    """Folder for data.json and data.md."""


# Comparisons
Spans = Sequence[tuple[int, int]]
"""The first image and the number of images of each batch."""


def loads(
    pictures: ImageDataset | StoredDataset, spans: Spans, config: LoaderConfig, resolution: int | None = None
) -> Callable[[], None]:
    """A function that loads these batches."""
    loader = Loader(pictures, config, seed=0)

    def run() -> None:
        for nimg, count in spans:
            loader.batch_at(nimg, count, resolution=resolution)

    return run


def compare_batches(pictures: ImageDataset, args: DataArguments) -> Comparison:
    """Times batches of decoded images with each of the loader's options."""
    spans, plain = [(number * args.batch, args.batch) for number in range(args.batches)], LoaderConfig()
    functions = {"as they are": loads(pictures, spans, plain)}
    if pictures.resolution % 2 == 0:
        half = pictures.resolution // 2
        functions[f"halved to {half} px"] = loads(pictures, spans, plain, half)
    functions |= {
        "flipped": loads(pictures, spans, LoaderConfig(flip=True)),
        "balanced": loads(pictures, spans, LoaderConfig(balanced=True)),
    }
    return Comparison(
        title=f"{args.batches} batches of {args.batch} images of {pictures.resolution} px from memory",
        timings=alternated(functions, repeats=args.repeats, progress="batches"),
        images=args.batches * args.batch,
    )  # fmt: skip


def compare_decoding(
    dataset: Path, pictures: ImageDataset, args: DataArguments, copies: Path | None = None
) -> Comparison:
    """Times one epoch from memory, where `images` are, and from the Parquet files of `dataset`.

    The library `datasets` keeps its copy of the rows in `copies`; None: in its own cache folder.
    """
    count, stored = len(pictures), stored_dataset(dataset, "all", copies=copies)
    spans = [(start, min(args.batch, count - start)) for start in range(0, count, args.batch)]
    functions: dict[str, Callable[[], object]] = {
        "batches from memory": loads(pictures, spans, LoaderConfig()),
        "decoded at once": lambda: load_dataset(dataset, "all"),
        "batches, cache off": loads(stored, spans, LoaderConfig()),
    }
    return Comparison(
        title=f"All {count} images of {pictures.resolution} px, batches of {args.batch}",
        timings=alternated(functions, repeats=args.repeats, progress="decoding"), images=count,
        notes=("Decoded at once is what a run does before its first step; cache off decodes every batch.",),
    )  # fmt: skip


@contextmanager
def opened(args: DataArguments) -> Iterator[tuple[Path, Path | None]]:
    """The given data set, or toy images that are packed for the time of the context; and a folder for copies
    of its rows (None: the library's own)."""
    if args.dataset is not None:
        yield args.dataset, None
        return
    with TemporaryDirectory(prefix="brushwork-bench-", ignore_cleanup_errors=True) as folder:
        yield _pack_toy(Path(folder)), Path(folder) / "copies"


def tables(args: DataArguments) -> Iterator[tuple[str, Table]]:
    """Measures, and makes the parts of the report.

    Raises DataError if `args.dataset` is not a packed data set.
    """
    with opened(args) as (dataset, copies):
        pictures = load_dataset(dataset, "all")
        yield "batches", compare_batches(pictures, args).table
        yield "decoding", compare_decoding(dataset, pictures, args, copies).table


def bench_data(args: DataArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    torch.set_num_threads(1)
    here, name = machine(PACKAGES), args.dataset.name if args.dataset else "toy images, packed for this"
    sizes = {"batch": args.batch, "batches": args.batches, "repeats": args.repeats, "data": name}
    report(args.out / "data", here, sizes, tables(args), head=f"{here.describe()}\n\nData set: {name}")


def _pack_toy(folder: Path) -> Path:
    write_toy(folder / "toy", styles=TOY_STYLES, subjects=TOY_SUBJECTS, size=TOY_RESOLUTION)
    pack(folder / "toy", folder / "packed", PackConfig(resolution=TOY_RESOLUTION))
    return folder / "packed"


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(DataArguments, bench_data)
