"""The whole configuration of a training run, composed of the parts' own; its docstrings are the `--help`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from brushwork.data.loader import LoaderConfig
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.models.layers import group_size

from .augment import AugmentConfig
from .classifying import ClassifierConfig
from .ema import EMAConfig
from .errors import TrainingError
from .labels import LabelConfig
from .losses import LossConfig
from .metrics import MetricsConfig
from .objectives import RestyleConfig
from .schedules import GrowingConfig
from .speed import SpeedConfig

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam with beta1 = 0, as in every StyleGAN; its state is reset when a new resolution starts."""

    generator_lr: float = 0.001
    """Learning rate of the generator."""
    discriminator_lr: float = 0.001
    """Learning rate of the discriminator."""
    cooldown: float = 0.0
    """Share of the run, at its end, over which both learning rates fall in a line to 0. A run that is
    lengthened afterwards takes them up again."""
    beta2: float = 0.99
    """Decay of the second moment."""
    eps: float = 1e-8
    """Keeps the division finite."""

    def __post_init__(self) -> None:
        for name in ("generator_lr", "discriminator_lr", "eps"):
            if getattr(self, name) <= 0:
                raise TrainingError(f"optimizer.{name} is {getattr(self, name)}; it must be above 0.")
        if not 0 <= self.cooldown <= 1:
            raise TrainingError(f"optimizer.cooldown is {self.cooldown}; it is a share, from 0 to 1.")
        if not 0 <= self.beta2 < 1:
            raise TrainingError(
                f"optimizer.beta2 is {self.beta2}; it must lie from 0 up to, not including, 1."
            )


@dataclass(frozen=True, kw_only=True)
class CadenceConfig:
    """How often the loop pauses for a chore, in thousands of images; 0 turns a chore off."""

    tick_kimg: float = 1.0
    """A line of losses and speed, to the terminal, metrics.jsonl and the trackers."""
    grid_kimg: float = 10.0
    """A grid of samples from fixed codes; one is drawn at the end of every resolution, too."""
    checkpoint_kimg: float = 10.0
    """The full state, to resume from; the two newest are kept."""
    snapshot_kimg: float = 50.0
    """The averaged generator alone, to sample from; all are kept, and one is written at the end."""
    metrics_kimg: float = 0.0
    """A measurement of samples: see `metrics`."""

    def __post_init__(self) -> None:
        for name in ("tick_kimg", "grid_kimg", "checkpoint_kimg", "snapshot_kimg", "metrics_kimg"):
            if getattr(self, name) < 0:
                raise TrainingError(f"every.{name} is {getattr(self, name)}; it must be 0 (off) or more.")


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Experiment trackers, through Accelerate."""

    use: tuple[Literal["wandb", "tensorboard"], ...] = ()
    """Trackers to log to, beside metrics.jsonl."""
    project: str = "brushwork"
    """Their project's name."""
    group: str | None = None
    """Collects runs under one name in wandb; tuning takes its folder's."""
    wandb_mode: Literal["online", "offline", "disabled"] = "offline"
    """offline needs no account and no network; `wandb sync` uploads it later."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Everything is counted in images seen (nimg), in thousands (kimg)."""

    data: Path = Path("datasets/emoji-32")
    """Packed data set to train on (see `brushwork pack`)."""
    out: Path = Path("runs/train")
    """Folder that the run fills: config.json, metrics.jsonl, samples/, checkpoints/, snapshots/."""
    start_from: Path | None = None
    """A run or snapshot whose generator this one starts from: one of `brushwork pretrain`, or any other of
    the same widths."""
    resume: bool = False
    """Go on from the newest checkpoint of the run folder; starts afresh where there is none."""
    total_kimg: float = 25000.0
    """Length of the run. One that is too short for the course of growing goes through it faster, and so ends
    at the final resolution."""
    max_minutes: float | None = None
    """Time for training, over all sessions of a run. The course of growing is shortened to fit, by a short
    measurement of this machine and at every tick by what steps really take; training stops at that time, or
    after total_kimg. None: no limit."""
    stop_on_collapse: bool = False
    """Stop, with exit code 3, when some style has drawn one and the same picture for five ticks in a row."""
    batch: int = 32
    """Pictures in a step, over all processes."""
    accumulate: int = 1
    """Parts that a process takes its share of the batch in, one after another, to save memory. A part should
    hold whole groups of the minibatch statistics."""
    seed: int = 0
    """Everything random follows from it."""
    precision: Precision = "auto"
    """fp32, bf16 (autocast), or auto: bf16 where a short measurement finds it faster. Penalties are fp32."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes what Accelerate finds; cpu keeps to the processor."""
    threads: int = 0
    """Processor threads of each process; 0: OMP_NUM_THREADS, or else the cores divided among the
    processes."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    restyle: RestyleConfig = field(default_factory=RestyleConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    growing: GrowingConfig = field(default_factory=GrowingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    every: CadenceConfig = field(default_factory=CadenceConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    trackers: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.accumulate < 1:
            raise TrainingError(
                f"batch is {self.batch} and accumulate {self.accumulate}; both must be 1 or more."
            )
        if self.total_kimg <= 0:
            raise TrainingError(f"total_kimg is {self.total_kimg}; it must be above 0.")
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise TrainingError(f"max_minutes is {self.max_minutes}; it must be above 0.")
        if self.growing.start_resolution > self.generator.resolution:
            raise TrainingError(
                f"growing.start_resolution is {self.growing.start_resolution}, above generator.resolution "
                f"{self.generator.resolution}; lower the one or raise the other."
            )

        if self.restyle.needs_encoders and not self.generator.encoders:
            raise TrainingError(
                "restyle.restyling, autoencoding and contrast need encoders: set --generator.encoders."
            )
        if self.restyle.uses("paired") and not self.loader.paired:
            raise TrainingError(
                "restyle.paired compares with the same subject in the other style: set --loader.paired, or "
                "its weight to 0."
            )
        if self.metrics.restyled and not self.generator.encoders:
            raise TrainingError("metrics.restyled needs encoders: set --generator.encoders.")
        if self.generator.encoders and self.growing.start_resolution < self.generator.content_resolution:
            raise TrainingError(
                f"growing.start_resolution is {self.growing.start_resolution}, below "
                f"generator.content_resolution {self.generator.content_resolution}, where content enters; "
                "raise the one or lower the other."
            )

    def rows_of(self, processes: int) -> int:
        """Pictures that one process takes at once.

        Raises:
            TrainingError: the batch does not divide among the processes and their parts.
        """
        parts = processes * self.accumulate
        if self.batch % parts:
            raise TrainingError(
                f"batch {self.batch} does not divide into {processes} processes x {self.accumulate} parts; "
                f"take a multiple of {parts}."
            )
        return self.batch // parts

    def style_run(self, processes: int) -> int:
        """How many neighbours in a batch share their style: those that the minibatch statistics compare, so
        that these tell one picture a style from many. 1, that is any styles, where the statistics are
        averaged as in the original, where pictures are restyled toward their neighbours, and where the
        networks see no label at first and could not follow."""
        averaged = self.discriminator.minibatch_std == "average"
        if averaged or self.restyle.restyling or self.loss.ramp_end_kimg:
            return 1
        return group_size(self.rows_of(processes), self.discriminator.minibatch_group)


FREE_TO_CHANGE = (
    "data",
    "out",
    "resume",
    "total_kimg",
    "max_minutes",
    "stop_on_collapse",
    "device",
    "threads",
    "accumulate",
    "speed",
    "every",
    "metrics",
    "trackers",
)
"""Fields that may differ when a run is resumed: none changes what a step computes, but for rounding."""
