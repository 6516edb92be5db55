"""Settling what a content encoder erases, on the pictures that it was trained on."""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from brushwork.data.loader import Pictures, StoredPictures
from brushwork.models.generator import Generator
from brushwork.models.restyle import to_float
from brushwork.models.stage import Stage, fade_reals

from ..ema import averaged_copy

MOST, BATCH = 20_000, 64
"""Pictures whose mean maps are taken at most, evenly many of all; and at once."""


def erased(generator: Generator, pictures: Pictures | StoredPictures, stage: Stage) -> Generator:
    """The generator, or where the configuration asks for it a copy whose content code lacks what it is to
    lose. A copy, for figures and pictures of a run are drawn with the codes that it trains, meanwhile too."""
    if not generator.config.content_erased:
        return generator
    copy = averaged_copy(generator)
    fit_erasers(copy, pictures, stage)
    return copy


def fit_erasers(generator: Generator, pictures: Pictures | StoredPictures, stage: Stage) -> None:
    """Takes the styles' mean content maps of labelled pictures, as they are at `stage`."""
    labelled = (pictures.styles >= 0).nonzero().squeeze(1)
    labelled = labelled[:: -(-len(labelled) // MOST) or 1]
    device = generator.synthesis.start.device

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for rows in labelled.split(BATCH):
            images = to_float(pictures.take(rows).to(device))
            images = F.avg_pool2d(images, images.shape[-1] // stage.resolution)
            styles = F.one_hot(pictures.styles[rows.to(pictures.styles.device)], len(generator.style_names))
            yield fade_reals(images, stage.alpha), styles.to(images)

    generator.encoders.content.fit_erasers(batches(), stage)
