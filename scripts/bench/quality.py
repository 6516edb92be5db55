"""The benchmark `quality`: what distance from real pictures a way of training reaches in how many minutes.

Each way's course of growing is fitted to the same minutes by the rate that was measured for it, all ways in
turn. Minutes are then images over that rate: other programs on the machine slow a run down without changing
its curve, and measuring takes no time from it.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.data.loader import open_pictures
from brushwork.data.progress import Progress
from brushwork.eval.report.plots import figure_png
from brushwork.models.options import Count, Duration, options
from brushwork.models.sampling import Precision
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Table, in_child, machine
from brushwork.scripts.bench.report import write_findings
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.calibration import choose_precision, seconds_per_image
from brushwork.training.config import TrainConfig
from brushwork.training.context import FrozenNetworks
from brushwork.training.errors import TrainingError
from brushwork.training.plan import Course
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.speed import prepare_process
from brushwork.training.state import TrainingState
from brushwork.training.trainer import Trainer, accelerator_for
from brushwork.training.update import Updater

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
    return replace(config, loss=replace(config.loss, update_order="alternating"))


def _simultaneous(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, update_order="simultaneous"))


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
            scratch = Updater.of(
                own, pictures, TrainingState.fresh(own, pictures.style_names, device), FrozenNetworks(),
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
    interval = replace(
        own.interval, snapshot_kimg=own.total_kimg / SNAPSHOTS, grid_kimg=0.0, metrics_kimg=0.0,
        checkpoint_kimg=own.total_kimg / 2,
    )  # fmt: skip
    return replace(own, out=folder / f"{way}-{seed}", seed=seed, interval=interval, resume=True)


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
        precision = in_child(choose_precision, config.precision, _device(config))
        paces = Paces(precision=precision, rates={})
    missing = [way for way in contest.ways if way not in paces.rates]
    if missing:
        found = in_child(measured_rates, replace(config, precision=paces.precision), missing)
        paces = replace(paces, rates={**paces.rates, **found})
        write_json(kept, paces.to_json())
    return paces


POINTS = 200
"""Of a curve that is drawn."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Curves of several ways of training, and how fast each takes its pictures."""

    curves: Sequence[Curve]
    paces: Paces

    @property
    def ways(self) -> list[str]:
        """In the order of the contest."""
        return list(dict.fromkeys(curve.way for curve in self.curves))

    def of(self, way: str) -> list[Curve]:
        """One for each seed."""
        return [curve for curve in self.curves if curve.way == way]

    @property
    def goal(self) -> float:
        """The mean distance at which the worst of the ways ends: what all of them can be timed to."""
        return max(statistics.mean(curve.distances[-1] for curve in self.of(way)) for way in self.ways)

    def runs(self, way: str) -> tuple[np.ndarray, np.ndarray]:
        """Minutes (T,) from the latest beginning of a curve to the earliest end, and distances there (runs,
        T); straight lines lie between measurements."""
        curves = self.of(way)
        begin, end = max(curve.minutes[0] for curve in curves), min(curve.minutes[-1] for curve in curves)
        at = np.linspace(begin, end, POINTS)
        return at, np.stack([np.interp(at, curve.minutes, curve.distances) for curve in curves])

    def to_goal(self, way: str) -> float | None:
        """Minutes at which the mean of the runs first is at the goal; None where it never is."""
        at, distances = self.runs(way)
        reached = np.flatnonzero(distances.mean(axis=0) <= self.goal * (1 + 1e-9))
        return float(at[reached[0]]) if len(reached) else None

    def table(self) -> Table:
        minutes = max(curve.minutes[-1] for curve in self.curves)
        return Table(
            title=f"Fréchet distance after {minutes:.3g} minutes",
            header=("", "img/s at last", "distance, seed by seed", "mean", f"minutes to {self.goal:.0f}"),
            rows=tuple(self._row(way) for way in self.ways),
            notes=("Minutes are images over the rate measured for each way, all in turn: what measuring and "
                   "other programs took is not in them. The last column is when the mean of a way's runs "
                   f"first is where the worst way ends. Precision, where the name says none: "
                   f"{self.paces.precision}.",),
        )  # fmt: skip

    def _row(self, way: str) -> tuple[str, ...]:
        ends, last = [curve.distances[-1] for curve in self.of(way)], max(self.paces.rates[way])
        time = self.to_goal(way)
        return (
            f"{way}: {WAYS[way].about}", f"{1 / self.paces.rates[way][last]:.1f}",
            " ".join(f"{end:.0f}" for end in ends), f"{statistics.mean(ends):.0f}",
            "-" if time is None else f"{time:.1f}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        curves = [asdict(curve) for curve in self.curves]
        return {"goal": self.goal, **self.paces.to_json(), "curves": curves}


def picture(quality: Quality) -> Figure:
    """Distance against minutes: the mean of each way's runs, and from the best to the worst of them."""
    figure = Figure(figsize=(8.4, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlabel="minutes of training", ylabel="Fréchet distance (less is better)")
    for number, way in enumerate(quality.ways):
        at, runs = quality.runs(way)
        axes.plot(at, runs.mean(axis=0), color=f"C{number}", label=f"{way}: {WAYS[way].about}")
        axes.fill_between(at, runs.min(axis=0), runs.max(axis=0), color=f"C{number}", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


DESCRIPTION = """Train a preset, or FILE.json, in several ways for the same minutes, and tell how near to real
pictures each comes in how much time.

Stopped, the same command goes on. Every option of brushwork train holds. Two hours on a CPU, and a try:
    brushwork bench quality emoji-32 --data datasets/emoji-32
    brushwork bench quality emoji-32 --minutes 1 --seeds 1 --ways simultaneous alternating
"""


@options
class QualityArguments:
    """What to train, and for how long."""

    contest: Annotated[Contest, tyro.conf.arg(name="")] = field(default_factory=Contest)
    report: Path = Path("runs/bench-quality")
    """Folder for the runs, quality.json, quality.md and quality.png."""
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def bench_quality(args: QualityArguments) -> None:
    """Trains and measures, prints a table, writes it with all curves and a picture."""
    paces, curves = benchmark(args.base, args.contest, args.report)
    quality = Quality(curves=curves, paces=paces)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    text = write_findings(args.report, "quality", here, asdict(args.contest), {"quality": quality})
    write_file(args.report / "quality.png", figure_png(picture(quality)))
    print(f"{text}\n\nAll curves: {args.report / 'quality.json'}; quality.md, quality.png beside it")


def racing() -> dict[str, tuple[str, QualityArguments]]:
    """The presets."""
    return {name: (words, QualityArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> QualityArguments:
    return QualityArguments(base=read_preset(path))


def main() -> None:
    """Parses the command line: a preset or a file, then options."""
    run_command(lambda: bench_quality(configured(racing(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    main()
