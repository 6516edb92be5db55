"""The adversarial losses: LossConfig, the losses of logits, and their gradients for a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.models.discriminator import Discriminator
from brushwork.models.layers import full_precision
from brushwork.models.options import Count, Share, Weight, options
from brushwork.models.stage import Stage

from .augment import AugmentConfig, augment
from .rng import BatchRNG

Scalar = Float[Tensor, ""]


@options
class LossConfig:
    """The adversarial objective."""

    gan_loss: Literal["logistic", "relativistic"] = "logistic"
    """logistic: non-saturating (Goodfellow 2014); relativistic: real and fake scored as a pair
    (Jolicoeur-Martineau 2018). With r2 the latter is R3GAN's loss (Huang 2024)."""
    update_order: Literal["simultaneous", "alternating"] = "simultaneous"
    """simultaneous: both networks learn from the same generated images in one pass; alternating: the
    discriminator is updated first, and the generator then learns from images of its own, which takes a
    quarter to a third more time."""
    r1_gamma: Weight | Literal["auto"] = "auto"
    """Weight of the gradient penalty gamma / 2 * E ||grad D(real)||^2; auto is 0.0002 * resolution^2 /
    batch."""
    r1_interval: Count = 16
    """Steps between penalties; each counts this many times (lazy regularisation, StyleGAN2)."""
    r2: bool = False
    """Penalise the discriminator's gradient on generated images, too (R2), as often and as much as R1."""
    mixing: Share = 0.9
    """Probability that a generated image mixes two codes of its style at a random active layer."""
    label_dropout: Share = 0.0
    """Share of generated images, and of the real ones beside them, whose style is hidden from both networks,
    so that the generator learns the null style."""

    def gamma(self, resolution: int, batch: int) -> float:
        """R1's weight; `auto` is StyleGAN2-ADA's rule of thumb."""
        return 0.0002 * resolution**2 / batch if self.r1_gamma == "auto" else float(self.r1_gamma)


def logistic_discriminator(real: Float[Tensor, "n"], fake: Float[Tensor, "n"]) -> Scalar:
    """-log sigmoid(D(real)) - log(1 - sigmoid(D(fake))) (Goodfellow 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_generator(fake: Float[Tensor, "n"]) -> Scalar:
    """-log sigmoid(D(fake)): the non-saturating form."""
    return F.softplus(-fake).mean()


def relativistic_discriminator(real: Float[Tensor, "n"], fake: Float[Tensor, "n"]) -> Scalar:
    """softplus(D(fake) - D(real)), pair by pair (Jolicoeur-Martineau 2018; Huang 2024, arXiv:2501.05441)."""
    return F.softplus(fake - real).mean()


def relativistic_generator(real: Float[Tensor, "n"], fake: Float[Tensor, "n"]) -> Scalar:
    """softplus(D(real) - D(fake)), pair by pair."""
    return F.softplus(real - fake).mean()


def gradient_penalty(logits: Float[Tensor, "n"], images: Float[Tensor, "n c h w"]) -> Scalar:
    """1/2 * E ||d logit / d image||^2, to be weighted by gamma: R1 of real images and R2 of generated ones
    (Mescheder 2018, arXiv:1801.04406, eq. 9 and 10). `images` must require gradients."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()


# A batch
@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images (N, 3, R, R) in [-1, 1] and the style weights (N, S) under which they are scored."""

    images: Tensor
    styles: Tensor


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the discriminator sees images in this step."""

    stage: Stage
    loss: LossConfig
    augment: AugmentConfig
    rng: BatchRNG
    augment_p: float = 0.0
    """Probability of each adaptive change (ADA)."""
    gamma: float = 0.0
    """Weight of the gradient penalties in this step; 0 leaves them out."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorStats:
    """Detached scalars for the log, means over the batch."""

    loss: Tensor
    real_logit: Tensor
    fake_logit: Tensor
    penalties: Mapping[str, Tensor]
    """Unweighted values of `r1`, and of `r2` if it is used, in steps that take them."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorLoss:
    """The discriminator's loss of a batch, with the logits (N,) that it comes from."""

    total: Tensor
    """Adversarial loss plus weighted penalties."""
    real: Tensor
    fake: Tensor
    stats: DiscriminatorStats

    def generator_loss(self, config: LossConfig) -> Tensor:
        """The generator's loss from the same logits."""
        if config.gan_loss == "logistic":
            return logistic_generator(self.fake)
        return relativistic_generator(self.real.detach(), self.fake)


def discriminator_loss(
    discriminator: Discriminator, reals: LabelledImages, fakes: LabelledImages, how: Scoring
) -> DiscriminatorLoss:
    """Scores real and generated images; with `how.gamma` also takes the gradient penalties."""
    images = [reals.images.detach(), fakes.images]
    names = ("r1", "r2")[: 0 if how.gamma == 0 else 2 if how.loss.r2 else 1]
    count = len(names)
    for differentiated in images[:count]:
        differentiated.requires_grad_()
    seen = [augment(each, how.augment, how.rng, how.augment_p) for each in images]
    styles = [reals.styles, fakes.styles]
    with full_precision(fakes.images):  # penalties differentiate twice, for which low precision is too coarse
        logits = _logits(discriminator, seen[:count], styles[:count], how)
        penalties = {
            name: gradient_penalty(logit, image)
            for name, logit, image in zip(names, logits, images[:count], strict=True)
        }
    real, fake = [*logits, *_logits(discriminator, seen[count:], styles[count:], how)]
    losses = {"logistic": logistic_discriminator, "relativistic": relativistic_discriminator}
    total = adversarial = losses[how.loss.gan_loss](real, fake)
    for penalty in penalties.values():
        total = total + how.gamma * penalty
    stats = DiscriminatorStats(
        loss=adversarial.detach(),
        real_logit=real.detach().mean(),
        fake_logit=fake.detach().mean(),
        penalties={name: penalty.detach() for name, penalty in penalties.items()},
    )
    return DiscriminatorLoss(total=total, real=real, fake=fake, stats=stats)


def generator_loss(
    discriminator: Discriminator, reals: LabelledImages, fakes: LabelledImages, how: Scoring
) -> Tensor:
    """The generator's adversarial loss; real images are scored only by the relativistic loss."""

    def score(seen: LabelledImages) -> Tensor:
        return discriminator(
            augment(seen.images, how.augment, how.rng, how.augment_p), seen.styles, how.stage
        )

    fake = score(fakes)
    if how.loss.gan_loss == "logistic":
        return logistic_generator(fake)
    return relativistic_generator(score(reals), fake)


def _logits(
    discriminator: Discriminator, images: list[Tensor], styles: list[Tensor], how: Scoring
) -> list[Tensor]:
    """Logits of each set of images under its styles.

    All sets go through the network in one pass, unless one is to be differentiated, or a group of the
    minibatch statistics would mix two sets.
    """
    if not images:
        return []
    apart = any(each.requires_grad for each in images) or len(images[0]) % discriminator.group
    if apart:
        return [discriminator(x, labels, how.stage) for x, labels in zip(images, styles, strict=True)]
    return list(discriminator(torch.cat(images), torch.cat(styles), how.stage).chunk(len(images)))
