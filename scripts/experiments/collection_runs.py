"""Runs of variants of a preset on several collections: configurations, training, and what they leave."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brushwork.data.files import write_json
from brushwork.data.loader import LoaderConfig, describe, open_pictures
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.training.adversarial import LossConfig
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import OptimizerConfig, TrainConfig
from brushwork.training.ema import EMAConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.run.run_folder import RunFolder, differences, plain
from brushwork.training.schedules import GrowingConfig
from brushwork.training.trainer import Trainer

POINTS = 8
"""Snapshots before the last one, evenly over the course."""
FINISHED = "finished.json"
"""In the folder of a run that needs no more training: why it ended."""

Change = Callable[[TrainConfig], TrainConfig]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of training, as a change of a preset."""

    about: str
    change: Change


def _before(config: TrainConfig) -> TrainConfig:
    """All that decided the preset emoji-32 of version 0.1, so that it stays what it was."""
    return replace(
        config,
        total_kimg=200.0,
        batch=16,
        generator=GeneratorConfig(
            resolution=32, z_dim=128, w_dim=128, mapping_layers=4, mapping_lr=0.1,
            channel_base=768, channel_max=96,
        ),
        discriminator=DiscriminatorConfig(channel_base=768, channel_max=96, minibatch_std="average"),
        loss=LossConfig(pairing="logistic", r1_gamma=2.0, r1_interval=8, r2=False, mixing=0.2),
        augment=AugmentConfig(),
        loader=LoaderConfig(),
        optimizer=OptimizerConfig(generator_lr=0.01, discriminator_lr=0.005, lr_decay_fraction=0.0),
        growing=GrowingConfig(start_resolution=16, fade_kimg=(10.0,), steady_kimg=(40.0,)),
        ema=EMAConfig(half_life_kimg=2.0, rampup=0.1),
    )  # fmt: skip


def _statistics(config: TrainConfig) -> TrainConfig:
    before = _before(config)
    return replace(before, discriminator=replace(before.discriminator, minibatch_std="each"))


VARIANTS: Mapping[str, Variant] = {
    "default": Variant(about="the preset as it is", change=lambda config: config),
    "before": Variant(about="emoji-32 of version 0.1", change=_before),
    "statistics": Variant(
        about="the same with each feature's minibatch deviation, in groups of one style", change=_statistics
    ),
}
"""By the names that the command line takes. An entry more is a variant more."""


# Configurations
@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: which variant on which collection, from which seed."""

    collection: str
    variant: str
    seed: int
    config: TrainConfig
    evaluators: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.config.out

    @property
    def name(self) -> str:
        return f"{self.collection} {self.variant} seed {self.seed}"

    @property
    def is_finished(self) -> bool:
        return (self.folder / FINISHED).exists()


def run_config(base: TrainConfig, *, data: Path, out: Path, seed: int, minutes: float) -> TrainConfig:
    """`base` in one thread, its course stretched or shortened to `minutes`, which leaves snapshots and goes
    on where it was stopped."""
    interval = replace(base.interval, metrics_kimg=0.0, snapshot_kimg=0.0)
    # `max_minutes` only shortens, and one thread needs more than a minute for any course.
    longer = max(1.0, minutes)
    return replace(
        base, data=data, out=out, seed=seed, threads=1, max_minutes=minutes, resume=True,
        total_kimg=base.total_kimg * longer, growing=base.growing.scaled(longer),
        stop_on_collapse=False, interval=interval,
    )  # fmt: skip


def require_same(config: TrainConfig) -> None:
    """Raises TrainingError where the folder of a run holds one of another configuration or of other data."""
    stored = RunFolder(config.out).read()
    if stored is None:
        return
    ours, theirs = plain(asdict(config)), stored.config
    lines = differences(theirs, ours)
    # These decide how long a run is, and may otherwise differ when it goes on.
    for name in ("max_minutes", "total_kimg"):
        if theirs.get(name) != ours[name]:
            lines.append(f"{name}: {theirs.get(name)} there, {ours[name]} here")
    if stored.facts.fingerprint != describe(config.data).fingerprint:
        lines.append(f"data: {theirs.get('data')} there was packed of other pictures than {config.data} here")
    if lines:
        raise TrainingError(
            f"{config.out} holds a run of another configuration; choose another --out or restore:\n  "
            + "\n  ".join(lines)
        )


# Training
def train(config: TrainConfig) -> bool:
    """Trains to the end, or goes on; whether the run is finished, and not stopped by a signal.

    A run whose numbers are no longer finite is finished: that is a finding about its variant.
    """
    pictures = open_pictures(config.data, "train", config.loader.cache)
    trainer = Trainer(config, pictures)  # measures this machine
    trainer.folder.let_go()
    between = trainer.plan.images / 1000 / (POINTS + 1)
    interval = replace(config.interval, snapshot_kimg=between, checkpoint_kimg=between)
    try:
        outcome = Trainer(replace(config, interval=interval), pictures).run()
    except Diverged as error:
        _finish(config.out, {"reason": f"diverged: {error}"})
        return True
    if outcome.signal is not None:
        return False
    _finish(config.out, {"reason": outcome.reason, "nimg": outcome.nimg})
    return True


def _finish(folder: Path, how: dict[str, Any]) -> None:
    write_json(folder / FINISHED, how)


# What a run left
def snapshots(folder: Path) -> dict[int, Path]:
    """Snapshots by the number of images after which they were written, in order."""
    found = sorted((folder / "snapshots").glob("generator-*.safetensors"))
    return {int(path.stem.rpartition("-")[2]): path for path in found}


def seconds_at(nimg: int, folder: Path) -> float:
    """Seconds of training up to image `nimg`, by the log; straight lines lie between its lines."""
    logged = {line["nimg"]: line["seconds"] for line in RunFolder(folder).history() if "seconds" in line}
    return float(np.interp(nimg, [0, *logged], [0.0, *logged.values()]))
