"""The benchmark `data`: how many images a second one core decodes, transforms and collects into batches.

Compared with the images a second of `bench train`, it tells whether training waits for its data.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import tyro

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.loader import (
    Loader,
    LoaderConfig,
    Pictures,
    StoredPictures,
    describe,
    load_pictures,
    stored_pictures,
)
from brushwork.data.sources.toy import write_toy
from brushwork.models.options import Batch, Count, options
from brushwork.scripts.bench.harness import Comparison, compare, machine
from brushwork.scripts.bench.report import write_report
from brushwork.scripts.cli import parse_and_run

TOY_STYLES, TOY_SUBJECTS, TOY_RESOLUTION = 6, 100, 64
"""Of the data set that is packed if none is given."""


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
    batch: Batch = 32
    """Images in a batch."""
    batches: Count = 50
    """Batches in each round."""
    repeats: Count = 8
    """Rounds, after one to warm up."""
    out: Path = Path("runs/bench")
    """Folder for data.json and data.md."""


# The data set
@dataclass(frozen=True, kw_only=True)
class Source:
    """A packed data set."""

    path: Path
    copies: Path | None = None
    """Where `datasets` keeps its copy of the rows; None: in its own cache folder."""


@contextmanager
def source(dataset: Path | None) -> Iterator[Source]:
    """The given data set, or toy images packed in a temporary folder.

    Raises DataError if `dataset` is not a packed data set.
    """
    if dataset is not None:
        describe(dataset)
        yield Source(path=dataset)
        return
    with TemporaryDirectory(prefix="brushwork-bench-", ignore_cleanup_errors=True) as folder:
        toy, packed = Path(folder) / "toy", Path(folder) / "packed"
        write_toy(toy, styles=TOY_STYLES, subjects=TOY_SUBJECTS, size=TOY_RESOLUTION)
        pack(toy, packed, PackConfig(resolution=TOY_RESOLUTION))
        yield Source(path=packed, copies=Path(folder) / "copies")


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits PyTorch to one thread within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Comparisons
def compare_batches(pictures: Pictures, args: DataArguments) -> Comparison:
    """Times batches of decoded images with each of the loader's options."""
    functions = {"as they are": _batches(pictures, LoaderConfig(), args)}
    if pictures.resolution % 2 == 0:
        half = pictures.resolution // 2
        functions[f"halved to {half} px"] = _batches(pictures, LoaderConfig(), args, resolution=half)
    for name, config in {
        "flipped": LoaderConfig(flip=True),
        "balanced": LoaderConfig(balanced=True),
    }.items():
        functions[name] = _batches(pictures, config, args)
    return compare(
        f"{args.batches} batches of {args.batch} pictures of {pictures.resolution} px from memory",
        functions, repeats=args.repeats, images=args.batches * args.batch,
    )  # fmt: skip


def compare_decoding(origin: Source, pictures: Pictures, args: DataArguments) -> Comparison:
    """Times one epoch from memory, where `pictures` are, and from the Parquet files."""
    stored = stored_pictures(origin.path, "all", copies=origin.copies)
    functions: dict[str, Callable[[], object]] = {
        "batches from memory": _epoch(pictures, args.batch),
        "decoded at once": lambda: load_pictures(origin.path, "all"),
        "batches, cache off": _epoch(stored, args.batch),
    }
    return compare(
        f"All {len(pictures)} pictures of {pictures.resolution} px, batches of {args.batch}",
        functions, repeats=args.repeats, images=len(pictures),
        notes=["Decoded at once is what a run does before its first step; cache off decodes every batch."],
    )  # fmt: skip


def _batches(
    pictures: Pictures, config: LoaderConfig, args: DataArguments, *, resolution: int | None = None
) -> Callable[[], None]:
    loader = Loader(pictures, config, seed=0)

    def run() -> None:
        for number in range(args.batches):
            loader.batch_at(number * args.batch, args.batch, resolution=resolution)

    return run


def _epoch(pictures: Pictures | StoredPictures, batch: int) -> Callable[[], None]:
    """Loads every image once; the last batch may be smaller."""
    loader = Loader(pictures, seed=0)

    def run() -> None:
        for start in range(0, len(pictures), batch):
            loader.batch_at(start, min(batch, len(pictures) - start))

    return run


def bench_data(args: DataArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    with one_thread(), source(args.dataset) as origin:
        pictures = load_pictures(origin.path, "all")
        args.out.mkdir(parents=True, exist_ok=True)
        here = machine(("torch", "pillow", "pyarrow", "datasets"))
        parts = {
            "batches": compare_batches(pictures, args),
            "decoding": compare_decoding(origin, pictures, args),
        }
    name = "toy pictures, packed for this" if args.dataset is None else args.dataset.name
    head = f"{here.describe()}\n\nData set: {name}, {len(pictures)} pictures of {pictures.resolution} px"
    sizes = {
        "batch": args.batch, "batches": args.batches, "repeats": args.repeats, "data": name,
        "pictures": len(pictures), "resolution": pictures.resolution,
    }  # fmt: skip
    print(write_report(args.out, "data", here, sizes, parts, head=head))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(DataArguments, bench_data)
