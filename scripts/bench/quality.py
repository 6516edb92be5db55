"""The benchmark `quality`: Fréchet distance against minutes of training, for several ways of training.

Every way trains for the same minutes: its rate is measured first, all ways alternately, and its schedule is
scaled by the rate. Minutes are images over that rate, so other programs on the machine slow a run down but do
not change its curve, and measuring takes no time from it.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from brushwork.data.files import read_json, write_file, write_json
from brushwork.data.loader import open_dataset
from brushwork.data.progress import Progress
from brushwork.eval.report.plots import figure_png
from brushwork.models.encoders import StyleClassifier
from brushwork.models.options import Count, Duration, options, resolve_device
from brushwork.models.sampling import Precision
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Table, in_child, machine_of, report, run_on_preset
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.plan import RunSchedule, seconds_per_image
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.speed import choose_precision, prepare_process
from brushwork.training.state import TrainingState
from brushwork.training.trainer import Trainer, accelerator_for
from brushwork.training.update import Updater

Seconds = dict[int, float]
"""Seconds for each image, by resolution."""
SNAPSHOTS = 14
"""Points of a curve."""


# Ways of training
def _with(config: TrainConfig, part: str, **changes: Any) -> TrainConfig:
    return replace(config, **{part: replace(getattr(config, part), **changes)})


def _simultaneous(config: TrainConfig) -> TrainConfig:
    return _with(config, "loss", update_order="simultaneous")


def _fixed(config: TrainConfig) -> TrainConfig:
    return _with(_simultaneous(config), "growing", start_resolution=config.generator.resolution)


WAYS: Mapping[str, tuple[str, Callable[[TrainConfig], TrainConfig]]] = {
    "simultaneous": ("grown, AdaIN, both networks at once", _simultaneous),
    "alternating": ("grown, AdaIN, in turns", lambda c: _with(c, "loss", update_order="alternating")),
    "fixed": ("one resolution, AdaIN, at once", _fixed),
    "modulated": (
        "grown, modulated weights, at once",
        lambda c: _with(_simultaneous(c), "generator", modulation="modulated"),
    ),
    "fp32": ("grown, AdaIN, at once, in fp32", lambda c: replace(_simultaneous(c), precision="fp32")),
    "bf16": ("grown, AdaIN, at once, in bf16", lambda c: replace(_simultaneous(c), precision="bf16")),
}
"""A description and a change of the configuration, by the name on the command line."""

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

    ways: tuple[str, ...] = ("simultaneous", "alternating", "fixed", "modulated")
    """Ways of training: simultaneous, alternating, fixed, modulated, fp32, bf16."""
    seeds: Count = 3
    """Runs of each way, from the seeds 0, 1, ..."""
    minutes: Duration = 10.0
    """Length of each run, at the rate that is measured first."""
    report: Path = Path("runs/bench-quality")
    """Folder for the runs, quality.json, quality.md and quality.png."""
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        unknown = [name for name in self.ways if name not in WAYS]
        if unknown or not self.ways:
            what = f"{unknown[0]!r} is no way of training" if unknown else "Nothing to compare"
            raise TrainingError(f"{what}: choose from {', '.join(WAYS)}.")


# Rates
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Measured before the first run and kept in a file: a resumed benchmark has the same schedules."""

    precision: Precision
    """Precision of the ways whose names do not say it."""
    seconds: dict[str, Seconds]
    """Rates by way."""


def calibrated(args: QualityArguments) -> Calibration:
    """The calibration in the folder of the report; ways that it lacks are measured and added."""
    path, config = args.report / "calibration.json", args.base
    if path.exists():
        stored = read_json(path, Calibration)
    else:
        precision = in_child(choose_precision, config.precision, resolve_device(config.device))
        stored = Calibration(precision=precision, seconds={})
    missing = [way for way in args.ways if way not in stored.seconds]
    if missing:
        stored.seconds.update(
            in_child(measured_seconds, replace(config, precision=stored.precision), missing)
        )
        write_json(path, asdict(stored))
    return stored


def measured_seconds(config: TrainConfig, ways: Sequence[str], *, rounds: int = 3) -> dict[str, Seconds]:
    """Measures the ways alternately in this process; medians over the rounds."""
    prepare_process(threads=config.threads, processes=1)
    pictures = open_dataset(config.data, "train", config.loader.cache)
    results: dict[str, list[Seconds]] = {way: [] for way in ways}
    for _ in Progress(range(rounds), desc="rates", leave=False):
        for way in ways:
            own, accelerator = WAYS[way][1](config), accelerator_for(config)
            state = TrainingState.fresh(own, pictures.style_names, accelerator.device)
            bf16 = own.precision == "bf16"
            classifier = StyleClassifier(own.generator.widths, styles=len(pictures.style_names))
            classifier = classifier.requires_grad_(False).to(
                accelerator.device
            )  # of the same cost as a trained one
            updater = Updater(own, pictures, state, classifier=classifier, accelerator=accelerator, bf16=bf16)
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

    seed: int
    minutes: tuple[float, ...]
    distances: tuple[float, ...]


Curves = Mapping[str, Sequence[Curve]]
"""The runs of each way."""


def train(config: TrainConfig) -> None:
    """Trains to the end, from the last checkpoint if there is one."""
    outcome = Trainer(config, open_dataset(config.data, "train", config.loader.cache)).run()
    if outcome.signal is not None:
        raise TrainingError(f"{config.out} was stopped; the same command goes on from there.")


def run_config(args: QualityArguments, way: str, seed: int, calibration: Calibration) -> TrainConfig:
    """The configuration of one run."""
    own = WAYS[way][1](replace(args.base, precision=calibration.precision))
    config = fitted(own, calibration.seconds[way], args.minutes)
    interval = replace(
        config.interval, snapshot_kimg=config.total_kimg / SNAPSHOTS, grid_kimg=0.0, metrics_kimg=0.0,
        checkpoint_kimg=config.total_kimg / 2,
    )  # fmt: skip
    return replace(config, out=args.report / f"{way}-{seed}", seed=seed, interval=interval, resume=True)


def measured_curve(config: TrainConfig, seconds: Seconds, metrics: InLoopMetrics) -> Curve:
    """The curve of a finished run. Distances are kept in the run's folder and measured once."""
    run = RunFolder(config.out)
    path = run.path / "distances.json"
    distances = read_json(path, dict[str, float]) if path.exists() else {}
    snapshots = sorted(run.snapshots.glob("generator-*.safetensors"))
    for snapshot in Progress(snapshots, desc=f"measure {run.path.name}", leave=False):
        if snapshot.stem not in distances:
            generator = load_generator(snapshot)
            distances[snapshot.stem] = metrics(generator, generator.trained_stage)["fd"]
            write_json(path, distances)
    images = [int(snapshot.stem.rpartition("-")[2]) for snapshot in snapshots]
    return Curve(
        seed=config.seed, distances=tuple(distances[snapshot.stem] for snapshot in snapshots),
        minutes=tuple(minutes_at(nimg, config, seconds) for nimg in images),
    )  # fmt: skip


def train_and_measure(args: QualityArguments, calibration: Calibration) -> Curves:
    """Trains and measures all runs; what the folder of the report holds is not repeated."""
    only_distance = replace(args.base.metrics, names=("fd",), restyled=(), best_by="fd")
    metrics = InLoopMetrics(only_distance, args.base.data)
    curves: dict[str, list[Curve]] = {way: [] for way in args.ways}
    for seed in range(args.seeds):
        for way in args.ways:
            config = run_config(args, way, seed, calibration)
            # The last batch may pass the end.
            last = math.ceil(RunSchedule.of(config).images / config.batch) * config.batch
            if not (config.out / "snapshots" / f"generator-{last:09d}.safetensors").exists():
                in_child(train, config)
            curves[way].append(measured_curve(config, calibration.seconds[way], metrics))
    return curves


# Report
def final_mean(runs: Sequence[Curve]) -> float:
    """The mean distance at the end."""
    return statistics.mean(curve.distances[-1] for curve in runs)


def interpolated(
    lines: Sequence[tuple[Sequence[float], Sequence[float]]], points: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Values of piecewise linear lines (x, y) where all are defined: x (T,) and values (lines, T)."""
    begin, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    at = np.linspace(begin, end, points)
    return at, np.stack([np.interp(at, x, y) for x, y in lines])


def minutes_to(target: float, runs: Sequence[Curve]) -> float | None:
    """Minutes until the mean distance of the runs reaches the target; None if it never does."""
    minutes, distances = interpolated([(curve.minutes, curve.distances) for curve in runs])
    reached = np.flatnonzero(distances.mean(axis=0) <= target * (1 + 1e-9))
    return float(minutes[reached[0]]) if len(reached) else None


def table(curves: Curves, calibration: Calibration) -> Table:
    """The distances of every way at the end, and the time until the worst final mean, which all can reach."""
    target = max(map(final_mean, curves.values()))
    rows = []
    for way, runs in curves.items():
        seconds, minutes = calibration.seconds[way], minutes_to(target, runs)
        rows.append((
            f"{way}: {WAYS[way][0]}", f"{1 / seconds[max(seconds)]:.1f}",
            " ".join(f"{curve.distances[-1]:.0f}" for curve in runs), f"{final_mean(runs):.0f}",
            "-" if minutes is None else f"{minutes:.1f}",
        ))  # fmt: skip
    last = max(curve.minutes[-1] for runs in curves.values() for curve in runs)
    return Table(
        title=f"Fréchet distance after {last:.3g} minutes",
        header=("", "img/s at last", "distance, seed by seed", "mean", f"minutes to {target:.0f}"),
        rows=rows,
        notes=("Minutes are images over the rate measured for each way, without the time of measurements and "
               "of other programs. The last column is the time until the mean distance of a way's runs "
               "reaches the worst final mean. Precision of ways whose names do not say it: "
               f"{calibration.precision}.",),
        data={"target": target, **asdict(calibration),
              "curves": {way: [asdict(curve) for curve in runs] for way, runs in curves.items()}},
    )  # fmt: skip


def plot(curves: Curves) -> Figure:
    """Distance against minutes: the mean and the range of each way's runs."""
    figure = Figure(figsize=(8.4, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlabel="minutes of training", ylabel="Fréchet distance (less is better)")
    for number, (way, own) in enumerate(curves.items()):
        at, runs = interpolated([(curve.minutes, curve.distances) for curve in own])
        axes.plot(at, runs.mean(axis=0), color=f"C{number}", label=f"{way}: {WAYS[way][0]}")
        axes.fill_between(at, runs.min(axis=0), runs.max(axis=0), color=f"C{number}", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def tables(args: QualityArguments) -> Iterator[tuple[str, Table]]:
    """Calibrates, trains and measures; plots the curves, and makes the part of the report."""
    calibration = calibrated(args)
    curves = train_and_measure(args, calibration)
    write_file(args.report / "quality.png", figure_png(plot(curves)))
    yield "quality", table(curves, calibration)


def bench_quality(args: QualityArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    sizes = {"ways": args.ways, "seeds": args.seeds, "minutes": args.minutes}
    report(args.report / "quality", machine_of(args.base), sizes, tables(args))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    run_on_preset(QualityArguments, bench_quality, DESCRIPTION)
