"""The benchmark `train`: how fast a preset trains at each of its resolutions, where the time goes, and how
near that is to the machine's limit.

Networks, losses, optimizers and loader are those of a run, on pictures of noise. Each resolution has a
process of its own, whose peak of memory is then its own, and which measures in turn what it compares.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from brushwork.data.loader import Batch, Loader, Pictures
from brushwork.eval.benchmark import Timings, alternated, in_child, peak_memory
from brushwork.models.classifier import StyleClassifier
from brushwork.models.synthesis import Stage

from .config import TrainConfig
from .errors import TrainingError
from .objectives import Regime
from .precision import settled_precision
from .restyling import Judges
from .roofline import PRODUCT, Actions, flops_of, limits
from .schedules import phases
from .speed import prepare_process
from .state import TrainingState
from .stopwatch import Stopwatch
from .stylegan2 import PATH_EVERY, StyleGAN2
from .trainer import accelerator_for
from .turns import turn_at
from .updates import Updates

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
    peer: bool = False
    """StyleGAN2 too, in turn with the rest."""


# What is timed
class TimedLoader(Loader):
    """A loader that tells the time it takes."""

    stopwatch: Stopwatch

    def batch_at(self, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        with self.stopwatch.part("data"):
            return super().batch_at(nimg, count, resolution=resolution)


@dataclass(frozen=True, kw_only=True)
class TimedUpdates(Updates):
    """Updates that tell the time which the average takes."""

    stopwatch: Stopwatch

    def _average(self) -> None:
        with self.stopwatch.part("average"):
            super()._average()


class Candidate:
    """A run of `config` at one resolution, on noise."""

    def __init__(self, config: TrainConfig, resolution: int) -> None:
        accelerator = accelerator_for(config)
        self.config, self.stage, device = config, Stage(resolution), accelerator.device
        self.precision = settled_precision(config.precision, device)
        pictures = noise(config.generator.resolution)
        self.state = TrainingState.fresh(config, pictures.style_names, device)
        classifier = StyleClassifier(config.generator.widths, styles=STYLES).requires_grad_(False).to(device)
        self.stopwatch = Stopwatch(device)
        run = config.style_run(1)
        loader = TimedLoader(pictures, config.loader, seed=config.seed, device=device, run=run)
        loader.stopwatch = self.stopwatch
        self.updates = TimedUpdates(
            stopwatch=self.stopwatch,
            config=config, state=self.state, loader=loader, accelerator=accelerator,
            judges=Judges(classifier=classifier, perception=classifier.maps),
            bf16=self.precision == "bf16",
        )  # fmt: skip
        self.device = device

    def step(self, regime: Regime, *, penalty: bool = False) -> None:
        """A step as the trainer takes it; `penalty` is R1's, of every `r1_every`-th."""
        self.state.nimg = 0 if penalty else self.config.batch
        turn = turn_at(self.config, self.state.nimg, regime)
        self.updates.step(self.stage, turn)
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


def noise(resolution: int) -> Pictures:
    generator = torch.Generator().manual_seed(0)
    size = (HELD, 3, resolution, resolution)
    return Pictures(
        images=torch.randint(0, 256, size, generator=generator, dtype=torch.uint8),
        styles=torch.arange(HELD) % STYLES, subjects=tuple(map(str, range(HELD))),
        style_names=tuple(f"style {number}" for number in range(STYLES)), fingerprint="noise",
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
    r1_every: int
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
        return plain + (values.get(f"{name}, {PENALTY}", plain) - plain) / self.r1_every

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
        extra = max(0.0, rare - plain) / self.r1_every
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
        if turn_at(config, 0, regime).has_adversary and config.loss.gamma(resolution, config.batch) > 0:
            actions[f"{regime}, {PENALTY}"] = _stepping(candidate, regime, penalty=True)
    flops = {name: flops_of(action) for name, action in actions.items()}
    peak = _held_at_most(candidate.device)  # the limits below need memory of their own
    kind = torch.bfloat16 if candidate.precision == "bf16" else torch.float32
    tries, work = limits(config.batch, kind, candidate.device)
    others = _peer(config, resolution) if sizes.peer else {}
    found: Timings[object] = alternated({**actions, **others, **tries}, repeats=sizes.repeats)
    speeds = {name: work[name] / found.median(name) for name in tries}
    return Pace(
        resolution=resolution, batch=config.batch, precision=candidate.precision,
        steps={name: found.wall[name] for name in actions}, flops=flops, shares=shares,
        r1_every=config.loss.r1_every, parts=candidate.parts(sizes.repeats) if "sampling" in shares else {},
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
    if sizes.peer and "sampling" not in config.restyle.shares():
        raise TrainingError("--peer compares sampling steps, and this run has none: leave it out.")
    if sizes.peer and config.device == "auto" and torch.cuda.is_available():
        raise TrainingError(
            "--peer times StyleGAN2 as it runs on a processor; on a GPU it has kernels of its own. Add "
            "--device cpu, or leave --peer out."
        )
    sides = [phase.resolution for phase in phases(config.growing, config.generator.resolution)]
    return tuple(in_child(measure, config, side, sizes) for side in sides)
