"""Small collections: augmentation and transfer on equal budgets (docs/small-collections.md)."""

from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from brushwork.models.options import Count, Duration, options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments import across_collections

VARIANTS = ("default", "diffaugment", "ada", "transfer", "transfer-frozen", "transfer-ada")
"""In runs of minutes, `train auto` is the first of these, and transfer-frozen with `--start-from`."""


@options
class Arguments:
    """Trains the preset emoji-32 on few images of each style: as it is, with DiffAugment, with ADA, and from
    a run on another collection.

    Stopped, the same command goes on. Seven hours on two cores, and a try of ten minutes:
        brushwork reproduce small
        brushwork reproduce small --images 60 --seeds 1 --minutes 0.5
    """

    collections: tuple[str, ...] = ("solar", "photographs")
    """Collections of `brushwork reproduce across-collections`."""
    images: tuple[Annotated[int, Interval(ge=4, le=10**6)], ...] = (60, 200)
    """Images of each style."""
    seeds: Count = 3
    """Runs of each variant, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Minutes of training for each run, in one thread."""
    workers: Annotated[int, Interval(ge=1, le=1024)] = 2
    """Runs side by side."""
    data: Path = Path("datasets")
    """Folder of the collections; missing ones are fetched and packed."""
    out: Path = Path("runs/small")
    """Folder of the runs, with a folder for each number of images."""


def run_experiment(args: Arguments) -> None:
    """Runs the experiment for each number of images; the runs that others start from are shared."""
    for images in args.images:
        print(f"{images} images of each style:", flush=True)
        across_collections.run_experiment(
            across_collections.Arguments(
                collections=args.collections, variants=VARIANTS, images=images, seeds=args.seeds,
                minutes=args.minutes, workers=args.workers, data=args.data, out=args.out / f"{images}-images",
                sources=args.out / "sources",
            )
        )  # fmt: skip


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
