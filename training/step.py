"""One training step of each network, as in the papers: no device, no logging, no optimizer.

An objective says which images a step generates and which loss terms it has; the functions at the end of this
file turn it into gradients. `Sampling`, the plain StyleGAN, is here; the objectives of the encoders are in
`restyle`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.discriminator import Discriminator
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.layers import Normal, full_precision
from brushwork.models.mapping import mix
from brushwork.models.stage import SQUARE, Base, Stage, fade_reals, layer_count, resolutions, size_at

from .adversarial import DiscriminatorStats, LabelledImages, Scoring, discriminator_loss, generator_loss
from .restyle.config import RestyleConfig
from .rng import BatchRNG

Terms = dict[str, Tensor]
"""Loss terms by name: unweighted scalars, means over the batch."""


# What a step gets besides a batch
@dataclass(frozen=True, kw_only=True)
class Networks:
    """The two networks that are trained."""

    generator: Generator
    discriminator: Discriminator


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """The settings of one step on one part of a batch."""

    scoring: Scoring
    """How the discriminator sees images: stage, loss, augmentation, penalty weight, random numbers."""
    grad_scale: float = 1.0
    """Factor of all gradients: 1 / the number of parts of the batch."""
    restyle: RestyleConfig = field(default_factory=RestyleConfig)
    term_weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each loss term of `restyle` in this step."""
    classifier: StyleClassifier | None = None
    """The frozen style classifier; None if no term needs it."""

    @property
    def stage(self) -> Stage:
        return self.scoring.stage

    @property
    def rng(self) -> BatchRNG:
        return self.scoring.rng

    def real_images(self, batch: Batch) -> Tensor:
        """The batch's images (N, 3, R, R), as blurred as the generator's while a resolution fades in."""
        return fade_reals(batch.images, self.stage.alpha)


# What a step gives


@dataclass(frozen=True, kw_only=True)
class Fakes:
    """Generated images (N, 3, R, R), and what they were generated from."""

    images: Tensor
    target_styles: Float[Tensor, "n s"]
    """The styles that the images should have."""
    real_styles: Float[Tensor, "n s"]
    """The styles of the batch's real images, as both networks see them in this step."""
    mapped: Float[Tensor, "n d"]
    """The codes w that the mapping network gave, for its running averages, ..."""
    mapped_styles: Float[Tensor, "n s"]
    """... and the styles that it was given."""


@dataclass(frozen=True, kw_only=True)
class GeneratorStats:
    """Detached values of a generator step, for the log."""

    loss: Tensor
    """The whole loss: the adversarial loss, and all terms times their weights."""
    w_sums: Tensor | None
    """`MappingNetwork.style_sums` of the batch, for the running averages of w; None if nothing was mapped."""
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    """Unweighted loss terms by name; none in sampling."""


# Objectives
@runtime_checkable
class Objective(Protocol):
    """Loss terms of the generator, as a function of a batch alone."""

    def terms(self, generator: Generator, batch: Batch, context: StepContext) -> Terms: ...


@runtime_checkable
class AdversarialObjective(Protocol):
    """An objective whose images the discriminator learns to tell from real ones."""

    composite: bool
    """Whether the loss has other terms, so that the log shows the adversarial loss as one of them."""

    def generate(self, generator: Generator, batch: Batch, context: StepContext) -> Fakes: ...

    def adversarial_weight(self, context: StepContext) -> float: ...

    def terms_of_fakes(
        self, generator: Generator, fakes: Fakes, batch: Batch, context: StepContext
    ) -> Terms: ...


class Sampling:
    """Images from latent codes, as a StyleGAN generates them, of the styles of the batch."""

    composite = False

    def generate(self, generator: Generator, batch: Batch, context: StepContext) -> Fakes:
        return generate(generator, visible_labels(batch, context), context)

    def adversarial_weight(self, context: StepContext) -> float:
        return 1.0

    def terms_of_fakes(self, generator: Generator, fakes: Fakes, batch: Batch, context: StepContext) -> Terms:
        return {}


def visible_labels(batch: Batch, context: StepContext) -> Float[Tensor, "n s"]:
    """The styles of the batch as both networks see them: a share `label_dropout` is hidden."""
    styles, dropout = batch.styles, context.scoring.loss.label_dropout
    return styles * (context.rng.uniform() >= dropout)[:, None] if dropout else styles


def generate(generator: Generator, styles: Float[Tensor, "n s"], context: StepContext) -> Fakes:
    """Fresh images of the given styles.

    A share `loss.mixing` of them mixes two codes of the same style; the cutoff is drawn over the layers that
    are active at this stage.
    """
    loss, rng, stage = context.scoring.loss, context.rng, context.stage
    mapping, active = generator.mapping, layer_count(stage.resolution)
    codes_per_image = 2 if loss.mixing else 1  # two in one pass take little longer than one

    z = torch.cat([rng.normal((mapping.z_dim,)) for _ in range(codes_per_image)])
    codes = mapping(z, styles.repeat(codes_per_image, 1))
    first, second = codes[: len(styles)], codes[-len(styles) :]
    w = mix(first, second, mixing_cutoffs(rng, loss.mixing, low=1, active=active), layers=active)
    images = generator.synthesis(w, stage, noise_ahead(rng.normal, stage, generator.config.base))
    return Fakes(images=images, target_styles=styles, real_styles=styles, mapped=first, mapped_styles=styles)


def noise_ahead(normal: Normal, stage: Stage, base: Base = SQUARE) -> Normal:
    """The noise of one pass through the synthesis, drawn in one call.

    One call takes less time than one for each layer.
    """
    sizes = [size_at(resolution, base) for resolution in resolutions(stage.resolution) for _ in range(2)]
    counts = [math.prod(size) for size in sizes]
    parts = normal((sum(counts),)).split(counts, dim=1)
    maps = [part.unflatten(1, (1, *size)) for size, part in zip(sizes, parts, strict=True)]
    return lambda shape: maps.pop(0)


def mixing_cutoffs(rng: BatchRNG, mixing: float, *, low: int, active: int) -> Tensor:
    """The layer at which each image changes from its first code to its second, int64 (N,).

    For a share `mixing` of the images it is one of low .. active - 1. For the others, and where no such layer
    exists, it is `active`: the second code is not used.
    """
    drawn = rng.integers(min(low, active - 1), active)
    mixed = (rng.uniform() < mixing) & (drawn >= low)
    return torch.where(mixed, drawn, torch.full_like(drawn, active))


# Steps
def discriminator_step(
    objective: AdversarialObjective, nets: Networks, batch: Batch, context: StepContext
) -> DiscriminatorStats:
    """Adds the discriminator's gradients of real images against generated ones."""
    with torch.no_grad():
        fakes = objective.generate(nets.generator, batch, context)
    loss = discriminator_loss(nets.discriminator, *_sides(fakes, batch, context), context.scoring)
    with full_precision(loss.total):
        (loss.total * context.grad_scale).backward()
    return loss.stats


def generator_step(
    objective: AdversarialObjective, nets: Networks, batch: Batch, context: StepContext
) -> GeneratorStats:
    """Adds the generator's gradients; the discriminator should be frozen."""
    generator, terms, total = nets.generator, Terms(), torch.zeros(())
    fakes = objective.generate(generator, batch, context)
    if weight := objective.adversarial_weight(context):
        reals, generated = _sides(fakes, batch, context)
        terms["adversarial"] = generator_loss(nets.discriminator, reals, generated, context.scoring)
        total = weight * terms["adversarial"]
    others = objective.terms_of_fakes(generator, fakes, batch, context)
    total = total + weighted_sum(others, context.term_weights)
    _backward(total, context)
    terms = terms | others if objective.composite else {}
    return _stats(total, terms, _w_sums(generator, fakes))


def simultaneous_step(
    objective: AdversarialObjective, nets: Networks, batch: Batch, context: StepContext
) -> tuple[DiscriminatorStats, GeneratorStats]:
    """discriminator_step and generator_step on the same images, generated once and scored once.

    The generator's gradient comes from the discriminator before its update; in alternating order it comes
    from the updated one.
    """
    generator, scale = nets.generator, context.grad_scale
    fakes = objective.generate(generator, batch, context)
    images = fakes.images.detach().requires_grad_()
    reals, generated = _sides(fakes, batch, context, images=images)
    loss = discriminator_loss(nets.discriminator, reals, generated, context.scoring)
    with full_precision(images):
        learners = [each for each in nets.discriminator.parameters() if each.requires_grad]
        torch.autograd.backward(loss.total * scale, inputs=learners, retain_graph=True)
        adversarial = loss.generator_loss(context.scoring.loss)
        (grad_fakes,) = torch.autograd.grad(adversarial * scale, images)

    weight = objective.adversarial_weight(context)
    others = objective.terms_of_fakes(generator, fakes, batch, context)
    total = weighted_sum(others, context.term_weights)
    tensors, gradients = [fakes.images], [grad_fakes * weight]
    if total.requires_grad:
        tensors, gradients = [*tensors, total], [*gradients, torch.full_like(total, scale)]
    with full_precision(images):
        learners = [each for each in generator.parameters() if each.requires_grad]
        torch.autograd.backward(tensors, gradients, inputs=learners)
    terms = {"adversarial": adversarial, **others} if weight else others
    value = total.detach() + weight * adversarial.detach()
    return loss.stats, _stats(value, terms if objective.composite else {}, _w_sums(generator, fakes))


def encoder_step(objective: Objective, nets: Networks, batch: Batch, context: StepContext) -> GeneratorStats:
    """Adds the generator's gradients of an objective without a discriminator."""
    terms = objective.terms(nets.generator, batch, context)
    total = weighted_sum(terms, context.term_weights)
    _backward(total, context)
    return _stats(total, terms, None)


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Each term times its weight; 0 without terms."""
    return sum((weights[name] * value for name, value in terms.items()), torch.zeros(()))


def _sides(
    fakes: Fakes, batch: Batch, context: StepContext, *, images: Tensor | None = None
) -> tuple[LabelledImages, LabelledImages]:
    """Real and generated images under their styles."""
    reals = LabelledImages(images=context.real_images(batch), styles=fakes.real_styles)
    generated = fakes.images if images is None else images
    return reals, LabelledImages(images=generated, styles=fakes.target_styles)


def _backward(total: Tensor, context: StepContext) -> None:
    if total.requires_grad:  # the weights of all terms may be 0
        with full_precision(total):
            (total * context.grad_scale).backward()


def _stats(total: Tensor, terms: Mapping[str, Tensor], w_sums: Tensor | None) -> GeneratorStats:
    detached = {name: value.detach() for name, value in terms.items()}
    return GeneratorStats(loss=total.detach(), w_sums=w_sums, terms=detached)


def _w_sums(generator: Generator, fakes: Fakes) -> Tensor:
    return generator.mapping.style_sums(fakes.mapped.detach().float(), fakes.mapped_styles)
