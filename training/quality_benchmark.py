"""The benchmark `quality`: what distance from real pictures a way of training reaches in how many minutes.

Each way's course of growing is fitted to the same minutes by the rate that was measured for it, all ways in
turn. Minutes are then images over that rate: other programs on the machine slow a run down without changing
its curve, and measuring takes no time from it.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from brushwork.data.files import write_json
from brushwork.data.loader import open_pictures
from brushwork.data.progress import Progress
from brushwork.eval.benchmark import in_child
from brushwork.models.drawing import Precision
from brushwork.models.options import Count, Duration, options
from brushwork.models.snapshot import load_generator

from .config import TrainConfig
from .course import Course
from .errors import TrainingError
from .metrics import InLoopMetrics
from .precision import settled_precision
from .rates import seconds_per_image
from .restyling import Judges
from .run_folder import RunFolder
from .speed import prepare_process
from .state import TrainingState
from .trainer import Trainer, accelerator_for
from .updates import Updates

Rates = dict[int, float]
"""Seconds of a picture, by resolution."""
SNAPSHOTS = 14
"""Points of a curve."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of training, as a change of a configuration."""

    about: str
    change: Callable[[TrainConfig], TrainConfig]


def _fixed(config: TrainConfig) -> TrainConfig:
    return replace(config, growing=replace(config.growing, start_resolution=config.generator.resolution))


def _modulated(config: TrainConfig) -> TrainConfig:
    return replace(config, generator=replace(config.generator, modulation="modulated"))


def _alternating(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, turns="alternating"))


def _simultaneous(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, turns="simultaneous"))


def _in(precision: Precision) -> Callable[[TrainConfig], TrainConfig]:
    return lambda config: replace(_simultaneous(config), precision=precision)


WAYS: Mapping[str, Way] = {
    "simultaneous": Way(about="grown, AdaIN, both networks at once", change=_simultaneous),
    "alternating": Way(about="grown, AdaIN, in turns", change=_alternating),
    "fixed": Way(about="one resolution, AdaIN, at once", change=lambda c: _fixed(_simultaneous(c))),
    "modulated": Way(
        about="grown, modulated weights, at once", change=lambda c: _modulated(_simultaneous(c))
    ),
    "fp32": Way(about="grown, AdaIN, at once, in fp32", change=_in("fp32")),
    "bf16": Way(about="grown, AdaIN, at once, in bf16", change=_in("bf16")),
}
"""By the names that the command line takes."""


@options
class Contest:
    """Which ways, from how many seeds, for how long."""

    ways: tuple[str, ...] = ("simultaneous", "alternating", "fixed", "modulated")
    """Ways of training: simultaneous, alternating, fixed, modulated, fp32, bf16."""
    seeds: Count = 3
    """Runs of each way, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Of training, at the rate that is measured first."""

    def __post_init__(self) -> None:
        for name in self.ways:
            if name not in WAYS:
                raise TrainingError(f"There is no way {name!r} of training: take of {', '.join(WAYS)}.")
        if not self.ways:
            raise TrainingError(f"There is no way of training to compare: take of {', '.join(WAYS)}.")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run: the distance at each of its snapshots."""

    way: str
    seed: int
    minutes: tuple[float, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Paces:
    """What is measured before the first run, and kept beside the runs: a contest that goes on must go on
    with the same courses."""

    precision: Precision
    """Of the ways whose names say nothing of it."""
    rates: Mapping[str, Rates]
    """By way."""

    def to_json(self) -> dict[str, Any]:
        return {"precision": self.precision, "rates": self.rates}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Paces":
        rates = {
            way: {int(side): seconds for side, seconds in of_way.items()}
            for way, of_way in kept["rates"].items()
        }
        return cls(precision=kept["precision"], rates=rates)


# Rates
def measured_rates(config: TrainConfig, ways: Sequence[str], *, rounds: int = 3) -> dict[str, Rates]:
    """Medians over rounds in which every way has its turn, in this process."""
    prepare_process(config.speed, threads=config.threads, processes=1)
    device = _device(config)
    pictures = open_pictures(config.data, "train", config.loader.cache)
    found: dict[str, list[Rates]] = {way: [] for way in ways}
    for _ in Progress(range(rounds), desc="rates", leave=False):
        for way in ways:
            own = WAYS[way].change(config)
            scratch = Updates.of(
                own, pictures, TrainingState.fresh(own, pictures.style_names, device), Judges(),
                accelerator_for(own), bf16=own.precision == "bf16",
            )  # fmt: skip
            found[way].append(seconds_per_image(scratch))
    return {
        way: {side: statistics.median(one[side] for one in rates) for side in rates[0]}
        for way, rates in found.items()
    }


def _device(config: TrainConfig) -> torch.device:
    return torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")


def fitted(config: TrainConfig, rates: Rates, minutes: float) -> TrainConfig:
    """The whole course of `config`, shortened or lengthened to take `minutes`."""
    course = Course.of(config)
    factor = 60 * minutes / course.seconds(0.0, course.end, rates)
    return replace(
        config, growing=config.growing.scaled(factor), total_kimg=config.total_kimg * factor, max_minutes=None
    )


def minutes_at(nimg: int, config: TrainConfig, rates: Rates) -> float:
    """Of training up to image `nimg`."""
    return Course.of(config).seconds(0.0, float(nimg), rates) / 60


# Runs
def train(config: TrainConfig) -> None:
    """Runs to the end, or goes on from where it was stopped."""
    outcome = Trainer(config, open_pictures(config.data, "train", config.loader.cache)).run()
    if outcome.signal is not None:
        raise TrainingError(f"{config.out} was stopped; the same command goes on from there.")


def run_of(
    config: TrainConfig, way: str, seed: int, rates: Rates, contest: Contest, folder: Path
) -> TrainConfig:
    """The configuration of one run of the contest."""
    own = fitted(WAYS[way].change(config), rates, contest.minutes)
    every = replace(
        own.every, snapshot_kimg=own.total_kimg / SNAPSHOTS, grid_kimg=0.0, metrics_kimg=0.0,
        checkpoint_kimg=own.total_kimg / 2,
    )  # fmt: skip
    return replace(own, out=folder / f"{way}-{seed}", seed=seed, every=every, resume=True)


def measured(config: TrainConfig, way: str, seed: int, rates: Rates, metrics: InLoopMetrics) -> Curve:
    """The curve of a run that is there; what was measured is kept beside it."""
    run = RunFolder(config.out)
    kept = run.path / "distances.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    snapshots = sorted(run.snapshots.glob("generator-*.safetensors"))
    for path in Progress(snapshots, desc=f"measure {run.path.name}", leave=False):
        if path.stem not in known:
            generator = load_generator(path)
            known[path.stem] = metrics(generator, generator.trained_stage)["fd"]
            write_json(kept, known)
    images = {int(path.stem.rpartition("-")[2]): known[path.stem] for path in snapshots}
    return Curve(
        way=way, seed=seed, distances=tuple(images.values()),
        minutes=tuple(minutes_at(nimg, config, rates) for nimg in images),
    )  # fmt: skip


def benchmark(config: TrainConfig, contest: Contest, folder: Path) -> tuple[Paces, list[Curve]]:
    """Paces, then all runs, then their curves; what lies in `folder` already is not done again."""
    folder.mkdir(parents=True, exist_ok=True)
    paces = _kept_paces(config, contest, folder)
    config, rates = replace(config, precision=paces.precision), paces.rates
    metrics = InLoopMetrics(replace(config.metrics, names=("fd",), restyled=(), best_by="fd"), config.data)
    curves = []
    for seed in range(contest.seeds):
        for way in contest.ways:
            own = run_of(config, way, seed, rates[way], contest, folder)
            if not any((own.out / "snapshots").glob(f"generator-{_last_image(own):09d}.safetensors")):
                in_child(train, own)
            curves.append(measured(own, way, seed, rates[way], metrics))
    return paces, curves


def _last_image(config: TrainConfig) -> int:
    """Of the run: whole batches, the last of which passes the end."""
    return math.ceil(Course.of(config).images / config.batch) * config.batch


def _kept_paces(config: TrainConfig, contest: Contest, folder: Path) -> Paces:
    kept = folder / "paces.json"
    if kept.exists():
        paces = Paces.from_json(json.loads(kept.read_text()))
    else:
        precision = in_child(settled_precision, config.precision, _device(config))
        paces = Paces(precision=precision, rates={})
    missing = [way for way in contest.ways if way not in paces.rates]
    if missing:
        found = in_child(measured_rates, replace(config, precision=paces.precision), missing)
        paces = replace(paces, rates={**paces.rates, **found})
        write_json(kept, paces.to_json())
    return paces
