"""One training step of each network on pictures that are redrawn, rebuilt or compared, as steps.py."""

import torch
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.generator import Generator
from brushwork.models.layers import full_precision
from brushwork.models.stage import Stage

from ..adversarial import DiscriminatorStats, generator_loss, judge_for_both
from ..augment import AugmentConfig
from ..losses import LossConfig
from ..rng import Draws
from ..steps import GeneratorStats, Networks
from . import terms
from .config import RestyleConfig
from .restyling import (
    Judges,
    Redrawn,
    Terms,
    autoencoding_terms,
    contrast_terms,
    restyle,
    restyling_terms,
    weighted_sum,
)


def restyling_step(
    nets: Networks,
    judges: Judges,
    batch: Batch,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    restyling: RestyleConfig,
    *,
    weights: dict[str, float],
    label_weight: float = 1.0,
    share: float = 1.0,
) -> GeneratorStats:
    """As generator_step, of pictures that are redrawn in the style of others, with the terms of `weights`."""
    styles = batch.styles * label_weight
    redrawn = restyle(nets.generator, batch, styles, stage, restyling, draws, mixing=loss.mixing)
    found: Terms = {}
    if weights["adversarial"]:
        found["adversarial"] = generator_loss(
            nets.discriminator, redrawn.images, redrawn.styles, (batch, styles), stage, loss, changes, draws
        )
    found |= _leak(nets, redrawn, weights)
    found |= restyling_terms(nets.generator, judges, redrawn, batch, styles, stage, restyling, weights, draws)
    return _taught(found, weights, share, _w_sums(nets.generator, redrawn))


def simultaneous_restyling_step(
    nets: Networks,
    judges: Judges,
    batch: Batch,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    restyling: RestyleConfig,
    *,
    weights: dict[str, float],
    label_weight: float = 1.0,
    gamma: float = 0.0,
    share: float = 1.0,
) -> tuple[DiscriminatorStats, GeneratorStats]:
    """discriminator_step and restyling_step on the same redrawn pictures; else as simultaneous_step."""
    generator, styles = nets.generator, batch.styles * label_weight
    redrawn = restyle(generator, batch, styles, stage, restyling, draws, mixing=loss.mixing)
    stats, value, wish = judge_for_both(
        nets.discriminator, batch, redrawn.images, stage, loss, changes, draws,
        styles=styles, asked=redrawn.styles, content=redrawn.content, gamma=gamma, share=share,
    )  # fmt: skip
    found: Terms = {"adversarial": value} if weights["adversarial"] else {}
    found |= _leak(nets, redrawn, weights)
    found |= restyling_terms(generator, judges, redrawn, batch, styles, stage, restyling, weights, draws)
    total = weighted_sum(found, weights)
    # The adversarial loss is a number here, whose gradient by the pictures is the wish.
    tensors, gradients = [redrawn.images], [wish * weights["adversarial"]]
    if total.requires_grad:
        tensors, gradients = [*tensors, total], [*gradients, torch.full_like(total, share)]
    learners = [weight for weight in generator.parameters() if weight.requires_grad]
    with full_precision(wish):
        torch.autograd.backward(tensors, gradients, inputs=learners)
    return stats, _seen(total, found, _w_sums(generator, redrawn))


def autoencoding_step(
    nets: Networks,
    judges: Judges,
    batch: Batch,
    stage: Stage,
    draws: Draws,
    restyling: RestyleConfig,
    *,
    weights: dict[str, float],
    label_weight: float = 1.0,
    share: float = 1.0,
) -> GeneratorStats:
    """Adds the gradients of rebuilding pictures from their own style and content; there is no adversary."""
    styles = batch.styles * label_weight
    found = autoencoding_terms(nets.generator, judges, batch, styles, stage, restyling, weights, draws)
    return _taught(found, weights, share)


def contrast_step(
    nets: Networks,
    batch: Batch,
    stage: Stage,
    draws: Draws,
    restyling: RestyleConfig,
    *,
    weights: dict[str, float],
    share: float = 1.0,
) -> GeneratorStats:
    """Adds to the style encoder's gradients those of telling whose crop is whose; labels are not looked
    at."""
    return _taught(contrast_terms(nets.generator, batch, stage, restyling, draws), weights, share)


def _taught(
    found: Terms, weights: dict[str, float], share: float, w_sums: Tensor | None = None
) -> GeneratorStats:
    """The gradients of the composite, and its parts for the log, without their graphs."""
    total = weighted_sum(found, weights)
    if total.requires_grad:  # all weights may have fallen to 0
        with full_precision(total):
            (total * share).backward()
    return _seen(total, found, w_sums)


def _seen(total: Tensor, found: Terms, w_sums: Tensor | None) -> GeneratorStats:
    seen = {name: value.detach() for name, value in found.items()}
    return GeneratorStats(loss=total.detach(), w_sums=w_sums, terms=seen)


def _w_sums(generator: Generator, redrawn: Redrawn) -> Tensor:
    return generator.mapping.style_sums(redrawn.mapped.detach().float(), redrawn.goals)


def _leak(nets: Networks, redrawn: Redrawn, weights: dict[str, float]) -> Terms:
    """What the content critic reads of the styles, where there is one."""
    critic = nets.discriminator.content_critic
    if critic is None or not weights["leak"]:
        return {}
    return {"leak": terms.leak(critic(redrawn.content))}
