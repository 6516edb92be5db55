"""The autoencoding objective: images reconstructed from their own style and content."""

import torch

from brushwork.data.loader import Batch
from brushwork.models.generator import Generator

from ..context import StepContext
from ..step import Terms
from . import terms
from .restyling import kl_term, synthesise


class Autoencoding:
    """Images of the batch, encoded and generated again; needs no discriminator."""

    def terms(self, generator: Generator, batch: Batch, context: StepContext) -> Terms:
        config, weights, stage = context.restyle, context.term_weights, context.stage
        images, encoders = context.real_images(batch), generator.encoders
        content = encoders.content(images, stage, context.rng.normal)
        dropped = context.rng.uniform() < config.label_dropout
        visible = context.styles(batch) * ~dropped[:, None]
        code = encoders.style(images, visible, stage)
        reconstructed = synthesise(generator, code, content, context)
        computed = {"reconstruct": terms.pixels(reconstructed, images, config.pixels)}
        if weights["reconstruct_perceptual"]:
            perception = context.frozen_networks.perception
            assert perception is not None
            with torch.no_grad():
                originals = perception(images, stage)
            computed["reconstruct_perceptual"] = terms.perceptual(perception(reconstructed, stage), originals)
        return computed | kl_term(content, weights)
