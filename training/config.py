"""The whole configuration of a training run, composed of the parts' own; its docstrings are the `--help`."""

from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from brushwork.data.loader import LoaderConfig
from brushwork.models.device import DeviceName
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.models.layers import group_size
from brushwork.models.options import Batch, Duration, Kimg, LearningRate, Seed, Share, Threads, options

from .adversarial import LossConfig
from .augment import AugmentConfig
from .ema import EMAConfig
from .errors import TrainingError
from .prepare.classifier import ClassifierConfig
from .prepare.labels import LabelConfig
from .restyle.config import RestyleConfig
from .run.metrics import MetricsConfig
from .schedules import GrowingConfig
from .speed import SpeedConfig

Precision = Literal["auto", "fp32", "bf16"]


@options
class OptimizerConfig:
    """Adam with beta1 = 0, as in every StyleGAN; its state is reset when a new resolution starts."""

    generator_lr: LearningRate = 0.001
    """Learning rate of the generator."""
    discriminator_lr: LearningRate = 0.001
    """Learning rate of the discriminator."""
    lr_decay_fraction: Share = 0.0
    """Share of the run, at its end, over which both learning rates fall in a line to 0. A run that is
    lengthened afterwards takes them up again."""
    beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Decay of the second moment."""
    eps: Annotated[float, Interval(ge=1e-30, le=1)] = 1e-8
    """Keeps the division finite."""


@options
class IntervalConfig:
    """How often the loop pauses for a chore, in thousands of images; 0 turns a chore off."""

    status_kimg: Kimg = 1.0
    """A line of losses and speed, to the terminal, metrics.jsonl and the trackers."""
    grid_kimg: Kimg = 10.0
    """A grid of samples from fixed codes; one is drawn at the end of every resolution, too."""
    checkpoint_kimg: Kimg = 10.0
    """The full state, to resume from; the two newest are kept."""
    snapshot_kimg: Kimg = 50.0
    """The averaged generator alone, to sample from; all are kept, and one is written at the end."""
    metrics_kimg: Kimg = 0.0
    """A measurement of samples: see `metrics`."""


@options
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


@options
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
    total_kimg: Duration = 25000.0
    """Length of the run. One that is too short for the course of growing goes through it faster, and so ends
    at the final resolution."""
    max_minutes: Duration | None = None
    """Time for training, over all sessions of a run. The course of growing is shortened to fit, by a short
    measurement of this machine and at every tick by what steps really take; training stops at that time, or
    after total_kimg. None: no limit."""
    stop_on_collapse: bool = False
    """Stop, with exit code 3, when some style has drawn one and the same picture for five ticks in a row."""
    batch: Batch = 32
    """Pictures in a step, over all processes."""
    accumulate: Batch = 1
    """Parts that a process takes its share of the batch in, one after another, to save memory. A part should
    hold whole groups of the minibatch statistics."""
    seed: Seed = 0
    """Everything random follows from it."""
    precision: Precision = "auto"
    """fp32, bf16 (autocast), or auto: bf16 where a short measurement finds it faster. Penalties are fp32."""
    device: DeviceName = "auto"
    """Where the networks run: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or
    mps. Of several processes with cuda, each takes a GPU of its own."""
    threads: Threads = 0
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
    interval: IntervalConfig = field(default_factory=IntervalConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    trackers: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
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
    "interval",
    "metrics",
    "trackers",
)
"""Fields that may differ when a run is resumed: none changes what a step computes, but for rounding."""
