"""Runs of variants of a preset on several collections: data sets, configurations and training."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.files import write_json
from brushwork.data.loader import LoaderConfig, describe, open_pictures
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.icons import fetch_icons
from brushwork.data.sources.modes import write_modes
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.training.adversarial import LossConfig
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import EMAConfig, OptimizerConfig, TrainConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.run.run_folder import RunFolder, differences, plain
from brushwork.training.schedules import GrowingConfig
from brushwork.training.trainer import Trainer

SIDE = 32
"""Resolution of the packed images."""
EMOJI = ("twemoji", "noto", "openmoji", "fluent-emoji", "fluent-emoji-high-contrast", "emojione")
POINTS = 8
"""Snapshots before the last one, at equal intervals."""
FINISHED = "finished.json"
"""In the folder of a run that needs no more training: why it ended."""

COLLECTIONS: Mapping[str, Callable[[Path], object]] = {
    "emoji": partial(fetch_emoji, styles=EMOJI),
    "solar": partial(fetch_icons, "solar"),
    "photographs": fetch_photographs,
    "modes": partial(write_modes, size=SIDE),
    "mingcute": partial(fetch_icons, "mingcute"),
}
"""Functions that write FOLDER/<style>/*, by the name on the command line."""


def packed(name: str, data: Path) -> Path:
    """The data set of a collection below `data`; fetched and packed if it is missing."""
    dataset = data / f"{name}-{SIDE}"
    if not (dataset / "dataset.json").exists():
        COLLECTIONS[name](data / name)
        pack(data / name, dataset, PackConfig(resolution=SIDE))
    return dataset


# Variants
def _before(config: TrainConfig) -> TrainConfig:
    """The preset emoji-32 of version 0.1, written out so that it never changes."""
    return replace(
        config,
        total_kimg=200.0,
        batch=16,
        generator=GeneratorConfig(
            resolution=32, z_dim=128, w_dim=128, mapping_layers=4, mapping_lr=0.1,
            channel_base=768, channel_max=96,
        ),
        discriminator=DiscriminatorConfig(channel_base=768, channel_max=96, minibatch_std="average"),
        loss=LossConfig(gan_loss="logistic", r1_gamma=2.0, r1_interval=8, r2=False, mixing=0.2),
        augment=AugmentConfig(),
        loader=LoaderConfig(),
        optimizer=OptimizerConfig(generator_lr=0.01, discriminator_lr=0.005),
        growing=GrowingConfig(start_resolution=16, fade_kimg=(10.0,), steady_kimg=(40.0,)),
        ema=EMAConfig(half_life_kimg=2.0, rampup=0.1),
    )  # fmt: skip


def _statistics(config: TrainConfig) -> TrainConfig:
    """The same with the minibatch deviation of each feature, in groups of one style."""
    before = _before(config)
    return replace(before, discriminator=replace(before.discriminator, minibatch_std="each"))


VARIANTS: Mapping[str, Callable[[TrainConfig], TrainConfig]] = {
    "default": lambda config: config,
    "before": _before,
    "statistics": _statistics,
}
"""Changes of a preset, by the name on the command line."""


# Runs
@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of a variant on a collection, from a seed."""

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
    """`base` in one thread with its schedule scaled to `minutes`, resumed if it was stopped."""
    interval = replace(base.interval, metrics_kimg=0.0, snapshot_kimg=0.0)
    # `max_minutes` only shortens a schedule, and one thread needs more than a minute for any of them.
    factor = max(1.0, minutes)
    return replace(
        base, data=data, out=out, seed=seed, threads=1, max_minutes=minutes, resume=True,
        total_kimg=base.total_kimg * factor, growing=base.growing.scaled(factor),
        stop_on_collapse=False, interval=interval,
    )  # fmt: skip


def require_same(config: TrainConfig) -> None:
    """Raises TrainingError if the run's folder holds a run of another configuration or of other data."""
    stored = RunFolder(config.out).read()
    if stored is None:
        return
    ours, theirs = plain(asdict(config)), stored.config
    lines = differences(theirs, ours)
    # When a run is resumed these may change; here they decide about the result.
    for name in ("max_minutes", "total_kimg"):
        if theirs.get(name) != ours[name]:
            lines.append(f"{name}: {theirs.get(name)} there, {ours[name]} here")
    if stored.setup.fingerprint != describe(config.data).fingerprint:
        lines.append(f"data: {theirs.get('data')} there was packed of other pictures than {config.data} here")
    if lines:
        raise TrainingError(
            f"{config.out} holds a run of another configuration; choose another --out or restore:\n  "
            + "\n  ".join(lines)
        )


def train(config: TrainConfig) -> bool:
    """Trains to the end and returns True, or False if a signal stopped the run.

    A run that diverges is finished: that is a result, too.
    """
    pictures = open_pictures(config.data, "train", config.loader.cache)
    trainer = Trainer(config, pictures)  # measures how many images this machine trains in the time
    trainer.folder.let_go()
    between = trainer.plan.images / 1000 / (POINTS + 1)
    interval = replace(config.interval, snapshot_kimg=between, checkpoint_kimg=between)
    try:
        outcome = Trainer(replace(config, interval=interval), pictures).run()
    except Diverged as error:
        write_json(config.out / FINISHED, {"reason": f"diverged: {error}"})
        return True
    if outcome.signal is None:
        write_json(config.out / FINISHED, {"reason": outcome.reason, "nimg": outcome.nimg})
    return outcome.signal is None


def snapshots(folder: Path) -> dict[int, Path]:
    """Snapshots of a run by their numbers of images, in order."""
    paths = sorted((folder / "snapshots").glob("generator-*.safetensors"))
    return {int(path.stem.rpartition("-")[2]): path for path in paths}


def seconds_at(nimg: int, folder: Path) -> float:
    """Seconds of training up to image `nimg`, interpolated between the lines of the log."""
    logged = {line["nimg"]: line["seconds"] for line in RunFolder(folder).history() if "seconds" in line}
    return float(np.interp(nimg, [0, *logged], [0.0, *logged.values()]))
