"""The benchmark `train`: how fast a preset trains at each of its resolutions, where the time goes, and how
near that is to the machine's limit.

Networks, losses, optimizers and loader are those of a run, on pictures of noise. Each resolution has a
process of its own, whose peak of memory is then its own, and which measures in turn what it compares.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from annotated_types import Interval
from matplotlib.figure import Figure

from brushwork.data.files import write_file
from brushwork.data.loader import Batch, Loader, Pictures
from brushwork.eval.report.plots import figure_png
from brushwork.models.classifier import StyleClassifier
from brushwork.models.options import options
from brushwork.models.stage import Stage
from brushwork.scripts.bench.harness import (
    Finding,
    Table,
    Timings,
    alternated,
    in_child,
    machine,
    peak_memory,
)
from brushwork.scripts.bench.report import write_findings
from brushwork.scripts.bench.roofline import PRODUCT, Actions, flops_of, limits
from brushwork.scripts.bench.stopwatch import REST, Stopwatch
from brushwork.scripts.bench.stylegan2 import PATH_EVERY, StyleGAN2
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.calibration import choose_precision
from brushwork.training.config import TrainConfig
from brushwork.training.context import FrozenNetworks
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.restyle.config import Regime
from brushwork.training.schedules import phases
from brushwork.training.speed import prepare_process
from brushwork.training.state import TrainingState
from brushwork.training.trainer import accelerator_for
from brushwork.training.update import ADVERSARIAL, Updater

STYLES, HELD = 6, 512
"""Of the noise, and its pictures."""
PENALTY = "penalty"
PEER, PATH = "StyleGAN2", "path length"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How often what is timed."""

    repeats: int = 8
    """Rounds, after one to warm up."""
    threads: int = 0
    """0: as many as a run takes."""
    with_stylegan2: bool = False
    """StyleGAN2 too, in turn with the rest."""


# What is timed
class TimedLoader(Loader):
    """A loader that tells the time it takes."""

    stopwatch: Stopwatch

    def batch_at(self, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        with self.stopwatch.part("data"):
            return super().batch_at(nimg, count, resolution=resolution)


@dataclass(frozen=True, kw_only=True)
class TimedUpdater(Updater):
    """An updater that tells the time which the average takes."""

    stopwatch: Stopwatch

    def _average(self) -> None:
        with self.stopwatch.part("average"):
            super()._average()


class Candidate:
    """A run of `config` at one resolution, on noise."""

    def __init__(self, config: TrainConfig, resolution: int) -> None:
        accelerator = accelerator_for(config)
        self.config, self.stage, device = config, Stage(resolution), accelerator.device
        self.precision = choose_precision(config.precision, device)
        pictures = noise(config.generator.resolution)
        self.state = TrainingState.fresh(config, pictures.style_names, device)
        classifier = StyleClassifier(config.generator.widths, styles=STYLES).requires_grad_(False).to(device)
        self.stopwatch = Stopwatch(device)
        run = config.style_run(1)
        loader = TimedLoader(pictures, config.loader, seed=config.seed, device=device, run=run)
        loader.stopwatch = self.stopwatch
        self.updater = TimedUpdater(
            stopwatch=self.stopwatch,
            config=config, state=self.state, loader=loader, accelerator=accelerator,
            frozen_networks=FrozenNetworks(classifier=classifier, perception=classifier.maps),
            bf16=self.precision == "bf16",
        )  # fmt: skip
        self.device = device

    def step(self, regime: Regime, *, penalty: bool = False) -> None:
        """A step as the trainer takes it; `penalty` is R1's, of every `r1_interval`-th."""
        self.state.nimg = 0 if penalty else self.config.batch
        self.updater.step(self.stage, regime)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def parts(self, repeats: int) -> dict[str, float]:
        """Seconds of a sampling step without the penalty, by part; eager, whatever else is compiled."""
        nets, optimizers = self.state.nets, self.state.optimizers
        modules = {
            "mapping": nets.generator.mapping,
            "synthesis": nets.generator.synthesis,
            "discriminator": nets.discriminator,
        }
        steps = {"optimizer (D)": optimizers.discriminator, "optimizer (G)": optimizers.generator}
        # Hooks would be compiled, too, and anew for every change of them.
        with torch.compiler.set_stance("force_eager"), self.stopwatch.watching(modules, steps):
            self.step("sampling")
            for _ in range(repeats):
                with self.stopwatch.running():
                    self.step("sampling")
        return {name: seconds / repeats for name, seconds in self.stopwatch.seconds.items()}


def noise(resolution: int, *, styles: int = STYLES) -> Pictures:
    """Pictures of noise in so many styles."""
    generator = torch.Generator().manual_seed(0)
    size = (HELD, 3, resolution, resolution)
    return Pictures(
        images=torch.randint(0, 256, size, generator=generator, dtype=torch.uint8),
        styles=torch.arange(HELD) % styles, subjects=tuple(map(str, range(HELD))),
        style_names=tuple(f"style {number}" for number in range(styles)), fingerprint="noise",
    )  # fmt: skip


# One resolution
@dataclass(frozen=True, kw_only=True)
class Pace:
    """What was measured at one resolution."""

    resolution: int
    batch: int
    precision: str
    steps: Mapping[str, tuple[float, ...]]
    """Seconds of every round by regime; with the penalty as "regime, penalty"."""
    flops: Mapping[str, int]
    """Operations of each."""
    shares: Mapping[Regime, float]
    r1_interval: int
    parts: Mapping[str, float]
    """Seconds by part of a sampling step without the penalty."""
    convolution: float
    """Operations a second of the fastest convolution, and of a matrix product."""
    product: float
    before: float
    """MB that the process had held at most before there were networks, and after all steps; on a GPU both of
    its memory."""
    peak: float
    peer: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds of StyleGAN2's steps, as `steps`, where it was timed."""

    @property
    def seconds(self) -> float:
        """Of the average step, penalties and regimes by their shares: of medians."""
        return self._mean(_medians(self.steps))

    @property
    def gflops(self) -> float:
        """Thousand million operations for each picture that the step takes from the data."""
        return self._mean({name: float(count) for name, count in self.flops.items()}) / self.batch / 1e9

    @property
    def rate(self) -> float:
        return self.batch / self.seconds

    @property
    def utilisation(self) -> float:
        """Of the fastest convolution's operations a second, those that the step has."""
        return self.gflops * 1e9 * self.rate / self.convolution

    @property
    def spread(self) -> float:
        """Interquartile range over the median, of the most frequent step."""
        rounds = self.steps[max(self.shares, key=lambda name: self.shares[name])]
        low, middle, high = statistics.quantiles(rounds, n=4, method="inclusive")
        return (high - low) / middle

    def _mean(self, values: Mapping[str, float]) -> float:
        return sum(share * self._with_penalty(values, regime) for regime, share in self.shares.items())

    def _with_penalty(self, values: Mapping[str, float], name: str) -> float:
        """Of steps of one kind, with the penalty as often as it comes, if ever."""
        plain = values[name]
        return plain + (values.get(f"{name}, {PENALTY}", plain) - plain) / self.r1_interval

    @property
    def sampling_seconds(self) -> float:
        """Of the average sampling step, which is what StyleGAN2 has."""
        return self._with_penalty(_medians(self.steps), "sampling")

    def peer_seconds(self, *, path: bool) -> float:
        """Of StyleGAN2's average step, with path length regularisation in every fourth or without."""
        middle = _medians(self.peer)
        seconds = self._with_penalty(middle, PEER)
        return seconds + (middle[f"{PEER}, {PATH}"] - middle[PEER]) / PATH_EVERY if path else seconds

    def breakdown(self) -> dict[str, float]:
        """Shares of the average sampling step: its parts, and what the penalty adds."""
        if not self.parts:
            return {}
        plain = statistics.median(self.steps["sampling"])
        rare = statistics.median(self.steps.get(f"sampling, {PENALTY}", (plain,)))
        extra = max(0.0, rare - plain) / self.r1_interval
        scale = plain / sum(self.parts.values())  # hooks take a little time of their own
        found = {name: seconds * scale for name, seconds in self.parts.items()} | {PENALTY: extra}
        whole = sum(found.values())
        return {name: seconds / whole for name, seconds in found.items()}


def _medians(steps: Mapping[str, tuple[float, ...]]) -> dict[str, float]:
    return {name: statistics.median(rounds) for name, rounds in steps.items()}


def measure(config: TrainConfig, resolution: int, sizes: Sizes) -> Pace:
    """In this process."""
    prepare_process(config.speed, threads=sizes.threads or config.threads, processes=1)
    before = peak_memory()
    candidate = Candidate(config, resolution)
    before = 0.0 if candidate.device.type == "cuda" else before
    shares = config.restyle.shares()
    actions: Actions = {}
    for regime in shares:
        actions[regime] = _stepping(candidate, regime, penalty=False)
        if regime in ADVERSARIAL and config.loss.gamma(resolution, config.batch) > 0:
            actions[f"{regime}, {PENALTY}"] = _stepping(candidate, regime, penalty=True)
    flops = {name: flops_of(action) for name, action in actions.items()}
    peak = _held_at_most(candidate.device)  # the limits below need memory of their own
    kind = torch.bfloat16 if candidate.precision == "bf16" else torch.float32
    tries, work = limits(config.batch, kind, candidate.device)
    others = _peer(config, resolution) if sizes.with_stylegan2 else {}
    found: Timings[object] = alternated({**actions, **others, **tries}, repeats=sizes.repeats)
    speeds = {name: work[name] / found.median(name) for name in tries}
    return Pace(
        resolution=resolution, batch=config.batch, precision=candidate.precision,
        steps={name: found.wall[name] for name in actions}, flops=flops, shares=shares,
        r1_interval=config.loss.r1_interval,
        parts=candidate.parts(sizes.repeats) if "sampling" in shares else {},
        convolution=max(speed for name, speed in speeds.items() if name != PRODUCT),
        product=speeds[PRODUCT], before=before, peak=peak,
        peer={name: found.wall[name] for name in others},
    )  # fmt: skip


def _peer(config: TrainConfig, resolution: int) -> Actions:
    peer = StyleGAN2(config, resolution, noise(config.generator.resolution))
    return {
        PEER: peer.step,
        f"{PEER}, {PENALTY}": lambda: peer.step(penalty=True),
        f"{PEER}, {PATH}": lambda: peer.step(path=True),
    }


def _held_at_most(device: torch.device) -> float:
    """MB, of a GPU's memory where there is one."""
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else peak_memory()


def _stepping(candidate: Candidate, regime: Regime, *, penalty: bool) -> Callable[[], object]:
    return lambda: candidate.step(regime, penalty=penalty)


# All of them
def benchmark(config: TrainConfig, sizes: Sizes) -> tuple[Pace, ...]:
    """Every resolution of the course, each in a process of its own.

    Raises TrainingError where StyleGAN2 is asked for on a GPU, or beside a run that only restyles.
    """
    if sizes.with_stylegan2 and "sampling" not in config.restyle.shares():
        raise TrainingError("--with-stylegan2 compares sampling steps, and this run has none: leave it out.")
    if sizes.with_stylegan2 and config.device == "auto" and torch.cuda.is_available():
        raise TrainingError(
            "--with-stylegan2 times StyleGAN2 as it runs on a processor; on a GPU it has kernels of its own. "
            "Add --device cpu, or leave --with-stylegan2 out."
        )
    sides = [phase.resolution for phase in phases(config.growing, config.generator.resolution)]
    return tuple(in_child(measure, config, side, sizes) for side in sides)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast each resolution is."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        first = self.paces[0]
        limit = "; ".join(
            f"{name} {max(getattr(pace, name) for pace in self.paces) / 1e9:.0f}"
            for name in ("convolution", "product")
        )
        return Table(
            title=f"Training steps of {first.batch} pictures, {first.precision}",
            header=("", "img/s", "ms a step (IQR)", "GFLOP a picture", "GFLOP/s", "of the peak", "peak MB"),
            rows=tuple(self._row(pace) for pace in self.paces),
            notes=(f"The machine's own peak, in GFLOP/s: {limit}. Shares are of the convolution's, timed in "
                   "turn with the steps; penalties and regimes count as often as they come.",),
        )  # fmt: skip

    @staticmethod
    def _row(pace: Pace) -> tuple[str, ...]:
        return (
            f"{pace.resolution} px", f"{pace.rate:.1f}", f"{1000 * pace.seconds:.0f} ({pace.spread:.0%})",
            f"{pace.gflops:.3g}", f"{pace.gflops * pace.rate:.0f}", f"{pace.utilisation:.0%}",
            f"{pace.peak:.0f}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            f"{pace.resolution}": {**asdict(pace), "img_per_s": pace.rate, "utilisation": pace.utilisation}
            for pace in self.paces
        }


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where the time of sampling steps goes."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        shares = [pace.breakdown() for pace in self.paces]
        names = sorted(
            {name for one in shares for name in one},
            key=lambda name: (name == REST, -shares[-1].get(name, 0)),
        )
        return Table(
            title="Of a sampling step's time",
            header=("", *(f"{pace.resolution} px" for pace in self.paces)),
            rows=tuple((name, *(f"{one.get(name, 0):.1%}" for one in shares)) for name in names),
            notes=("rest: losses, augmentation, random numbers, bookkeeping. Backward passes of "
                   "the discriminator hold those of the loss.",),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {f"{pace.resolution}": pace.breakdown() for pace in self.paces}


@dataclass(frozen=True, kw_only=True)
class BesideStyleGAN2:
    """Sampling steps beside StyleGAN2's (`training.stylegan2`): the same resolutions, widths and batch."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        return Table(
            title="Beside StyleGAN2 as its code runs on a processor",
            header=("", "img/s", "StyleGAN2 img/s", "times", "with path length", "times"),
            rows=tuple(self._row(pace) for pace in self.paces),
            notes=("StyleGAN2: written anew for this comparison, in float32; without and with path length "
                   "regularisation in every fourth step, as published. All steps were timed in turn.",),
        )  # fmt: skip

    @staticmethod
    def _row(pace: Pace) -> tuple[str, ...]:
        theirs = [pace.peer_seconds(path=path) for path in (False, True)]
        ours = pace.sampling_seconds
        beside = [(f"{pace.batch / one:.1f}", f"{one / ours:.2f}") for one in theirs]
        return f"{pace.resolution} px", f"{pace.batch / ours:.1f}", *beside[0], *beside[1]

    def to_json(self) -> dict[str, Any]:
        return {
            f"{pace.resolution}": {
                "times": pace.peer_seconds(path=False) / pace.sampling_seconds,
                "times_with_path_length": pace.peer_seconds(path=True) / pace.sampling_seconds,
            }
            for pace in self.paces
        }


def findings(paces: tuple[Pace, ...]) -> dict[str, Finding]:
    """All that was found, by the name that it has in the file."""
    found: dict[str, Finding] = {"rates": Rates(paces=paces), "breakdown": Breakdown(paces=paces)}
    return found | {"peer": BesideStyleGAN2(paces=paces)} if paces[0].peer else found


def picture(paces: Sequence[Pace]) -> Figure:
    """A bar for each resolution, milliseconds for each picture, cut into the parts of a sampling step."""
    figure = Figure(figsize=(9, 1.2 + 0.6 * len(paces)), layout="constrained")
    axes = figure.add_subplot(xlabel="milliseconds a picture")
    shares = [pace.breakdown() or {"all": 1.0} for pace in paces]
    names = sorted({name for one in shares for name in one}, key=lambda name: -shares[-1].get(name, 0))
    left = [0.0] * len(paces)
    for place, name in enumerate(names):
        widths = [
            1000 * pace.seconds / pace.batch * one.get(name, 0)
            for pace, one in zip(paces, shares, strict=True)
        ]
        axes.barh(
            [f"{pace.resolution} px" for pace in paces], widths, left=left, label=name,
            color=f"C{place % 10}", hatch="//" if place >= 10 else None,
        )  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, (pace, end) in enumerate(zip(paces, left, strict=True)):
        axes.text(end, place, f"  {pace.rate:.0f} img/s, {pace.utilisation:.0%} of the peak", va="center")
    axes.set_xlim(0, 1.6 * max(left))
    axes.invert_yaxis()
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


DESCRIPTION = """Time the training steps of a preset, or of FILE.json, at each of its resolutions, on noise.

It tells pictures a second, memory, the operations of a step beside what the machine can do at best, and where
the time goes. Every option of brushwork train holds. Examples, a minute on a CPU:
    brushwork bench train emoji-32
    brushwork bench train emoji-32 --batch 32 --generator.resolution 64
    brushwork bench train emoji-32 --with-stylegan2
"""


@options
class BenchConfig:
    """How often is timed, and where the findings go."""

    repeats: Annotated[int, Interval(ge=2, le=10**6)] = Sizes.repeats
    """Rounds after the first, in which everything has its turn; one alone tells no spread."""
    report: Path = Path("runs/bench")
    """Folder for the findings: JSON, Markdown and a picture."""


@options
class TrainBenchConfig(BenchConfig):
    """Beside what."""

    with_stylegan2: bool = False
    """Time StyleGAN2's networks and steps, too: of the same resolutions, widths and batch, on a processor."""


@options
class TrainBenchArguments:
    """What to time."""

    bench: Annotated[TrainBenchConfig, tyro.conf.arg(name="")] = field(default_factory=TrainBenchConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def bench_train(args: TrainBenchArguments) -> None:
    """Measures, prints tables, writes them with all rounds and a picture."""
    folder = args.bench.report
    folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(repeats=args.bench.repeats, with_stylegan2=args.bench.with_stylegan2)
    paces = benchmark(args.base, sizes)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    found = findings(paces)
    text = write_findings(folder, "train", here, asdict(sizes), found)
    write_file(folder / "train.png", figure_png(picture(paces), dpi=100))
    print(f"{text}\n")
    print(f"All rounds: {folder / 'train.json'}; train.md, train.png beside it")


def benchable() -> dict[str, tuple[str, TrainBenchArguments]]:
    """The presets."""
    return {name: (words, TrainBenchArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> TrainBenchArguments:
    return TrainBenchArguments(base=read_preset(path))


def main() -> None:
    """Parses the command line: a preset or a file, then options."""
    run_command(lambda: bench_train(configured(benchable(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    main()
