"""Whose turn it is: the regime of a step decides which algorithm each network follows."""

from dataclasses import dataclass

from brushwork.data.loader import Batch
from brushwork.models.stage import Stage

from .config import TrainConfig
from .restyle.config import Regime
from .restyle.restyling import Judges
from .restyle.steps import autoencoding_step, contrast_step, restyling_step, simultaneous_restyling_step
from .rng import Draws
from .steps import (
    DiscriminatorStats,
    GeneratorStats,
    Networks,
    discriminator_step,
    generator_step,
    simultaneous_step,
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one step trains, and how much labels and terms count in it."""

    regime: Regime
    weights: dict[str, float]
    label_weight: float
    simultaneous: bool
    """Whether both networks learn from the same pictures."""

    @property
    def has_adversary(self) -> bool:
        """Whether the discriminator takes part."""
        return self.regime in ("sampling", "restyling")


def turn_at(config: TrainConfig, nimg: int, regime: Regime | None = None) -> Turn:
    """The step at `nimg`, of the regime that the shares draw unless one is given."""
    regime = regime or config.restyle.regime_at(nimg, config.seed)
    return Turn(
        regime=regime,
        weights=config.restyle.weights_at(nimg),
        label_weight=config.loss.label_weight(nimg),
        simultaneous=regime in ("sampling", "restyling") and config.loss.turns == "simultaneous",
    )


def discriminator_turn(
    config: TrainConfig, nets: Networks, batch: Batch, draws: Draws, stage: Stage, turn: Turn, gamma: float
) -> DiscriminatorStats:
    """Real pictures against drawn or against restyled ones."""
    return discriminator_step(
        nets, batch, stage, config.loss, config.augment, draws, label_weight=turn.label_weight,
        gamma=gamma, share=1 / config.accumulate,
        redraw=config.restyle if turn.regime == "restyling" else None,
    )  # fmt: skip


def simultaneous_turn(
    config: TrainConfig, nets: Networks, judges: Judges, batch: Batch, draws: Draws, stage: Stage, turn: Turn,
    gamma: float,
) -> tuple[DiscriminatorStats, GeneratorStats]:  # fmt: skip
    """Both networks on the same drawn or redrawn pictures."""
    share, label_weight = 1 / config.accumulate, turn.label_weight
    if turn.regime == "restyling":
        return simultaneous_restyling_step(
            nets, judges, batch, stage, config.loss, config.augment, draws, config.restyle,
            weights=turn.weights, label_weight=label_weight, gamma=gamma, share=share,
        )  # fmt: skip
    return simultaneous_step(
        nets, batch, stage, config.loss, config.augment, draws, label_weight=label_weight, gamma=gamma,
        share=share,
    )  # fmt: skip


def generator_turn(
    config: TrainConfig, nets: Networks, judges: Judges, batch: Batch, draws: Draws, stage: Stage, turn: Turn
) -> GeneratorStats:
    """Sampling, restyling, rebuilding or contrast."""
    share, label_weight, weights = 1 / config.accumulate, turn.label_weight, turn.weights
    if turn.regime == "contrast":
        return contrast_step(nets, batch, stage, draws, config.restyle, weights=weights, share=share)
    if turn.regime == "autoencoding":
        return autoencoding_step(
            nets, judges, batch, stage, draws, config.restyle, weights=weights, label_weight=label_weight,
            share=share,
        )  # fmt: skip
    if turn.regime == "restyling":
        return restyling_step(
            nets, judges, batch, stage, config.loss, config.augment, draws, config.restyle,
            weights=weights, label_weight=label_weight, share=share,
        )  # fmt: skip
    return generator_step(
        nets, batch, stage, config.loss, config.augment, draws, label_weight=label_weight, share=share
    )
