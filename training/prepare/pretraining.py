"""Pretraining without labels, and runs that start from other weights."""

from dataclasses import replace
from pathlib import Path

import torch

from brushwork.models.generator import Generator
from brushwork.models.snapshot import load_generator

from ..config import TrainConfig
from ..errors import TrainingError
from ..restyle.config import RestyleConfig
from .labels import LabelConfig

BY_STYLE = ("mapping.table", "mapping.average", "style_encoder.table")
"""Tensors with a row for each style; the last row is the null style."""


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


@torch.no_grad()
def init_from(generator: Generator, source: Path) -> None:
    """Copies the weights of a run's newest snapshot, or of a snapshot file, into `generator`.

    Layers that only one of them has (encoders, higher resolutions) are skipped. Rows of styles are matched by
    name.

    Raises:
        ModelError: there is no snapshot.
        TrainingError: a layer of both has another shape, or another AdaIN epsilon.
    """
    theirs = load_generator(source)
    if (before := theirs.config.adain_eps) != generator.config.adain_eps:
        raise TrainingError(
            f"start_from {source} was trained with adain_eps {before:g}, this run has "
            f"{generator.config.adain_eps:g}: set --generator.adain-eps {before:g}."
        )
    ours = generator.state_dict()
    for name, value in theirs.state_dict().items():
        if name not in ours:
            continue
        if name in BY_STYLE and value.shape[1:] == ours[name].shape[1:]:
            ours[name][-1].copy_(value[-1])  # the null style
            for style in set(generator.style_names) & set(theirs.style_names):
                row = generator.style_names.index(style)
                ours[name][row].copy_(value[theirs.style_names.index(style)])
        elif value.shape == ours[name].shape:
            ours[name].copy_(value)
        else:
            raise TrainingError(
                f"start_from {source} has {name} of shape {tuple(value.shape)}, this run of "
                f"{tuple(ours[name].shape)}: give both the same generator options."
            )
