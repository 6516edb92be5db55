"""Trains variants of a preset on several collections for equal minutes, and measures their samples."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Interval

from brushwork.models.options import Count, Duration, options
from brushwork.models.pretrained.hed import FILE, fetch_hed_vgg16
from brushwork.models.pretrained.weights import weights_folder
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.collection_report import Result, write_report
from brushwork.scripts.experiments.collection_runs import (
    COLLECTIONS,
    SOURCES,
    TRANSFERS,
    VARIANTS,
    Run,
    is_same,
    packed,
    require_same,
    run_config,
    train_and_measure,
)
from brushwork.scripts.experiments.side_by_side import run_side_by_side
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.presets import PRESETS


@options
class Arguments:
    """Trains variants of a preset on several collections for equal minutes, and measures their samples.

    Stopped, the same command goes on. Finished runs in --out are shared. Three hours on two cores, and a try:
        brushwork reproduce across-collections emoji-32
        brushwork reproduce across-collections --collections modes --seeds 1 --minutes 1
    """

    preset: Annotated[str, tyro.conf.Positional] = "emoji-32"
    """Name of a preset of `brushwork train`."""
    collections: tuple[str, ...] = ("emoji", "solar", "photographs", "modes")
    """emoji, solar, photographs, modes, and mingcute, on which no default was tuned."""
    variants: tuple[str, ...] = ("default", "before")
    """Changes of the preset: default, before, diffaugment, ada, auto (what `train auto` chooses), transfer,
    transfer-frozen, transfer-ada, transfer-auto."""
    images: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Images of each style; 0: all of the collection."""
    seeds: Count = 3
    """Runs of each variant on each collection, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Minutes of training for each run."""
    workers: Annotated[int, Interval(ge=1, le=1024)] = 2
    """Runs side by side, each in one thread."""
    data: Path = Path("datasets")
    """Folder of the collections; missing ones are fetched and packed."""
    out: Path = Path("runs/collections")
    """Folder of the runs, results.json, table.md, curves.png and the grids."""
    sources: Path | None = None
    """Folder of the runs that transfers start from; by default `out`."""

    def __post_init__(self) -> None:
        for what, names, known in (
            ("preset", (self.preset,), PRESETS),
            ("collection", self.collections, COLLECTIONS),
            ("variant", self.variants, VARIANTS),
        ):
            for name in names:
                if name not in known:
                    raise TrainingError(f"There is no {what} {name!r}: choose from {', '.join(known)}.")
        if not self.collections or not self.variants:
            raise TrainingError("There is nothing to train: name collections and variants.")


def planned(args: Arguments, base: TrainConfig, sources: Mapping[str, Path]) -> list[Run]:
    """All runs, seed by seed, so that every variant has runs if the experiment is stopped early."""
    data = {name: packed(name, args.data, args.images) for name in args.collections}
    runs = []
    for seed in range(args.seeds):
        for collection in args.collections:
            for variant in args.variants:
                source = sources[SOURCES.get(collection, "emoji")] if variant in TRANSFERS else None
                asked = replace(base, data=data[collection], start_from=source, max_minutes=args.minutes)
                config = run_config(
                    VARIANTS[variant](asked), data=data[collection], seed=seed, minutes=args.minutes,
                    out=args.out / f"{collection}-{variant}-{seed}",
                )  # fmt: skip
                runs.append(Run(collection=collection, variant=variant, seed=seed, config=config))
    return runs


def transfer_sources(args: Arguments, base: TrainConfig) -> list[Run]:
    """The runs that transfers start from, each on all images of another collection."""
    transfers = set(args.variants) & set(TRANSFERS)
    return [
        Run(
            collection=name, variant="source", seed=0,
            config=run_config(
                base, data=packed(name, args.data), seed=0, minutes=args.minutes,
                out=(args.sources or args.out) / f"{name}-source-0",
            ),
        )
        for name in sorted({SOURCES.get(each, "emoji") for each in args.collections} if transfers else ())
    ]  # fmt: skip


def run_experiment(args: Arguments) -> None:
    """Trains and measures what is missing, and updates the report after every run."""
    if not (weights_folder() / FILE).is_file():
        fetch_hed_vgg16()
    base = PRESETS[args.preset][1]
    sources = transfer_sources(args, base)
    train_missing(args, sources)
    runs = planned(args, base, {run.collection: run.folder for run in sources})
    if not train_missing(args, runs, lambda: write_report(args.out, runs)):
        write_report(args.out, runs)
    print((args.out / "table.md").read_text())
    print(f"All figures: {args.out / 'results.json'}; curves.png and a grid of each variant beside it")


def complete(args: Arguments) -> list[Result]:
    """The complete runs of the experiment in `args.out`, of these variants and of any seed up to 9. Runs of
    another configuration are left out."""
    base = PRESETS[args.preset][1]
    sources = {run.collection: run.folder for run in transfer_sources(args, base)}
    runs = planned(replace(args, seeds=10), base, sources)
    return [Result(run=run) for run in runs if run.is_complete and is_same(run.config)]


def train_missing(args: Arguments, runs: Sequence[Run], report: Callable[[], None] = lambda: None) -> bool:
    """Trains and measures the runs that are not complete, and returns whether there were any.

    Raises:
        TrainingError: a folder holds another run, or all of the runs diverged.
    """
    for each in runs:
        require_same(each.config)

    def finished(done: Run) -> None:
        lost = "diverged before its first snapshot, so there is nothing to measure"
        print(f"{done.folder}: {'finished' if done.is_complete else lost}", flush=True)
        report()

    missing = {each.folder / "log.txt": each for each in runs if not each.is_complete}
    signal = run_side_by_side(train_and_measure, missing, args.workers, finished)
    if signal is not None:
        print(f"stopped by signal {signal.value}; the same command goes on (runs in {args.out})")
        sys.exit(128 + signal.value)
    if runs and not any(each.is_complete for each in runs):
        raise TrainingError(
            f"All runs in {args.out} diverged before their first snapshot: nothing is measured."
        )
    return bool(missing)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
