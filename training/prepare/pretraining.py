"""Pretraining without labels."""

from dataclasses import replace

from ..config import TrainConfig
from ..restyle.config import RestyleConfig
from .labels import LabelConfig


def pretraining(config: TrainConfig) -> TrainConfig:
    """The pretraining configuration for `config`: the same networks with encoders, trained to reconstruct
    images and to match two crops of an image, without labels."""
    shapes, growing = replace(config.generator, encoders=True), config.growing
    start = max(growing.start_resolution, shapes.content_resolution)
    return replace(
        config,
        out=config.out.with_name(f"{config.out.name}-pretrained"),
        generator=shapes,
        growing=replace(growing, start_resolution=start),
        restyle=RestyleConfig(sampling=0.0, autoencoding=2.0, contrast=1.0),
        labels=LabelConfig(share=0.0),
        interval=replace(config.interval, metrics_kimg=0.0),
    )
