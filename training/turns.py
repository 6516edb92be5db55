"""Whose turn it is: the regime of a step decides which algorithm each network follows."""

from brushwork.data.loader import Batch
from brushwork.models.synthesis import Stage

from .config import TrainConfig
from .draws import Draws
from .restyling import Regime
from .steps import (
    DiscriminatorStats,
    GeneratorStats,
    Networks,
    autoencoding_step,
    discriminator_step,
    generator_step,
    restyling_step,
)


def regime_of(config: TrainConfig, nimg: int) -> Regime:
    """What the step at `nimg` trains."""
    return config.restyle.regime_at(nimg, config.seed)


def discriminator_turn(
    config: TrainConfig, nets: Networks, batch: Batch, draws: Draws, stage: Stage, nimg: int, gamma: float
) -> DiscriminatorStats:
    """Real pictures against drawn or against restyled ones."""
    return discriminator_step(
        nets, batch, stage, config.loss, config.augment, draws, label_weight=config.loss.label_weight(nimg),
        gamma=gamma, share=1 / config.accumulate,
        redraw=config.restyle if regime_of(config, nimg) == "restyling" else None,
    )  # fmt: skip


def generator_turn(
    config: TrainConfig, nets: Networks, batch: Batch, draws: Draws, stage: Stage, nimg: int
) -> GeneratorStats:
    """Sampling, restyling or rebuilding."""
    regime, weights = regime_of(config, nimg), config.restyle.weights_at(nimg)
    label_weight, share = config.loss.label_weight(nimg), 1 / config.accumulate
    if regime == "autoencoding":
        return autoencoding_step(
            nets, batch, stage, draws, weights=weights, label_weight=label_weight, share=share
        )
    if regime == "restyling":
        return restyling_step(
            nets, batch, stage, config.loss, config.augment, draws, restyling=config.restyle,
            weights=weights, label_weight=label_weight, share=share,
        )  # fmt: skip
    return generator_step(
        nets, batch, stage, config.loss, config.augment, draws, label_weight=label_weight, share=share
    )
