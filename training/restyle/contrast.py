"""The contrastive objective: two crops of one image have the same style code."""

import torch

from brushwork.data.loader import Batch
from brushwork.models.generator import Generator

from ..context import StepContext
from ..step import Terms
from . import terms


class Contrast:
    """Crops of the batch's images, matched by their style codes; trains the style encoder alone, without
    labels."""

    def terms(self, generator: Generator, batch: Batch, context: StepContext) -> Terms:
        config, images = context.restyle, context.real_images(batch)
        no_style = torch.zeros_like(batch.styles)

        def encoded_crops() -> torch.Tensor:
            crops = terms.crop(images, context.rng.uniform((4,)))
            return generator.encoders.style(crops, no_style, context.stage)

        first, second = encoded_crops(), encoded_crops()
        loss = terms.info_nce(first, second, group=config.contrast_group, temperature=config.temperature)
        return {"info_nce": loss}
