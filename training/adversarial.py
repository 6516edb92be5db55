"""What the discriminator makes of a batch: real pictures beside drawn ones, and its loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.discriminator import Discriminator
from brushwork.models.layers import full_precision
from brushwork.models.stage import Stage, fade_reals
from brushwork.models.synthesis import Content

from .augment import AugmentConfig, augment
from .losses import (
    LossConfig,
    gradient_penalty,
    logistic_discriminator,
    logistic_generator,
    relativistic_discriminator,
    relativistic_generator,
)
from .restyle import terms
from .rng import Draws


@dataclass(frozen=True, kw_only=True)
class DiscriminatorStats:
    """What a discriminator step saw; detached scalars, means over the batch."""

    loss: Tensor
    real_logit: Tensor
    fake_logit: Tensor
    real_sign: Tensor
    """Mean sign of the real logits: 1 where the discriminator is never fooled, 0 where it guesses."""
    penalties: Mapping[str, Tensor]
    """Unweighted values of `r1`, and of `r2` where there is one, in the steps that take them."""
    critic: Tensor | None = None
    """Cross entropy of the content critic's answers, in nats; log S where it can but guess."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Logits of both kinds of pictures (N,), and what the discriminator has to learn from them."""

    real: Tensor
    fake: Tensor
    total: Tensor
    """Adversarial loss, penalties and critic's loss together."""
    stats: DiscriminatorStats

    def of_generator(self, config: LossConfig) -> Tensor:
        """The generator's side of the same game: a scalar."""
        if config.pairing == "logistic":
            return logistic_generator(self.fake)
        return relativistic_generator(self.real.detach(), self.fake)


def judge(
    discriminator: Discriminator,
    batch: Batch,
    fakes: Tensor,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    *,
    styles: Float[Tensor, "n s"],
    asked: Float[Tensor, "n s"],
    content: Content | None = None,
    gamma: float = 0.0,
) -> Judgement:
    """Scores the batch's pictures under `styles` and `fakes` (N, 3, R, R) under the styles `asked`.

    `gamma` weighs the gradient penalties; 0 leaves them out. The critic, where there is one, reads `content`.
    """
    reals = fade_reals(batch.images, stage.alpha).detach()
    inputs = {} if gamma == 0 else {"r1": reals, "r2": fakes} if loss.r2 else {"r1": reals}
    for images in inputs.values():
        images.requires_grad_()
    seen = [augment(reals, changes, draws), augment(fakes, changes, draws)]
    labels, count = [styles, asked], len(inputs)
    with full_precision(reals):  # penalties differentiate twice, which low precision does not bear
        logits = _score(discriminator, seen[:count], labels[:count], stage, loss, draws)
        penalties = {
            name: gradient_penalty(logit, images)
            for (name, images), logit in zip(inputs.items(), logits, strict=True)
        }
    real, fake = [*logits, *_score(discriminator, seen[count:], labels[count:], stage, loss, draws)]
    pairing = {"logistic": logistic_discriminator, "relativistic": relativistic_discriminator}[loss.pairing]
    adversarial = pairing(real, fake)
    critic = discriminator.content_critic
    told = terms.classifier(critic(content), styles) if critic and content is not None else None
    total = adversarial
    for penalty in penalties.values():
        total = total + gamma * penalty
    if told is not None:
        total = total + told
    return Judgement(
        real=real,
        fake=fake,
        total=total,
        stats=DiscriminatorStats(
            loss=adversarial.detach(),
            real_logit=real.detach().mean(),
            fake_logit=fake.detach().mean(),
            real_sign=real.detach().sign().mean(),
            penalties={name: penalty.detach() for name, penalty in penalties.items()},
            critic=None if told is None else told.detach(),
        ),
    )


def judge_for_both(
    discriminator: Discriminator,
    batch: Batch,
    fakes: Tensor,
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
    *,
    styles: Float[Tensor, "n s"],
    asked: Float[Tensor, "n s"],
    content: Content | None = None,
    gamma: float,
    share: float,
) -> tuple[DiscriminatorStats, Tensor, Tensor]:
    """Adds to the discriminator's gradients those of its loss, times `share`. What it saw; the generator's
    adversarial loss of the same `fakes` (N, 3, R, R); and the wish: the gradient of that by them, times
    `share`."""
    images = fakes.detach().requires_grad_()
    found = judge(
        discriminator, batch, images, stage, loss, changes, draws,
        styles=styles, asked=asked, content=content, gamma=gamma,
    )  # fmt: skip
    learners = list(discriminator.parameters())
    with full_precision(images):
        torch.autograd.backward(found.total * share, inputs=learners, retain_graph=True)
        value = found.of_generator(loss)
        (wish,) = torch.autograd.grad(value * share, images)
    return found.stats, value.detach(), wish


def generator_loss(
    discriminator: Discriminator,
    fakes: Tensor,
    asked: Float[Tensor, "n s"],
    real: tuple[Batch, Tensor],
    stage: Stage,
    loss: LossConfig,
    changes: AugmentConfig,
    draws: Draws,
) -> Tensor:
    """The generator's side of the game for pictures that were asked to have the styles `asked`."""

    def score(images: Tensor, styles: Tensor) -> Tensor:
        seen = augment(images, changes, draws)
        noise = loss.condition_noise
        return discriminator(seen, styles, stage, normal=draws.normal, condition_noise=noise)

    fake = score(fakes, asked)
    if loss.pairing == "logistic":
        return logistic_generator(fake)
    batch, styles = real
    return relativistic_generator(score(fade_reals(batch.images, stage.alpha), styles), fake)


def _score(
    discriminator: Discriminator,
    kinds: list[Tensor],
    styles: list[Tensor],
    stage: Stage,
    config: LossConfig,
    draws: Draws,
) -> list[Tensor]:
    """Logits of several kinds of pictures (or of none), each under its styles: in one pass where that changes
    nothing, that is, where none is to be differentiated and no group of the minibatch statistics would mix
    kinds."""
    if not kinds:
        return []

    def score(images: Tensor, labels: Tensor) -> Tensor:
        noise = config.condition_noise
        return discriminator(images, labels, stage, normal=draw, condition_noise=noise)

    apart = any(images.requires_grad for images in kinds) or len(kinds[0]) % discriminator.group
    copies = 1 if apart else len(kinds)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.cat([draws.normal(shape) for _ in range(copies)])

    if apart:
        return [score(images, labels) for images, labels in zip(kinds, styles, strict=True)]
    return list(score(torch.cat(kinds), torch.cat(styles)).chunk(copies))
