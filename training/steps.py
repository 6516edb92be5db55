"""One training step of each network, written as the algorithm: no device, no logging, no optimizer."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.discriminator import Discriminator
from brushwork.models.generator import Generator
from brushwork.models.layers import Normal, full_precision
from brushwork.models.mapping import mix
from brushwork.models.stage import Stage, layer_count, resolutions

from .adversarial import DiscriminatorStats, generator_loss, judge, judge_for_both
from .augment import AugmentConfig
from .losses import LossConfig
from .restyle.config import RestyleConfig
from .restyle.restyling import Terms, cutoffs, restyle
from .rng import Draws


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The two players."""

    generator: Generator
    discriminator: Discriminator


@dataclass(frozen=True, kw_only=True)
class Fakes:
    """Generated pictures (N, 3, R, R), with the first style code of each (N, D)."""

    images: Tensor
    w: Tensor


@dataclass(frozen=True, kw_only=True)
class GeneratorStats:
    """What a generator step saw."""

    loss: Tensor
    """All of it: the adversarial loss, and terms times their weights."""
    w_sums: Tensor | None
    """`MappingNetwork.style_sums` of the batch, for the running averages of w; None where nothing was
    mapped."""
    terms: Terms = field(default_factory=dict)
    """Terms of the composite loss, unweighted (`objectives.TERMS`); none in sampling."""


def drawn_ahead(normal: Normal, stage: Stage) -> Normal:
    """The noise of a pass through the synthesis, all drawn in one call, which takes less time than one for
    each layer; and now, since compiled code has no random numbers of its own."""
    sides = [side for side in resolutions(stage.resolution) for _ in range(2)]
    parts = normal((sum(side**2 for side in sides),)).split([side**2 for side in sides], dim=1)
    maps = [part.unflatten(1, (1, side, side)) for side, part in zip(sides, parts, strict=True)]
    return lambda shape: maps.pop(0)


def visible_labels(batch: Batch, loss: LossConfig, draws: Draws, label_weight: float) -> Float[Tensor, "n s"]:
    """The styles of the batch as both networks see them."""
    styles = batch.styles * label_weight
    if loss.label_dropout:
        styles = styles * (draws.uniform() >= loss.label_dropout)[:, None]
    return styles


def generate(
    generator: Generator, styles: Float[Tensor, "n s"], stage: Stage, config: LossConfig, draws: Draws
) -> Fakes:
    """Fresh pictures of the given styles. A share `config.mixing` of them mixes two codes of the same style,
    the cutoff drawn over the layers that are active at this stage."""
    mapping, active = generator.mapping, layer_count(stage.resolution)
    of_each = 2 if config.mixing else 1  # codes of a picture; two take little longer in one pass than one

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.cat([draws.normal(shape) for _ in range(of_each)])

    labels, noise = styles.repeat(of_each, 1), config.condition_noise
    drawn = mapping(draw((mapping.z_dim,)), labels, normal=draw, condition_noise=noise)
    w, second = drawn[: len(styles)], drawn[-len(styles) :]
    codes = mix(w, second, cutoffs(draws, config.mixing, low=1, active=active), layers=active)
    ahead = drawn_ahead(draws.normal, stage)
    return Fakes(images=generator.synthesis(codes, stage, ahead), w=w)


def discriminator_step(
    nets: Networks,
    batch: Batch,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    *,
    label_weight: float = 1.0,
    gamma: float = 0.0,
    share: float = 1.0,
    redraw: RestyleConfig | None = None,
) -> DiscriminatorStats:
    """Adds to the discriminator's gradients those of its loss, times `share`.

    `gamma` weighs the R1 penalty in this step; 0 leaves it out. With `redraw` the pictures to tell from real
    ones are restyled ones.
    """
    styles, content = batch.styles * label_weight, None
    with torch.no_grad():
        if redraw is None:
            asked = styles = visible_labels(batch, loss, draws, label_weight)
            fakes = generate(nets.generator, styles, stage, loss, draws).images
        else:
            redrawn = restyle(nets.generator, batch, styles, stage, redraw, draws, mixing=loss.mixing)
            fakes, asked, content = redrawn.images, redrawn.styles, redrawn.content
    found = judge(
        nets.discriminator, batch, fakes, stage, loss, changes, draws,
        styles=styles, asked=asked, content=content, gamma=gamma,
    )  # fmt: skip
    with full_precision(found.total):
        (found.total * share).backward()
    return found.stats


def generator_step(
    nets: Networks,
    batch: Batch,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    *,
    label_weight: float = 1.0,
    share: float = 1.0,
) -> GeneratorStats:
    """Adds to the generator's gradients those of its loss, times `share`. The discriminator should be
    frozen."""
    styles = visible_labels(batch, loss, draws, label_weight)
    fakes = generate(nets.generator, styles, stage, loss, draws)
    value = generator_loss(
        nets.discriminator, fakes.images, styles, (batch, styles), stage, loss, changes, draws
    )
    with full_precision(value):
        (value * share).backward()
    w_sums = nets.generator.mapping.style_sums(fakes.w.detach().float(), styles)
    return GeneratorStats(loss=value.detach(), w_sums=w_sums)


def simultaneous_step(
    nets: Networks,
    batch: Batch,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    *,
    label_weight: float = 1.0,
    gamma: float = 0.0,
    share: float = 1.0,
) -> tuple[DiscriminatorStats, GeneratorStats]:
    """discriminator_step and generator_step on the same generated pictures: drawn once and scored once.

    The generator's gradient comes through the discriminator as it is before this step, where in turns it
    comes through the one that has just learned.
    """
    styles = visible_labels(batch, loss, draws, label_weight)
    fakes = generate(nets.generator, styles, stage, loss, draws)
    stats, value, wish = judge_for_both(
        nets.discriminator, batch, fakes.images, stage, loss, changes, draws,
        styles=styles, asked=styles, gamma=gamma, share=share,
    )  # fmt: skip
    with full_precision(wish):
        fakes.images.backward(wish)
    w_sums = nets.generator.mapping.style_sums(fakes.w.detach().float(), styles)
    return stats, GeneratorStats(loss=value, w_sums=w_sums)
