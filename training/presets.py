"""Named configurations. A preset is a function; a variant is `replace(...)` of another."""

from dataclasses import replace
from pathlib import Path

from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.models.norm import EPS

from .adversarial import LossConfig
from .config import EMAConfig, IntervalConfig, OptimizerConfig, TrainConfig
from .restyle.config import RestyleConfig, Term
from .run.metrics import MetricsConfig
from .schedules import GrowingConfig


def stylegan(resolution: int = 256) -> TrainConfig:
    """StyleGAN's networks and growing (Karras 2019) on labelled images: a full training, for GPUs.

    Widths, AdaIN, mixing and the growing schedule are those of the paper. Labels enter the mapping network
    and, by projection (Miyato 2018), the discriminator; R1 is taken on every sixteenth step (Karras 2020);
    and batch and learning rates are the same at all resolutions, where the original changes them.
    """
    return TrainConfig(
        data=Path(f"datasets/pictures-{resolution}"),
        out=Path(f"runs/stylegan-{resolution}"),
        generator=GeneratorConfig(resolution=resolution),
        loss=LossConfig(update_order="alternating", r1_gamma=10.0),
    )


def toy() -> TrainConfig:
    """16 px and tiny networks, to try the commands in seconds on a processor."""
    return TrainConfig(
        data=Path("datasets/emoji-16"),
        out=Path("runs/toy"),
        total_kimg=0.4,
        batch=8,
        generator=GeneratorConfig(
            resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128, channel_max=16
        ),
        discriminator=DiscriminatorConfig(channel_base=128, channel_max=16),
        growing=GrowingConfig(start_resolution=8, fade_kimg=(0.1,), steady_kimg=(0.1,)),
        interval=IntervalConfig(status_kimg=0.1, grid_kimg=0.2, checkpoint_kimg=0.2, snapshot_kimg=0.2),
    )


def emoji_32() -> TrainConfig:
    """Emoji or icons at 32 px on a processor, in minutes: narrow networks and small batches.

    Runs of a few thousand steps need learning rates ten times the published ones, in the mapping network too.
    The loss is R3GAN's with lazy penalties on every eighth step, and AdaIN's epsilon is 1;
    both were chosen on emoji, icons and procedural modes (docs/collapse.md). A step at 8 px takes a third
    or more of the time of one at 32 px, so growing starts at 16 px.
    """
    return TrainConfig(
        data=Path("datasets/emoji-32"),
        out=Path("runs/emoji-32"),
        total_kimg=200.0,
        batch=16,
        generator=GeneratorConfig(
            resolution=32, z_dim=128, w_dim=128, mapping_layers=4, mapping_lr=0.1,
            channel_base=768, channel_max=96, adain_eps=1.0,
        ),
        discriminator=DiscriminatorConfig(channel_base=768, channel_max=96),
        loss=LossConfig(gan_loss="relativistic", r2=True, r1_gamma=2.0, r1_interval=8, mixing=0.2),
        optimizer=OptimizerConfig(generator_lr=0.01, discriminator_lr=0.005),
        growing=GrowingConfig(start_resolution=16, fade_kimg=(10.0,), steady_kimg=(40.0,)),
        ema=EMAConfig(half_life_kimg=2.0, rampup=0.1),
        interval=IntervalConfig(status_kimg=2.0, grid_kimg=10.0, checkpoint_kimg=20.0, snapshot_kimg=0.0),
    )  # fmt: skip


def _restyling(plain: TrainConfig) -> TrainConfig:
    """`plain` with style and content encoders.

    At 32 px a line is one pixel wide, so content also enters at full resolution. The content gives an image
    its shape from the first step on, so there is no growing. Loss, minibatch statistics and AdaIN's epsilon
    are those with which it was tuned.
    """
    return replace(
        plain,
        out=plain.out.with_name(f"{plain.out.name}-restyle"),
        generator=replace(
            plain.generator, encoders=True, content_resolution=16, content_details=True, adain_eps=EPS
        ),
        discriminator=replace(plain.discriminator, minibatch_std="average"),
        loss=LossConfig(r1_gamma=2.0, r1_interval=8, mixing=0.2, label_dropout=0.1),
        growing=GrowingConfig(start_resolution=plain.generator.resolution),
        restyle=RestyleConfig(
            sampling=0.75, restyling=3.0, autoencoding=0.25, cycle=Term(weight=5.0),
            classifier=Term(weight=1.0, rise_kimg=5.0),
        ),
        metrics=MetricsConfig(restyled=("accuracy", "content"), best_by="restyled_accuracy"),
    )  # fmt: skip


def emoji_32_restyle() -> TrainConfig:
    """The preset emoji-32 with style and content encoders."""
    restyling = _restyling(emoji_32())
    interval = replace(restyling.interval, grid_kimg=5.0, checkpoint_kimg=10.0)
    return replace(restyling, total_kimg=80.0, interval=interval)


def emoji_64() -> TrainConfig:
    """Eight styles of emoji at 64 px on a GPU, with a quarter of StyleGAN's widths."""
    return replace(
        emoji_32(),
        data=Path("datasets/emoji-64"),
        out=Path("runs/emoji-64"),
        total_kimg=3000.0,
        batch=64,
        generator=GeneratorConfig(
            resolution=64, z_dim=256, w_dim=256, mapping_layers=4, channel_base=8192, channel_max=256,
            adain_eps=1.0,
        ),
        discriminator=DiscriminatorConfig(channel_base=8192, channel_max=256),
        optimizer=OptimizerConfig(generator_lr=0.0025, discriminator_lr=0.0025),
        growing=GrowingConfig(start_resolution=8, fade_kimg=(100.0,), steady_kimg=(100.0, 200.0, 300.0)),
        ema=EMAConfig(half_life_kimg=10.0, rampup=0.05),
        interval=IntervalConfig(status_kimg=20.0, grid_kimg=200.0, checkpoint_kimg=500.0, snapshot_kimg=0.0),
    )  # fmt: skip


PRESETS: dict[str, tuple[str, TrainConfig]] = {
    "emoji-32": ("six styles of emoji at 32 px; minutes on two processor cores", emoji_32()),
    "emoji-32-restyle": ("emoji-32 that also restyles; minutes on two processor cores", emoji_32_restyle()),
    "emoji-64": ("eight styles of emoji at 64 px; minutes on a GPU", emoji_64()),
    "emoji-64-restyle": ("emoji-64 that also restyles; minutes on a GPU", _restyling(emoji_64())),
    "stylegan-256": ("StyleGAN's networks and growing at 256 px; days on GPUs", stylegan(256)),
    "toy": ("16 px and tiny networks; seconds on a processor, to try the commands", toy()),
}
"""What `brushwork train` offers: a line of help and the configuration, by name."""
