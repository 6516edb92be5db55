"""The configuration of a training run. Its docstrings are the texts of `brushwork train --help`."""

from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from annotated_types import Interval

from brushwork.data.loader import ImageDataset, LoaderConfig, StoredDataset
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.models.layers import group_size
from brushwork.models.options import (
    BatchSize,
    DeviceName,
    Duration,
    Kimg,
    LearningRate,
    Seed,
    Threads,
    options,
)

from .adversarial import LossConfig
from .augment import AugmentConfig
from .errors import TrainingError
from .prepare.classifier import ClassifierConfig
from .prepare.labels import LabelConfig
from .restyle.config import RestyleConfig
from .run.metrics import MetricsConfig
from .schedules import GrowingConfig

Precision = Literal["auto", "fp32", "bf16"]


@options
class OptimizerConfig:
    """Adam with beta1 = 0, as in every StyleGAN; its state is reset when a new resolution starts."""

    generator_lr: LearningRate = 0.001
    """Learning rate of the generator."""
    discriminator_lr: LearningRate = 0.001
    """Learning rate of the discriminator."""
    frozen_blocks: Annotated[int, Interval(ge=0, le=16)] = 0
    """Blocks of the discriminator, from the image on, that keep the weights of --start-from (FreezeD)."""


@options
class EMAConfig:
    """Half-life of the moving average of the generator's weights, which is sampled and measured."""

    half_life_kimg: Duration = 10.0
    """Thousands of images after which a weight counts half."""
    rampup: Annotated[float, Interval(ge=0, le=1000)] = 0.05
    """The half-life is at most this share of the images seen so far; 0: no such limit."""

    def decay(self, nimg: int, batch: int) -> float:
        """Weight of the old average in a step of `batch` images: 0.5 ** (batch / half-life)."""
        half_life = self.half_life_kimg * 1000
        if self.rampup:
            half_life = min(half_life, nimg * self.rampup)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0


@options
class IntervalConfig:
    """Intervals of logging and saving, in thousands of images; 0 turns one off."""

    status_kimg: Kimg = 1.0
    """Status line and log entry: losses, speed, diversity."""
    grid_kimg: Kimg = 10.0
    """Grid of samples of fixed latent codes; there is also one at the end of every resolution."""
    checkpoint_kimg: Kimg = 10.0
    """Checkpoint of the full state, to resume from; the two newest are kept."""
    snapshot_kimg: Kimg = 50.0
    """Snapshot of the averaged generator, to sample from; all are kept."""
    metrics_kimg: Kimg = 0.0
    """Metrics of samples (see `metrics`)."""


@options
class TrackerConfig:
    """Experiment trackers beside metrics.jsonl."""

    use: tuple[Literal["wandb", "tensorboard"], ...] = ()
    """Trackers to log to."""
    project: str = "brushwork"
    """Project name."""
    group: str | None = None
    """Group of runs in wandb; `brushwork tune` sets its folder's name."""
    wandb_mode: Literal["online", "offline", "disabled"] = "offline"
    """offline needs no account or network; upload later with `wandb sync`."""


@options
class TrainConfig:
    """One training run. Its clock is the number of images seen, nimg, in thousands kimg."""

    data: Path = Path("datasets/emoji-32")
    """Packed data set (see `brushwork pack`)."""
    out: Path = Path("runs/train")
    """Run folder: config.json, metrics.jsonl, samples/, checkpoints/, snapshots/."""
    start_from: Path | None = None
    """Run, snapshot file or Hub repository of equal widths whose networks this run starts from, where growing
    had got to there. Only a run's folder, or its snapshot `latest`, has the discriminator, too."""
    resume: bool = False
    """Continue from the newest checkpoint in the run folder; without one, start from the beginning."""
    total_kimg: Duration = 25000.0
    """Length of the run. A run too short for the growing schedule goes through it faster, so that it ends at
    the final resolution."""
    max_minutes: Duration | None = None
    """Time limit for training, over all sessions of a run; None: no limit. The growing schedule is shortened
    to fit, by a measurement of this machine and then by the speed that each status line shows."""
    stop_on_collapse: bool = False
    """Stop, with exit code 3, when a style collapses: all samples alike in five status lines in a row."""
    patience: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Stop after so many measurements (`interval.metrics_kimg`) without a better `metrics.best_by`, or with
    near-copies in more than a tenth of the samples, if `metrics.names` has copies; 0: never. The best
    snapshot is kept."""
    batch: BatchSize = 32
    """Images per step, over all processes."""
    accumulate: BatchSize = 1
    """Parts of each process's share of the batch, to save memory. A part should hold whole groups of the
    minibatch statistics."""
    seed: Seed = 0
    """Seed of everything random."""
    tuned_by: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Evaluators by which `brushwork tune` chose these settings."""
    precision: Precision = "auto"
    """fp32, bf16 (autocast), or auto: the faster one by a short measurement. Penalties are in fp32."""
    device: DeviceName = "auto"
    """Where the networks run: auto (the CUDA GPU if there is one, else the processor), cpu, cuda, cuda:N or
    mps. Of several processes with cuda, each takes a GPU of its own."""
    threads: Threads = 0
    """Threads of each process; 0: OMP_NUM_THREADS, or else the cores divided among the processes."""
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
    interval: IntervalConfig = field(default_factory=IntervalConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    trackers: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        if self.growing.start_resolution > self.generator.resolution:
            raise TrainingError(
                f"growing.start_resolution is {self.growing.start_resolution}, above generator.resolution "
                f"{self.generator.resolution}; lower the one or raise the other."
            )
        if self.patience and not self.interval.metrics_kimg:
            raise TrainingError(
                f"patience is {self.patience}, but nothing is measured: set --interval.metrics-kimg."
            )
        if self.optimizer.frozen_blocks and self.start_from is None:
            raise TrainingError(
                "optimizer.frozen_blocks keeps a trained discriminator: name its run by --start-from."
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

    def fitted_to(self, dataset: ImageDataset | StoredDataset) -> "TrainConfig":
        """The same run with networks for images of the data set's shape."""
        height, width = dataset.base
        shape = {"base_height": height, "base_width": width, "channels": dataset.channels}
        return replace(self, generator=replace(self.generator, **shape))

    def rows_of(self, processes: int) -> int:
        """Images of the batch in one part of one process.

        Raises:
            TrainingError: the batch is not divisible by processes x parts.
        """
        parts = processes * self.accumulate
        if self.batch % parts:
            raise TrainingError(
                f"batch {self.batch} does not divide into {processes} processes x {self.accumulate} parts; "
                f"take a multiple of {parts}."
            )
        return self.batch // parts

    def style_run(self, processes: int) -> int:
        """Number of neighbours in a batch that share a style: the group of the minibatch statistics.

        Statistics within a style show whether the style collapses. The number is 1 (any styles) if the
        statistics are averaged as in Karras 2018, or if images are restyled toward their neighbours.
        """
        if self.discriminator.minibatch_std == "average" or self.restyle.restyling:
            return 1
        return group_size(self.rows_of(processes), self.discriminator.minibatch_group)


FREE_TO_CHANGE = (
    "data", "out", "resume", "total_kimg", "max_minutes", "stop_on_collapse", "patience", "device", "threads",
    "accumulate", "interval", "metrics", "trackers",
)  # fmt: skip
"""Fields that may change on resume: at a given stage they change nothing that a step computes, except for
rounding."""
