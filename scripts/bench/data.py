"""The benchmark `data`: how many pictures a second one core decodes, moves and puts into batches.

Whether training waits for its data follows from that, beside the pictures a second of `bench train`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from brushwork.scripts.bench.harness import Finding, Race, alternated, machine
from brushwork.scripts.bench.report import plot, write_findings

MOVES = LoaderConfig(rotate=15.0, scale=0.1, shift=0.1, crop=0.1)
AS_THEY_ARE, FROM_MEMORY = "as they are", "batches from memory"


@options
class Sizes:
    """How much of what is timed."""

    batch: Batch = 32
    batches: Count = 50
    """In each run, which makes it long enough for the clock."""
    repeats: Count = 8
    """Rounds, after one to warm up."""


@dataclass(frozen=True, kw_only=True)
class Toy:
    """The data set that is packed where none is given."""

    styles: int = 6
    subjects: int = 100
    resolution: int = 64


# What is timed
@dataclass(frozen=True, kw_only=True)
class Source:
    """A packed data set."""

    path: Path
    copies: Path | None = None
    """Where `datasets` keeps its copy of the rows; None: in its own cache folder."""


@contextmanager
def source(dataset: Path | None, toy: Toy) -> Iterator[Source]:
    """The data set at hand, or toy pictures packed in a folder that vanishes afterwards.

    Raises DataError where `dataset` is no packed data set.
    """
    if dataset is not None:
        describe(dataset)
        yield Source(path=dataset)
        return
    with TemporaryDirectory(prefix="brushwork-bench-", ignore_cleanup_errors=True) as folder:
        drawn, packed = Path(folder) / "toy", Path(folder) / "packed"
        write_toy(drawn, styles=toy.styles, subjects=toy.subjects, size=toy.resolution)
        pack(drawn, packed, PackConfig(resolution=toy.resolution))
        yield Source(path=packed, copies=Path(folder) / "copies")


@contextmanager
def one_thread() -> Iterator[None]:
    """Figures are those of one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# The races
def batches(pictures: Pictures, sizes: Sizes) -> Race:
    """Batches of decoded pictures, as the loader's options make them."""
    plain = _batches_of(pictures, LoaderConfig(), sizes)
    ways: dict[str, Callable[[], object]] = {AS_THEY_ARE: plain}
    if pictures.resolution % 2 == 0:
        half = pictures.resolution // 2
        ways[f"halved to {half} px"] = _batches_of(pictures, LoaderConfig(), sizes, resolution=half)
    for name, config in {
        "flipped": LoaderConfig(flip=True),
        "moved": MOVES,
        "balanced": LoaderConfig(balanced=True),
    }.items():
        ways[name] = _batches_of(pictures, config, sizes)
    return Race(
        title=f"{sizes.batches} batches of {sizes.batch} pictures of {pictures.resolution} px from memory",
        timings=alternated(ways, repeats=sizes.repeats, progress="batches"), figures={},
        pictures=sizes.batches * sizes.batch, yardstick=AS_THEY_ARE,
        notes=(f"Moved: turned by up to {MOVES.rotate:g} degrees, {MOVES.scale:.0%} larger or smaller, "
               f"shifted by up to {MOVES.shift:.0%}, cropped by up to {MOVES.crop:.0%}, in one resampling.",),
    )  # fmt: skip


def decoding(origin: Source, pictures: Pictures, sizes: Sizes) -> Race:
    """The whole data set once: out of memory, where `pictures` are, and out of its Parquet files."""
    stored = stored_pictures(origin.path, "all", copies=origin.copies)
    ways: dict[str, Callable[[], object]] = {
        FROM_MEMORY: _epoch_of(pictures, sizes),
        "decoded at once": lambda: load_pictures(origin.path, "all"),
        "batches, cache off": _epoch_of(stored, sizes),
    }
    return Race(
        title=f"All {len(pictures)} pictures of {pictures.resolution} px, batches of {sizes.batch}",
        timings=alternated(ways, repeats=sizes.repeats, progress="decoding"), figures={},
        pictures=len(pictures), yardstick=FROM_MEMORY,
        notes=("Decoded at once is what a run does before its first step; cache off decodes every batch.",),
    )  # fmt: skip


def _batches_of(
    pictures: Pictures, config: LoaderConfig, sizes: Sizes, *, resolution: int | None = None
) -> Callable[[], None]:
    loader = Loader(pictures, config, seed=0)

    def act() -> None:
        for number in range(sizes.batches):
            loader.batch_at(number * sizes.batch, sizes.batch, resolution=resolution)

    return act


def _epoch_of(pictures: Pictures | StoredPictures, sizes: Sizes) -> Callable[[], None]:
    """Every picture once; the last batch is smaller where they do not divide."""
    loader = Loader(pictures, seed=0)

    def act() -> None:
        for start in range(0, len(pictures), sizes.batch):
            loader.batch_at(start, min(sizes.batch, len(pictures) - start))

    return act


@options
class DataArguments:
    """Times what feeds a run, on one thread: batches from memory as they are, halved, flipped, moved and
    balanced, and the decoding of packed pictures.

    Examples, a minute on a CPU:
        brushwork bench data
        brushwork bench data datasets/emoji-32 --batch 16
    """

    dataset: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")] = None
    """Packed data set, of which all splits are timed; without one, toy pictures of 64 px."""
    batch: Batch = Sizes.batch
    """Pictures in a batch."""
    batches: Count = Sizes.batches
    """Batches in each run of what is timed."""
    repeats: Count = Sizes.repeats
    """Rounds after the first, in which everything has its turn."""
    out: Path = Path("runs/bench")
    """Folder for data.json, data.md and data.png."""


def bench_data(args: DataArguments) -> None:
    """Measures, prints two tables, writes them with all rounds and a plot."""
    sizes = Sizes(batch=args.batch, batches=args.batches, repeats=args.repeats)
    with one_thread(), source(args.dataset, Toy()) as origin:
        pictures = load_pictures(origin.path, "all")
        args.out.mkdir(parents=True, exist_ok=True)
        here = machine(("torch", "pillow", "pyarrow", "datasets"))
        found: dict[str, Finding] = {
            "batches": batches(pictures, sizes),
            "decoding": decoding(origin, pictures, sizes),
        }
    drawn = "toy pictures, packed for this" if args.dataset is None else args.dataset.name
    head = f"{here.words()}\n\nData set: {drawn}, {len(pictures)} pictures of {pictures.resolution} px"
    about = {"data": drawn, "pictures": len(pictures), "resolution": pictures.resolution}
    text = write_findings(args.out, "data", here, asdict(sizes) | about, found, head=head)
    plot(args.out / "data.png", found)
    print(f"{text}\n")
    print(f"All rounds: {args.out / 'data.json'}; data.md, data.png beside it")


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(DataArguments, bench_data)


if __name__ == "__main__":
    main()
