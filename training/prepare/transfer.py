"""Transfer: a run that starts from the networks of another run, on other images or styles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from brushwork.models.discriminator import Discriminator
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.pretrained.frozen import FrozenNetwork, from_notes
from brushwork.models.snapshot import (
    TrainingNetworks,
    find_snapshot,
    load_generator,
    load_training_networks,
    snapshot_header,
)

from ..errors import TrainingError
from ..step import Networks

BY_STYLE = ("mapping.table", "mapping.average", "style_encoder.table", "table")
"""Tensors with a row for each style; the generator's also have a last row, the null style's."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What `start_from` holds."""

    path: Path
    average: Generator
    training: TrainingNetworks | None
    """None in snapshots of a generator alone."""
    looked_through: tuple[FrozenNetwork, ...] = ()
    """Frozen networks that its training looked through."""

    @classmethod
    def load(cls, path: Path) -> "Source":
        """Loads a run's newest snapshot, or a snapshot file. Raises ModelError if there is none."""
        average = load_generator(path)
        notes = snapshot_header(find_snapshot(path)).get("notes", {})
        return cls(
            path=path, average=average, training=load_training_networks(path),
            looked_through=from_notes(notes.get("looked_through", [])),
        )  # fmt: skip

    def describe(self, nets: Networks) -> str:
        """Returns a line on what a run with `nets` takes from here."""
        ours, theirs = nets.generator.style_names, self.average.style_names
        both = "generator, average and discriminator" if self.training else "generator only"
        known = [style for style in ours if style in theirs]
        new = [style for style in ours if style not in theirs]
        rows = [f"the rows of {', '.join(known)}"] if known else []
        if new and self.trained_rows:
            rows.append(f"{', '.join(new)} from the mean of its {len(self.trained_rows)} styles")
        side = self.average.trained_stage.resolution
        rows += [f"layers above {side} px are new"] if nets.generator.config.resolution > side else []
        return f"weights of {self.path} at {side} px: {'; '.join([both, *rows])}"

    @property
    def trained_rows(self) -> list[int]:
        """Rows of the styles that were trained."""
        average = self.average.mapping.average[: len(self.average.style_names)]
        return average.any(dim=1).nonzero().flatten().tolist()

    def require_shape(self, config: GeneratorConfig) -> None:
        """Raises TrainingError unless images have the same aspect, and transparency or none, as here."""
        one, other = config, self.average.config
        if (one.base, one.channels) != (other.base, other.channels):
            raise TrainingError(
                f"start_from {self.path} draws {_shape(other)}, this data set has {_shape(one)}: pack the "
                "images like those of that run (`pack --aspect`, `--alpha`)."
            )

    def require_trained_blocks(self, resolution: int) -> None:
        """Raises TrainingError unless all blocks of a discriminator for `resolution` were trained here."""
        if self.training is None:
            raise TrainingError(
                f"optimizer.frozen_blocks keeps the discriminator of {self.path}, which holds a generator "
                "alone: name the run's folder, or set it to 0."
            )
        if (reached := self.average.trained_stage.resolution) < resolution:
            raise TrainingError(
                f"optimizer.frozen_blocks would freeze blocks above {reached} px, which {self.path} has not "
                "trained: set it to 0."
            )

    @torch.no_grad()
    def copy_into(self, nets: Networks, average: Generator) -> None:
        """Copies all networks; a generator alone serves as the trained one and as the average.

        Layers that only one side has (encoders, higher resolutions) are skipped. Rows of styles are matched
        by name; those of new styles become the mean of the trained ones.

        Raises:
            TrainingError: images have another shape, or a layer of both has, or another AdaIN epsilon.
        """
        one, other = nets.generator.config, self.average.config
        self.require_shape(one)
        ours, theirs = one.adain_eps, other.adain_eps
        if ours != theirs:
            raise TrainingError(
                f"start_from {self.path} was trained with adain_eps {theirs:g}, this run has {ours:g}: set "
                f"--generator.adain-eps {theirs:g}."
            )
        styles = nets.generator.style_names
        self._copy(self.average, average, styles)
        self._copy(self.training.generator if self.training else self.average, nets.generator, styles)
        if self.training:
            self._copy(self.training.discriminator, nets.discriminator, styles)

    def _copy(self, theirs: nn.Module, ours: nn.Module, styles: Sequence[str]) -> None:
        kind, targets = type(ours).__name__.lower(), ours.state_dict()
        for name, value in theirs.state_dict().items():
            if (target := targets.get(name)) is None:
                continue
            if name in BY_STYLE and value.shape[1:] == target.shape[1:]:
                self._copy_rows(value, target, styles)
            elif value.shape == target.shape:
                target.copy_(value)
            else:
                raise TrainingError(
                    f"start_from {self.path} has {name} of shape {tuple(value.shape)}, this run of "
                    f"{tuple(target.shape)}: give both the same {kind} options."
                )

    def _copy_rows(self, theirs: Tensor, ours: Tensor, styles: Sequence[str]) -> None:
        names, trained = self.average.style_names, self.trained_rows
        ours[len(styles) :].copy_(theirs[len(names) :])  # the generator's null style
        for row, style in enumerate(styles):
            if style in names:
                ours[row].copy_(theirs[names.index(style)])
            elif trained:
                ours[row].copy_(theirs[trained].mean(dim=0))


def _shape(config: GeneratorConfig) -> str:
    """Aspect and channels, in words."""
    alpha = "with" if config.channels == 4 else "without"
    return f"images of {config.base_width}:{config.base_height} {alpha} transparency"


def freeze(discriminator: Discriminator, blocks: int) -> None:
    """Freezes the discriminator's first blocks, from the image on (FreezeD, Mo 2020, arXiv:2002.10964).

    Raises:
        TrainingError: it has fewer blocks.
    """
    sides = sorted((int(side) for side in discriminator.blocks), reverse=True)
    if blocks > len(sides):
        raise TrainingError(
            f"optimizer.frozen_blocks is {blocks}, but the discriminator has {len(sides)} blocks; take fewer."
        )
    for side in sides[:blocks]:
        discriminator.from_rgb[str(side)].requires_grad_(False)
        discriminator.blocks[str(side)].requires_grad_(False)
