"""The door `brushwork bench data`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.loader import load_pictures
from brushwork.eval.benchmark import Finding, machine
from brushwork.eval.benchmark_report import plot, write_findings
from brushwork.eval.data_benchmark import Sizes, Toy, batches, decoding, one_thread, source
from brushwork.models.options import Batch, Count, options


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


def main(args: DataArguments) -> None:
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


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(DataArguments, main)


if __name__ == "__main__":
    door()
