"""The benchmark `train`: images a second of a preset at each resolution, the parts of a training step, and
its share of the machine's peak.

Networks, losses, optimizers and loader are those of a run; the images are noise. Each resolution is measured
in a process of its own, so the peak of memory is its own.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Interval

from brushwork.data.loader import Batch, ImageDataset, Loader
from brushwork.models.encoders import StyleClassifier
from brushwork.models.options import options, resolve_device
from brushwork.models.stage import Stage
from brushwork.scripts.bench.harness import (
    Table,
    alternated,
    in_child,
    iqr,
    machine_of,
    peak_memory,
    report,
    run_on_preset,
)
from brushwork.scripts.bench.profiler import REST, Actions, Stopwatch, flops_of, peak_convolutions
from brushwork.scripts.bench.stylegan2 import PATH_INTERVAL, StyleGAN2
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import Regime
from brushwork.training.schedules import phases
from brushwork.training.speed import choose_precision, prepare_process
from brushwork.training.state import TrainingState
from brushwork.training.trainer import accelerator_for
from brushwork.training.update import ADVERSARIAL, Updater

STYLES, NOISE_IMAGES = 6, 512
PENALTY = ", penalty"
STYLEGAN2, PATH = "StyleGAN2", ", path length"
"""Names of steps: a regime or StyleGAN2, and what is added to it."""


# What is timed
class TimedLoader(Loader):
    """A loader that is a part of the stopwatch."""

    stopwatch: Stopwatch

    def batch_at(self, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        with self.stopwatch.part("data"):
            return super().batch_at(nimg, count, resolution=resolution)


class TimedUpdater(Updater):
    """An updater whose weight averaging is a part of the stopwatch."""

    stopwatch: Stopwatch

    def _average(self) -> None:
        with self.stopwatch.part("average"):
            super()._average()


class NoiseRun:
    """A run of `config` at one resolution, on images of noise."""

    def __init__(self, config: TrainConfig, resolution: int) -> None:
        accelerator = accelerator_for(config)
        device = accelerator.device
        self.config, self.stage, self.device = config, Stage(resolution), device
        self.precision = choose_precision(config.precision, device)
        dataset = noise(config.generator.resolution)
        self.state = TrainingState.fresh(config, dataset.style_names, device)
        classifier = StyleClassifier(config.generator.widths, styles=STYLES).requires_grad_(False).to(device)
        self.stopwatch = Stopwatch(device)
        self.updater = TimedUpdater(
            config, dataset, self.state, classifier=classifier, accelerator=accelerator,
            bf16=self.precision == "bf16",
        )  # fmt: skip
        self.updater.stopwatch = self.stopwatch
        self.updater.loader = TimedLoader(
            dataset, config.loader, seed=config.seed, device=device, run=config.style_run(1)
        )
        self.updater.loader.stopwatch = self.stopwatch

    def step(self, regime: Regime, *, penalty: bool = False) -> None:
        """Takes a training step; with `penalty`, one of those that include R1."""
        self.state.nimg = 0 if penalty else self.config.batch
        self.updater.step(self.stage, regime)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def parts(self, repeats: int) -> dict[str, float]:
        """Seconds of a sampling step without the penalty, by part."""
        nets, optimizers = self.state.nets, self.state.optimizers
        modules = {
            "mapping": nets.generator.mapping,
            "synthesis": nets.generator.synthesis,
            "discriminator": nets.discriminator,
        }
        steps = {"optimizer (D)": optimizers.discriminator, "optimizer (G)": optimizers.generator}
        with self.stopwatch.watching(modules, steps):
            self.step("sampling")
            for _ in range(repeats):
                with self.stopwatch.running():
                    self.step("sampling")
        return {name: seconds / repeats for name, seconds in self.stopwatch.seconds.items()}


def noise(resolution: int) -> ImageDataset:
    """Images of noise in several styles."""
    generator = torch.Generator().manual_seed(0)
    size = (NOISE_IMAGES, 3, resolution, resolution)
    return ImageDataset(
        images=torch.randint(0, 256, size, generator=generator, dtype=torch.uint8),
        styles=torch.arange(NOISE_IMAGES) % STYLES, subjects=tuple(map(str, range(NOISE_IMAGES))),
        style_names=tuple(f"style {number}" for number in range(STYLES)), fingerprint="noise",
    )  # fmt: skip


# One resolution
@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Measurements at one resolution."""

    resolution: int
    batch: int
    precision: str
    steps: Mapping[str, tuple[float, ...]]
    """Seconds of every round by regime, and of StyleGAN2 if it was timed; with R1 as "regime, penalty"."""
    flops: Mapping[str, float]
    """Floating-point operations of each kind of step."""
    shares: Mapping[Regime, float]
    r1_interval: int
    parts: Mapping[str, float]
    """Seconds by part of a sampling step without the penalty."""
    convolution: float
    """Floating-point operations a second of the fastest convolution."""
    before: float
    """Peak memory in MB before the networks were built; 0 on a GPU, whose own memory counts."""
    peak: float
    """Peak memory in MB after all steps."""

    @property
    def seconds(self) -> float:
        """The average step, from medians: penalties and regimes weighted by their shares."""
        return self._mean(_medians(self.steps))

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations for each training image."""
        return self._mean(self.flops) / self.batch / 1e9

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.batch / self.seconds

    @property
    def utilisation(self) -> float:
        """Operations a second, as a share of those of the fastest convolution."""
        return self.gflops * 1e9 * self.rate / self.convolution

    @property
    def spread(self) -> float:
        """Interquartile range over the median, of the most frequent step."""
        rounds = self.steps[max(self.shares, key=lambda name: self.shares[name])]
        return iqr(rounds) / statistics.median(rounds)

    @property
    def sampling_seconds(self) -> float:
        """The average sampling step, the only one that StyleGAN2 has."""
        return self._with_penalty(_medians(self.steps), "sampling")

    def stylegan2_seconds(self, *, path: bool) -> float:
        """StyleGAN2's average step, with or without path length regularisation."""
        middle = _medians(self.steps)
        extra = (middle[STYLEGAN2 + PATH] - middle[STYLEGAN2]) / PATH_INTERVAL if path else 0.0
        return self._with_penalty(middle, STYLEGAN2) + extra

    def breakdown(self) -> dict[str, float]:
        """Shares of the parts and of the penalty in the average sampling step."""
        if not self.parts:
            return {}
        plain, average = _medians(self.steps)["sampling"], self.sampling_seconds
        scale = plain / sum(self.parts.values())  # hooks take a little time of their own
        seconds = {name: part * scale for name, part in self.parts.items()}
        seconds["penalty"] = max(0.0, average - plain)
        return {name: part / max(average, plain) for name, part in seconds.items()}

    def _mean(self, values: Mapping[str, float]) -> float:
        return sum(share * self._with_penalty(values, regime) for regime, share in self.shares.items())

    def _with_penalty(self, values: Mapping[str, float], name: str) -> float:
        """The mean over steps of one kind, of which every `r1_interval`-th has the penalty."""
        plain = values[name]
        return plain + (values.get(name + PENALTY, plain) - plain) / self.r1_interval


def _medians(steps: Mapping[str, tuple[float, ...]]) -> dict[str, float]:
    return {name: statistics.median(rounds) for name, rounds in steps.items()}


def measure(config: TrainConfig, resolution: int, repeats: int, with_stylegan2: bool = False) -> Throughput:
    """Measures one resolution in this process."""
    prepare_process(threads=config.threads, processes=1)
    before = peak_memory()
    run = NoiseRun(config, resolution)
    on_gpu = run.device.type == "cuda"
    shares = config.restyle.shares()
    actions: Actions = {}
    for regime in shares:
        actions[regime] = partial(run.step, regime)
        if regime in ADVERSARIAL and config.loss.gamma(resolution, config.batch) > 0:
            actions[regime + PENALTY] = partial(run.step, regime, penalty=True)
    flops = {name: flops_of(action) for name, action in actions.items()}
    # The convolutions below need memory of their own.
    peak = torch.cuda.max_memory_allocated(run.device) / 1e6 if on_gpu else peak_memory()
    dtype = torch.bfloat16 if run.precision == "bf16" else torch.float32
    convolutions, work = peak_convolutions(config.batch, dtype, run.device)
    stylegan2 = _stylegan2_steps(config, resolution) if with_stylegan2 else {}
    wall = alternated({**actions, **stylegan2, **convolutions}, repeats=repeats).wall
    middle = _medians(wall)
    return Throughput(
        resolution=resolution, batch=config.batch, precision=run.precision,
        steps={name: wall[name] for name in (*actions, *stylegan2)}, flops=flops, shares=shares,
        r1_interval=config.loss.r1_interval,
        parts=run.parts(repeats) if "sampling" in shares else {},
        convolution=max(work[name] / middle[name] for name in convolutions),
        before=0.0 if on_gpu else before, peak=peak,
    )  # fmt: skip


def _stylegan2_steps(config: TrainConfig, resolution: int) -> Actions:
    run = StyleGAN2(config, resolution, noise(config.generator.resolution))
    return {
        STYLEGAN2: run.step,
        STYLEGAN2 + PENALTY: partial(run.step, penalty=True),
        STYLEGAN2 + PATH: partial(run.step, path=True),
    }


# All resolutions
def measure_all(config: TrainConfig, repeats: int, with_stylegan2: bool = False) -> tuple[Throughput, ...]:
    """Measures every resolution of a run, each in a process of its own.

    Raises TrainingError if StyleGAN2 is asked for on a GPU, or beside a run that has no sampling steps.
    """
    if with_stylegan2 and "sampling" not in config.restyle.shares():
        raise TrainingError("--with-stylegan2 compares sampling steps, and this run has none: leave it out.")
    if with_stylegan2 and resolve_device(config.device).type != "cpu":
        raise TrainingError(
            "--with-stylegan2 times StyleGAN2 as it runs on a processor; on a GPU it has kernels of its own. "
            "Add --device cpu, or leave --with-stylegan2 out."
        )
    resolutions = [phase.resolution for phase in phases(config.growing, config.generator.resolution)]
    return tuple(in_child(measure, config, resolution, repeats, with_stylegan2) for resolution in resolutions)


# Tables
RATES = ("img/s", "ms a step (IQR)", "GFLOP an image", "of the peak", "peak MB")


def rates_of(one: Throughput) -> tuple[str, ...]:
    """The cells of RATES."""
    return (
        f"{one.rate:.1f}", f"{1000 * one.seconds:.0f} ({one.spread:.0%})", f"{one.gflops:.3g}",
        f"{one.utilisation:.0%}", f"{one.peak:.0f}",
    )  # fmt: skip


def rates(results: Sequence[Throughput]) -> Table:
    """Images a second, operations and memory of each resolution."""
    peak = max(one.convolution for one in results) / 1e9
    return Table(
        title=f"Training steps of {results[0].batch} images, {results[0].precision}",
        header=("", *RATES),
        rows=[(f"{one.resolution} px", *rates_of(one)) for one in results],
        notes=(f"The machine's peak is that of the fastest convolution, {peak:.0f} GFLOP/s, timed "
               "alternately with the steps. Penalties and regimes are weighted by their frequency.",),
        data={
            f"{one.resolution}": {**asdict(one), "img_per_s": one.rate, "utilisation": one.utilisation}
            for one in results
        },
    )  # fmt: skip


def breakdown(results: Sequence[Throughput]) -> Table:
    """Shares of the parts of a sampling step at each resolution."""
    shares = {f"{one.resolution}": one.breakdown() for one in results}
    last = shares[f"{results[-1].resolution}"]
    names = sorted(last, key=lambda name: (name == REST, -last[name]))
    return Table(
        title="Of a sampling step's time",
        header=("", *(f"{resolution} px" for resolution in shares)),
        rows=[(name, *(f"{one.get(name, 0):.1%}" for one in shares.values())) for name in names],
        notes=("rest: losses, augmentation, random numbers, bookkeeping. The backward pass of the "
               "discriminator includes that of the loss.",),
        data=shares,
    )  # fmt: skip


def beside_stylegan2(results: Sequence[Throughput]) -> Table:
    """Sampling steps beside those of StyleGAN2 with the same resolutions, widths and batch."""
    rows, data = [], {}
    for one in results:
        ours = one.sampling_seconds
        plain, with_path = (one.stylegan2_seconds(path=path) for path in (False, True))
        rows.append((
            f"{one.resolution} px", f"{one.batch / ours:.1f}", f"{one.batch / plain:.1f}",
            f"{plain / ours:.2f}", f"{one.batch / with_path:.1f}", f"{with_path / ours:.2f}",
        ))  # fmt: skip
        data[f"{one.resolution}"] = {"times": plain / ours, "times_with_path_length": with_path / ours}
    return Table(
        title="Beside StyleGAN2 as its code runs on a processor",
        header=("", "img/s", "StyleGAN2 img/s", "times", "with path length", "times"), rows=rows,
        notes=("StyleGAN2: written anew for this comparison, in float32; without and with path length "
               "regularisation in every fourth step, as published. All steps were timed in turn.",),
        data=data,
    )  # fmt: skip


DESCRIPTION = """Time the training steps of a preset, or of FILE.json, at each of its resolutions, on noise.

It prints images a second, memory, the operations of a step and their share of the machine's peak, and the
time of each part of a step. All options of brushwork train apply. Examples, a minute on a CPU:
    brushwork bench train emoji-32
    brushwork bench train emoji-32 --batch 32 --generator.resolution 64
    brushwork bench train emoji-32 --with-stylegan2
"""

Repeats = Annotated[int, Interval(ge=2, le=10**6)]


@options
class TrainArguments:
    """The benchmark, and the configuration whose steps it times."""

    repeats: Repeats = 8
    """Rounds, after one to warm up."""
    with_stylegan2: bool = False
    """Time StyleGAN2's networks and steps, too: of the same resolutions, widths and batch, on a processor."""
    report: Path = Path("runs/bench")
    """Folder for the report: JSON and Markdown."""
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def tables(args: TrainArguments) -> Iterator[tuple[str, Table]]:
    """Measures, and makes the parts of the report."""
    results = measure_all(args.base, args.repeats, args.with_stylegan2)
    yield "rates", rates(results)
    yield "breakdown", breakdown(results)
    if args.with_stylegan2:
        yield "stylegan2", beside_stylegan2(results)


def bench_train(args: TrainArguments) -> None:
    """Runs the benchmark, prints the tables and writes the report."""
    sizes = {"repeats": args.repeats, "with_stylegan2": args.with_stylegan2}
    report(args.report / "train", machine_of(args.base), sizes, tables(args))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    run_on_preset(TrainArguments, bench_train, DESCRIPTION)
