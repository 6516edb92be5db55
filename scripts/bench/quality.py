"""The benchmark `quality`: Fréchet distance against minutes of training, for several ways of training.

Every way trains for the same minutes: its rate is measured first, all ways alternately, and its schedule is
scaled by the rate. Minutes are images over that rate, so other programs on the machine slow a run down but do
not change its curve, and measuring takes no time from it.
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.data.loader import open_pictures
from brushwork.data.progress import Progress
from brushwork.eval.report.plots import figure_png
from brushwork.models.options import Count, Duration, options
from brushwork.models.sampling import Precision
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Table, device_of, in_child, machine, run_on_preset
from brushwork.scripts.bench.report import write_report
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.plan import RunSchedule, seconds_per_image
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.speed import choose_precision, prepare_process
from brushwork.training.state import TrainingState
from brushwork.training.step import FrozenNetworks
from brushwork.training.trainer import Trainer, accelerator_for
from brushwork.training.update import Updater

Seconds = dict[int, float]
"""Seconds for each image, by resolution."""
SNAPSHOTS = 14
"""Points of a curve."""


# Ways of training
def _fixed(config: TrainConfig) -> TrainConfig:
    return replace(config, growing=replace(config.growing, start_resolution=config.generator.resolution))


def _modulated(config: TrainConfig) -> TrainConfig:
    return replace(config, generator=replace(config.generator, modulation="modulated"))


def _alternating(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, update_order="alternating"))


def _simultaneous(config: TrainConfig) -> TrainConfig:
    return replace(config, loss=replace(config.loss, update_order="simultaneous"))


WAYS: Mapping[str, tuple[str, Callable[[TrainConfig], TrainConfig]]] = {
    "simultaneous": ("grown, AdaIN, both networks at once", _simultaneous),
    "alternating": ("grown, AdaIN, in turns", _alternating),
    "fixed": ("one resolution, AdaIN, at once", lambda c: _fixed(_simultaneous(c))),
    "modulated": ("grown, modulated weights, at once", lambda c: _modulated(_simultaneous(c))),
    "fp32": ("grown, AdaIN, at once, in fp32", lambda c: replace(_simultaneous(c), precision="fp32")),
    "bf16": ("grown, AdaIN, at once, in bf16", lambda c: replace(_simultaneous(c), precision="bf16")),
}
"""A description and a change of the configuration, by the name on the command line."""


@options
class QualityConfig:
    """Options of the benchmark."""

    ways: tuple[str, ...] = ("simultaneous", "alternating", "fixed", "modulated")
    """Ways of training: simultaneous, alternating, fixed, modulated, fp32, bf16."""
    seeds: Count = 3
    """Runs of each way, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Of training, at the rate that is measured first."""
    report: Path = Path("runs/bench-quality")
    """Folder for the runs, quality.json, quality.md and quality.png."""

    def __post_init__(self) -> None:
        for name in self.ways:
            if name not in WAYS:
                raise TrainingError(f"{name!r} is no variant of training; choose from {', '.join(WAYS)}.")
        if not self.ways:
            raise TrainingError(f"Nothing to compare: choose variants from {', '.join(WAYS)}.")


# Rates
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Measured before the first run and kept in a file: a resumed benchmark has the same schedules."""

    precision: Precision
    """Of the ways whose names do not say it."""
    seconds: Mapping[str, Seconds]
    """By way."""


def calibrated(config: TrainConfig, bench: QualityConfig) -> Calibration:
    """The calibration in the folder of the report; ways that it lacks are measured and added."""
    path = bench.report / "calibration.json"
    if path.exists():
        stored = json.loads(path.read_text())
        precision, seconds = stored["precision"], {
            way: {int(resolution): value for resolution, value in values.items()}
            for way, values in stored["seconds"].items()
        }  # fmt: skip
    else:
        precision, seconds = in_child(choose_precision, config.precision, device_of(config)), {}
    missing = [way for way in bench.ways if way not in seconds]
    if missing:
        seconds |= in_child(measured_seconds, replace(config, precision=precision), missing)
        write_json(path, {"precision": precision, "seconds": seconds})
    return Calibration(precision=precision, seconds=seconds)


def measured_seconds(config: TrainConfig, ways: Sequence[str], *, rounds: int = 3) -> dict[str, Seconds]:
    """Measures the ways alternately in this process; medians over the rounds."""
    prepare_process(threads=config.threads, processes=1)
    pictures = open_pictures(config.data, "train", config.loader.cache)
    results: dict[str, list[Seconds]] = {way: [] for way in ways}
    for _ in Progress(range(rounds), desc="rates", leave=False):
        for way in ways:
            own = WAYS[way][1](config)
            updater = Updater.of(
                own, pictures, TrainingState.fresh(own, pictures.style_names, device_of(config)),
                FrozenNetworks(), accelerator_for(own), bf16=own.precision == "bf16",
            )  # fmt: skip
            results[way].append(seconds_per_image(updater))
    return {
        way: {side: statistics.median(one[side] for one in measured) for side in measured[0]}
        for way, measured in results.items()
    }


def fitted(config: TrainConfig, seconds: Seconds, minutes: float) -> TrainConfig:
    """`config` with its schedule scaled to take `minutes`."""
    schedule = RunSchedule.of(config)
    factor = 60 * minutes / schedule.seconds(0.0, schedule.end, seconds)
    return replace(
        config, growing=config.growing.scaled(factor), total_kimg=config.total_kimg * factor, max_minutes=None
    )


def minutes_at(nimg: int, config: TrainConfig, seconds: Seconds) -> float:
    """Minutes of training up to image `nimg`."""
    return RunSchedule.of(config).seconds(0.0, float(nimg), seconds) / 60


# Runs
@dataclass(frozen=True, kw_only=True)
class Curve:
    """The distance at each snapshot of a run."""

    way: str
    seed: int
    minutes: tuple[float, ...]
    distances: tuple[float, ...]


def train(config: TrainConfig) -> None:
    """Trains to the end, from the last checkpoint if there is one."""
    outcome = Trainer(config, open_pictures(config.data, "train", config.loader.cache)).run()
    if outcome.signal is not None:
        raise TrainingError(f"{config.out} was stopped; the same command goes on from there.")


def run_config(base: TrainConfig, way: str, seed: int, seconds: Seconds, bench: QualityConfig) -> TrainConfig:
    """The configuration of one run."""
    config = fitted(WAYS[way][1](base), seconds, bench.minutes)
    interval = replace(
        config.interval, snapshot_kimg=config.total_kimg / SNAPSHOTS, grid_kimg=0.0, metrics_kimg=0.0,
        checkpoint_kimg=config.total_kimg / 2,
    )  # fmt: skip
    return replace(config, out=bench.report / f"{way}-{seed}", seed=seed, interval=interval, resume=True)


def measured_curve(
    config: TrainConfig, way: str, seed: int, seconds: Seconds, metrics: InLoopMetrics
) -> Curve:
    """The curve of a finished run. Distances are kept in the run's folder and measured once."""
    run = RunFolder(config.out)
    path = run.path / "distances.json"
    distances: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    snapshots = sorted(run.snapshots.glob("generator-*.safetensors"))
    for snapshot in Progress(snapshots, desc=f"measure {run.path.name}", leave=False):
        if snapshot.stem not in distances:
            generator = load_generator(snapshot)
            distances[snapshot.stem] = metrics(generator, generator.trained_stage)["fd"]
            write_json(path, distances)
    images = [int(snapshot.stem.rpartition("-")[2]) for snapshot in snapshots]
    return Curve(
        way=way, seed=seed, distances=tuple(distances[snapshot.stem] for snapshot in snapshots),
        minutes=tuple(minutes_at(nimg, config, seconds) for nimg in images),
    )  # fmt: skip


def train_and_measure(base: TrainConfig, bench: QualityConfig) -> "Quality":
    """Calibrates, trains and measures all runs; what the folder of the report holds is not repeated."""
    bench.report.mkdir(parents=True, exist_ok=True)
    calibration = calibrated(base, bench)
    base = replace(base, precision=calibration.precision)
    metrics = InLoopMetrics(replace(base.metrics, names=("fd",), restyled=(), best_by="fd"), base.data)
    curves = []
    for seed in range(bench.seeds):
        for way in bench.ways:
            seconds = calibration.seconds[way]
            config = run_config(base, way, seed, seconds, bench)
            # The last batch may pass the end.
            last = math.ceil(RunSchedule.of(config).images / config.batch) * config.batch
            if not any((config.out / "snapshots").glob(f"generator-{last:09d}.safetensors")):
                in_child(train, config)
            curves.append(measured_curve(config, way, seed, seconds, metrics))
    return Quality(curves=curves, calibration=calibration)


# Report
@dataclass(frozen=True, kw_only=True)
class Quality:
    """Curves of several ways of training: a part of the report."""

    curves: Sequence[Curve]
    calibration: Calibration

    @property
    def ways(self) -> list[str]:
        return list(dict.fromkeys(curve.way for curve in self.curves))

    def of(self, way: str) -> list[Curve]:
        """One for each seed."""
        return [curve for curve in self.curves if curve.way == way]

    @property
    def target(self) -> float:
        """The largest mean distance at the end, to which all ways can be timed."""
        return max(statistics.mean(curve.distances[-1] for curve in self.of(way)) for way in self.ways)

    def interpolated(self, way: str) -> tuple[np.ndarray, np.ndarray]:
        """Minutes (T,) that all runs of a way have in common, and their distances (runs, T)."""
        return interpolated([(curve.minutes, curve.distances) for curve in self.of(way)])

    def minutes_to_target(self, way: str) -> float | None:
        """Minutes until the mean distance of the runs reaches the target; None if it never does."""
        minutes, distances = self.interpolated(way)
        reached = np.flatnonzero(distances.mean(axis=0) <= self.target * (1 + 1e-9))
        return float(minutes[reached[0]]) if len(reached) else None

    @property
    def table(self) -> Table:
        minutes = max(curve.minutes[-1] for curve in self.curves)
        return Table(
            title=f"Fréchet distance after {minutes:.3g} minutes",
            header=("", "img/s at last", "distance, seed by seed", "mean", f"minutes to {self.target:.0f}"),
            rows=tuple(self._row(way) for way in self.ways),
            notes=("Minutes are images over the rate measured for each way, without the time of measurements "
                   "and of other programs. The last column is the time until the mean distance of a way's "
                   "runs reaches the worst final mean. Precision of ways whose names do not say it: "
                   f"{self.calibration.precision}.",),
        )  # fmt: skip

    def _row(self, way: str) -> tuple[str, ...]:
        ends, seconds = [curve.distances[-1] for curve in self.of(way)], self.calibration.seconds[way]
        minutes = self.minutes_to_target(way)
        return (
            f"{way}: {WAYS[way][0]}", f"{1 / seconds[max(seconds)]:.1f}",
            " ".join(f"{end:.0f}" for end in ends), f"{statistics.mean(ends):.0f}",
            "-" if minutes is None else f"{minutes:.1f}",
        )  # fmt: skip

    @property
    def data(self) -> dict[str, Any]:
        curves = [asdict(curve) for curve in self.curves]
        return {"target": self.target, **asdict(self.calibration), "curves": curves}


def interpolated(
    lines: Sequence[tuple[Sequence[float], Sequence[float]]], points: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Values of piecewise linear lines (x, y) where all are defined: x (T,) and values (lines, T)."""
    begin, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    at = np.linspace(begin, end, points)
    return at, np.stack([np.interp(at, x, y) for x, y in lines])


def plot(quality: Quality) -> Figure:
    """Distance against minutes: the mean and the range of each way's runs."""
    figure = Figure(figsize=(8.4, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlabel="minutes of training", ylabel="Fréchet distance (less is better)")
    for number, way in enumerate(quality.ways):
        at, runs = quality.interpolated(way)
        axes.plot(at, runs.mean(axis=0), color=f"C{number}", label=f"{way}: {WAYS[way][0]}")
        axes.fill_between(at, runs.min(axis=0), runs.max(axis=0), color=f"C{number}", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


DESCRIPTION = """Train a preset, or FILE.json, in several ways for the same minutes, and compare their Frechet
distances to real images over time.

If it is stopped, the same command goes on. All options of brushwork train apply. Two hours on a CPU, and a
short trial:
    brushwork bench quality emoji-32 --data datasets/emoji-32
    brushwork bench quality emoji-32 --minutes 1 --seeds 1 --ways simultaneous alternating
"""


@options
class QualityArguments:
    """The benchmark, and the configuration that it trains."""

    bench: Annotated[QualityConfig, tyro.conf.arg(name="")] = field(default_factory=QualityConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def bench_quality(args: QualityArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    bench = args.bench
    quality = train_and_measure(args.base, bench)
    here = machine(("torch",), device_of(args.base))
    sizes = {"ways": bench.ways, "seeds": bench.seeds, "minutes": bench.minutes}
    write_file(bench.report / "quality.png", figure_png(plot(quality)))
    print(write_report(bench.report, "quality", here, sizes, {"quality": quality}), "and quality.png")


def main() -> None:
    """Parses the command line and runs the benchmark."""
    run_on_preset(QualityArguments, bench_quality, DESCRIPTION)
