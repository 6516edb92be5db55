"""The objectives that train the encoders: restyling, autoencoding and contrast.

Restyling generates every image in the style of its neighbour in the batch. No pairs of one subject in two
styles are needed, and none are used unless `loader.paired` puts them side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.generator import Generator
from brushwork.models.mapping import mix
from brushwork.models.restyling import content_layer
from brushwork.models.stage import layer_count
from brushwork.models.synthesis import Content

from ..errors import TrainingError
from ..step import Fakes, StepContext, Terms, mixing_cutoffs
from . import terms

CONTRAST_GROUP = 8
"""Images among which a crop is matched with the other crop of its image."""
TEMPERATURE = 0.2
"""Temperature of the contrastive loss."""


@dataclass(frozen=True, kw_only=True)
class Restyled(Fakes):
    """Restyled images (N, 3, R, R), and what they were made from."""

    w: Float[Tensor, "n d"]
    """The first style code of each image."""
    content: Content
    style_features: Float[Tensor, "n d"]
    """`StyleEncoder.style_features` of the original images."""
    unmixed: Float[Tensor, "n"]
    """1 for images with one code in all layers, 0 for mixtures of two."""
    from_self: Float[Tensor, "n"]
    """1 for images whose code was encoded from the original itself, under the neighbour's style label."""


class RestylingObjective:
    """Images of the batch, each with its own content and its neighbour's style."""

    composite = True

    def generate(self, generator: Generator, batch: Batch, context: StepContext) -> Restyled:
        return restyle(generator, batch, context)

    def adversarial_weight(self, context: StepContext) -> float:
        return context.term_weights["adversarial"]

    def terms_of_fakes(self, generator: Generator, fakes: Fakes, batch: Batch, context: StepContext) -> Terms:
        assert isinstance(fakes, Restyled)
        weights = context.term_weights
        computed = encoder_terms(generator, fakes, batch, context) | classifier_terms(fakes, batch, context)
        if weights["paired"]:
            exemplars = swap_neighbours(context.real_images(batch))
            computed["paired"] = terms.pixels(fakes.images, exemplars)
        return computed | kl_term(fakes.content, weights)


class Autoencoding:
    """Images of the batch, encoded and generated again; needs no discriminator."""

    def terms(self, generator: Generator, batch: Batch, context: StepContext) -> Terms:
        images, encoders = context.real_images(batch), generator.encoders
        content = encoders.content(images, context.stage, context.rng.normal)
        dropped = context.rng.uniform() < context.restyle.label_dropout
        code = encoders.style(images, batch.styles * ~dropped[:, None], context.stage)
        reconstructed = synthesise(generator, code, content, context)
        computed = {"reconstruct": terms.pixels(reconstructed, images)}
        return computed | kl_term(content, context.term_weights)


class Contrast:
    """Two crops of each image, matched by their style codes; trains the style encoder alone, without
    labels."""

    def terms(self, generator: Generator, batch: Batch, context: StepContext) -> Terms:
        images, no_style = context.real_images(batch), torch.zeros_like(batch.styles)

        def encoded_crops() -> Tensor:
            crops = terms.crop(images, context.rng.uniform((4,)))
            return generator.encoders.style(crops, no_style, context.stage)

        first, second = encoded_crops(), encoded_crops()
        return {"info_nce": terms.info_nce(first, second, group=CONTRAST_GROUP, temperature=TEMPERATURE)}


# Restyling
def swap_neighbours(x: Tensor) -> Tensor:
    """Rows 0 1 2 3 -> 1 0 3 2, the same however the batch is split into even parts.

    Raises:
        TrainingError: the number of rows is odd.
    """
    if len(x) % 2:
        raise TrainingError(
            f"{len(x)} images cannot be paired off for restyling; take an even number for each process and "
            "part."
        )
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def restyle(generator: Generator, batch: Batch, context: StepContext) -> Restyled:
    """Every image with a style code for its neighbour's style, from one of three sources.

    The code is encoded from the neighbour, encoded from the image itself under the neighbour's label, or
    mapped from a latent code and that label. A share `loss.mixing` takes a second code from some layer on.
    For images that follow their neighbour this is their own code, so the target is a blend of both styles.
    """
    config, rng, stage = context.restyle, context.rng, context.stage
    encoders, low = generator.encoders, content_layer(generator)
    images, own_styles = context.real_images(batch), batch.styles
    target = swap_neighbours(own_styles)
    content = encoders.content(images, stage, rng.normal)
    features = encoders.style.style_features(images, stage)
    mapped = generator.mapping(rng.normal((generator.mapping.z_dim,)), target)
    visible = target * (rng.uniform() >= config.label_dropout)[:, None]
    exemplar = encoders.style.head(swap_neighbours(features), visible)
    own = encoders.style.head(features, target)

    place = rng.uniform()
    from_exemplar = place < config.exemplar_prob
    from_self = ~from_exemplar & (place < config.exemplar_prob + config.self_style_prob)
    code = torch.where(from_self[:, None], own, mapped)
    first = torch.where(from_exemplar[:, None], exemplar, code)
    second = torch.where(from_exemplar[:, None], encoders.style.head(features, own_styles), exemplar)
    active = layer_count(stage.resolution)
    cutoff = mixing_cutoffs(rng, context.scoring.loss.mixing, low=low + 1, active=active)
    codes = mix(first, second, cutoff, layers=generator.layers)
    share_of_second = from_exemplar * (active - cutoff) / (active - low)
    return Restyled(
        images=generator.synthesis(codes, stage, rng.normal, content),
        target_styles=torch.lerp(target, own_styles, share_of_second[:, None].to(target)),
        real_styles=own_styles,
        mapped=mapped,
        mapped_styles=target,
        w=first,
        content=content,
        style_features=features,
        unmixed=(cutoff == active).float(),
        from_self=from_self.float(),
    )


def synthesise(
    generator: Generator, w: Float[Tensor, "n d"], content: Content, context: StepContext
) -> Tensor:
    """Images of the given content, with one code in all layers."""
    codes = repeat(w, "n d -> n l d", l=generator.layers)
    return generator.synthesis(codes, context.stage, context.rng.normal, content)


def encoder_terms(generator: Generator, fakes: Restyled, batch: Batch, context: StepContext) -> Terms:
    """Terms that read restyled images with the encoders: `style`, `content` and `cycle`."""
    weights, encoders, computed = context.term_weights, generator.encoders, Terms()
    features = fakes.style_features
    if weights["style"] or weights["cycle"]:
        features = encoders.style.style_features(fakes.images, context.stage)
    if weights["style"]:
        encoded = encoders.style.head(features, fakes.target_styles)
        computed["style"] = terms.style(encoded, fakes.w, fakes.unmixed)
    if not (weights["content"] or weights["cycle"]):
        return computed
    content = encoders.content(fakes.images, context.stage, context.rng.normal)
    if weights["content"]:
        computed["content"] = terms.content(content.features, fakes.content.features)
    if weights["cycle"]:
        # An image restyled with its own features must still show them; the others get their original's back.
        source = torch.where(fakes.from_self[:, None] > 0, features, fakes.style_features)
        own = encoders.style.head(source, fakes.real_styles)
        back = synthesise(generator, own, content, context)
        computed["cycle"] = terms.pixels(back, context.real_images(batch))
    return computed


def classifier_terms(fakes: Restyled, batch: Batch, context: StepContext) -> Terms:
    """Terms of the frozen style classifier: `classifier` and `perceptual`."""
    weights, network, computed = context.term_weights, context.classifier, Terms()
    if not (weights["classifier"] or weights["perceptual"]):
        return computed
    assert network is not None
    if weights["classifier"]:
        logits = network(fakes.images, context.stage)
        computed["classifier"] = terms.classifier(logits, fakes.target_styles)
    if weights["perceptual"]:
        maps = network.maps(fakes.images, context.stage)
        with torch.no_grad():
            originals = network.maps(context.real_images(batch), context.stage)
        computed["perceptual"] = terms.perceptual(maps, originals)
    return computed


def kl_term(content: Content, weights: Mapping[str, float]) -> Terms:
    """`kl`: the divergence of a variational content code from its prior."""
    if content.kl_divergence is None or not weights["kl"]:
        return {}
    return {"kl": content.kl_divergence.mean()}
