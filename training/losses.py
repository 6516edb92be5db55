"""Adversarial losses and penalties, as functions of logits; each returns a scalar, the mean over the
batch."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from brushwork.models.options import Count, Kimg, Share, Weight, options

from .errors import TrainingError

Scalar = Float[Tensor, ""]


@options
class LossConfig:
    """The adversarial objective."""

    pairing: Literal["logistic", "relativistic"] = "logistic"
    """logistic: non-saturating (Goodfellow 2014); relativistic: real and fake scored as a pair
    (Jolicoeur-Martineau 2018). With r2 the latter is R3GAN's loss (Huang 2024)."""
    turns: Literal["simultaneous", "alternating"] = "simultaneous"
    """simultaneous: both networks learn from the same generated pictures in one pass; alternating: each from
    pictures of its own, the generator from a discriminator that has just learned, which takes a quarter to a
    third more time."""
    r1_gamma: Weight | Literal["auto"] = "auto"
    """Weight of the gradient penalty gamma / 2 * E ||grad D(real)||^2; auto is 0.0002 * resolution^2 /
    batch."""
    r1_every: Count = 16
    """The penalty is taken every so many steps, with so many times the weight (lazy regularisation)."""
    r2: bool = False
    """Penalise the discriminator's gradient on generated pictures, too (R2), as often and as much as R1."""
    mixing: Share = 0.9
    """Probability that a generated picture mixes two codes of its style at a random active layer."""
    condition_noise: Annotated[float, Interval(ge=0, le=1000)] = 0.0
    """Standard deviation of Gaussian noise on the style's embedding, in both networks."""
    label_dropout: Share = 0.0
    """Share of drawn pictures, and of the real ones beside them, whose style neither network sees, so that
    the generator learns to draw without one."""
    ramp_start_kimg: Kimg = 0.0
    """Until here both networks see no labels; ..."""
    ramp_end_kimg: Kimg = 0.0
    """... from here on they see them wholly, with a linear ramp in between (transitional training)."""

    def __post_init__(self) -> None:
        if self.ramp_end_kimg < self.ramp_start_kimg:
            raise TrainingError(
                f"loss.ramp_end_kimg is {self.ramp_end_kimg}, before ramp_start_kimg {self.ramp_start_kimg}."
            )

    def gamma(self, resolution: int, batch: int) -> float:
        """R1's weight; `auto` is StyleGAN2-ADA's rule of thumb."""
        return 0.0002 * resolution**2 / batch if self.r1_gamma == "auto" else float(self.r1_gamma)

    def label_weight(self, nimg: int) -> float:
        """How much of the label the networks see, 0 to 1 (Shahbazi 2022, arXiv:2201.06578)."""
        start, end = self.ramp_start_kimg * 1000, self.ramp_end_kimg * 1000
        if nimg >= end:
            return 1.0
        return 0.0 if nimg <= start else (nimg - start) / (end - start)


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
    """1/2 * E ||d logit / d image||^2, to be weighted by gamma: R1 of real pictures and R2 of generated ones
    (Mescheder 2018, arXiv:1801.04406, eq. 9 and 10).

    The sum of logits is differentiated, so the penalty is a mean over pictures whatever the batch size.
    `images` must require gradients; the result can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()
