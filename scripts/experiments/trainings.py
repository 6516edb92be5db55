"""What experiments that train have in common: variants of a preset on collections, for equal minutes."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from brushwork.models.options import Count, Duration, options
from brushwork.models.pretrained.hed import FILE, fetch_hed_vgg16
from brushwork.models.pretrained.weights import weights_folder
from brushwork.scripts.bench.harness import machine
from brushwork.scripts.experiments.documented import (
    QUICK,
    RESULTS,
    command_of,
    results_folder,
    write_results,
)
from brushwork.scripts.experiments.packed_collections import COLLECTIONS, packed
from brushwork.scripts.experiments.side_by_side import run_side_by_side
from brushwork.scripts.experiments.training_runs import Run, require_same, run_config, train_and_measure
from brushwork.scripts.experiments.training_tables import curves, record_of, table
from brushwork.scripts.experiments.variants import SOURCES, TRANSFERS, VARIANTS
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.presets import PRESETS

QUICK_KIMG = 0.064


@options
class TrainingArguments:
    """Trains variants of a preset on collections for equal minutes, and measures their samples alike."""

    preset: str = "emoji-32"
    """Name of a preset of `brushwork train`."""
    collections: tuple[str, ...] = ("emoji",)
    """emoji, solar, photographs, modes, mingcute, toy."""
    images: tuple[Annotated[int, Interval(ge=0, le=10**6)], ...] = (0,)
    """Images of each style, several for several experiments; 0: all of the collection."""
    variants: tuple[str, ...] = ("default",)
    """Changes of the preset, of scripts/experiments/variants.py."""
    seeds: Count = 3
    """Runs of each variant on each collection, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Minutes of training for each run, in one thread."""
    workers: Annotated[int, Interval(ge=1, le=1024)] = 2
    """Runs side by side."""
    quick: bool = False
    """Two variants on toy images for seconds, to try the whole path; results go to runs/quick."""
    data: Path = Path("datasets")
    """Folder of the collections; missing ones are fetched and packed."""
    out: Path = Path("runs/experiments")
    """Folder of the runs, which experiments share."""
    results: Path = RESULTS
    """Folder of the JSON file; the documents above it get the tables."""

    def __post_init__(self) -> None:
        for what, names, known in (
            ("preset", (self.preset,), PRESETS),
            ("collection", self.collections, COLLECTIONS),
            ("variant", self.variants, VARIANTS),
        ):
            for name in names:
                if name not in known:
                    raise TrainingError(f"There is no {what} {name!r}: choose from {', '.join(known)}.")
        if not self.collections or not self.variants or not self.images:
            raise TrainingError("There is nothing to train: name collections, variants and images.")


def run_trainings(name: str, asked: TrainingArguments) -> None:
    """Trains and measures what is missing of an experiment, and writes its results.

    Stopped, the same command goes on. Finished runs are shared by all experiments with the same `out`.
    """
    args = quickly(asked) if asked.quick else asked
    if not args.quick and not (weights_folder() / FILE).is_file():
        fetch_hed_vgg16()
    train_missing(args, sources(args))
    parts = {
        key: planned(args, collection, images)
        for images in args.images
        for collection in args.collections
        for key in [collection + (f"-{images}" if images else "")]
    }
    # Seed by seed, so that every variant has runs if the experiment is stopped early.
    train_missing(args, sorted((run for runs in parts.values() for run in runs), key=lambda run: run.seed))
    tables = {
        key: table(key, [record_of(run) for run in runs if run.is_complete])
        for key, runs in parts.items()
        if any(run.is_complete for run in runs)
    }
    command = command_of(name, asked)
    path = write_results(args.results, name, tables, machine(("torch",)), command=command, plot=curves)
    for key, runs in parts.items():
        copy_grid(runs[0], path.with_name(f"{name}-{key}.png"))


def quickly(args: TrainingArguments) -> TrainingArguments:
    """The experiment on toy images: the same path in seconds."""
    return replace(
        args, collections=("toy",), images=args.images[:1], variants=args.variants[:2], seeds=1,
        data=QUICK.parent / "datasets", out=QUICK.parent / "experiments",
        results=results_folder(args.results, quick=True),
    )  # fmt: skip


def copy_grid(run: Run, path: Path) -> None:
    """Copies the last grid of a run."""
    grids = sorted((run.folder / "samples").glob("*px.png"))
    if grids:
        shutil.copyfile(grids[-1], path)


# Runs
def planned(args: TrainingArguments, collection: str, images: int) -> list[Run]:
    """The runs on one collection."""
    return [
        planned_run(args, collection, images, variant, seed)
        for seed in range(args.seeds)
        for variant in args.variants
    ]


def sources(args: TrainingArguments) -> list[Run]:
    """The runs from which others start: the preset on all images of another collection."""
    if not set(args.variants) & set(TRANSFERS):
        return []
    names = sorted({SOURCES.get(each, "emoji") for each in args.collections})
    return [planned_run(args, name, 0, "default", 0) for name in names]


def planned_run(args: TrainingArguments, collection: str, images: int, variant: str, seed: int) -> Run:
    """One run. Its folder is named after all that tells it from others."""

    def folder(name: str, images: int) -> Path:
        part = f"{name}-{images}" if images else name
        return args.out / args.preset / f"{part}-{args.minutes:g}min"

    data = packed(collection, args.data, images)
    source = folder(SOURCES.get(collection, "emoji"), 0) / "default-0" if variant in TRANSFERS else None
    asked = replace(preset_of(args), data=data, start_from=source, max_minutes=args.minutes)
    config = run_config(
        VARIANTS[variant](asked), data=data, seed=seed, minutes=args.minutes,
        out=folder(collection, images) / f"{variant}-{seed}",
    )  # fmt: skip
    if args.quick:  # no time, which would have to be measured, but four steps
        growing = config.growing.scaled(QUICK_KIMG / config.total_kimg)
        config = replace(
            config, total_kimg=QUICK_KIMG, growing=growing, max_minutes=None, precision="fp32",
            classifier=replace(config.classifier, kimg=QUICK_KIMG),
        )  # fmt: skip
    return Run(collection=collection, images=images, variant=variant, seed=seed, config=config)


def preset_of(args: TrainingArguments) -> TrainConfig:
    """The configuration of the preset."""
    return PRESETS[args.preset][1]


def train_missing(args: TrainingArguments, runs: Sequence[Run]) -> None:
    """Trains and measures the runs that are not complete.

    Raises:
        TrainingError: a folder holds another run, or all of the runs diverged.
    """
    for each in runs:
        require_same(each.config)

    def finished(done: Run) -> None:
        lost = "diverged before its first snapshot, so there is nothing to measure"
        print(f"{done.folder}: {'finished' if done.is_complete else lost}", flush=True)

    missing: Mapping[Path, Run] = {run.folder / "log.txt": run for run in runs if not run.is_complete}
    signal = run_side_by_side(train_and_measure, missing, args.workers, finished)
    if signal is not None:
        print(f"stopped by signal {signal.value}; the same command goes on (runs in {args.out})")
        sys.exit(128 + signal.value)
    if runs and not any(each.is_complete for each in runs):
        raise TrainingError(
            f"All runs in {args.out} diverged before their first snapshot: nothing is measured."
        )
