"""Small collections: augmentation and transfer on equal budgets (docs/small-collections.md)."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from brushwork.models.options import Count, Duration, options
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments import across_collections
from brushwork.scripts.experiments.collection_report import brief_table
from brushwork.scripts.experiments.documented import RESULTS, write_results

VARIANTS = ("default", "diffaugment", "ada", "transfer", "transfer-frozen", "transfer-ada")
"""In runs of minutes, `train auto` is the first of these, and transfer-frozen with `--start-from`."""


@options
class Arguments:
    """Trains the preset emoji-32 on few images of each style: as it is, with DiffAugment, with ADA, and from
    a run on another collection. The tables have all runs that are complete.

    Stopped, the same command goes on. Seven hours on two cores, and a try of ten minutes:
        brushwork reproduce small
        brushwork reproduce small --images 60 --seeds 1 --minutes 0.5
    """

    collections: tuple[str, ...] = ("solar", "photographs")
    """Collections of `brushwork reproduce across-collections`."""
    images: tuple[Annotated[int, Interval(ge=4, le=10**6)], ...] = (60, 200)
    """Images of each style."""
    variants: tuple[str, ...] = VARIANTS
    """Variants to train, of `brushwork reproduce across-collections`."""
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
    results: Path = RESULTS
    """Folder of small.json; the documents above it get the tables."""


def run_experiment(args: Arguments) -> None:
    """Runs the experiment for each number of images; the runs that others start from are shared."""
    tables: dict[str, Table] = {}
    for images in args.images:
        print(f"{images} images of each style:", flush=True)
        inner = across_collections.Arguments(
            collections=args.collections, variants=args.variants, images=images, seeds=args.seeds,
            minutes=args.minutes, workers=args.workers, data=args.data, out=args.out / f"{images}-images",
            sources=args.out / "sources",
        )  # fmt: skip
        across_collections.run_experiment(inner)
        known = tuple(dict.fromkeys([*VARIANTS, *args.variants]))
        results = across_collections.complete(replace(inner, variants=known))
        for collection in args.collections:
            tables[f"{collection}-{images}"] = brief_table(results, collection)
    write_results(args.results, "small", tables, machine(("torch",)), command="brushwork reproduce small")


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
