"""Whether the discriminator knows the training images by heart; adaptive augmentation follows it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.loader import Batch, ImageDataset, Loader, StoredDataset, open_dataset
from brushwork.models.stage import Stage, fade_reals

from ..adversarial import Scoring
from ..augment import augment
from ..config import TrainConfig
from ..rng import BatchRNG
from ..step import Networks, StepContext, generate

IMAGES = 128
"""Training images, held-out images and generated images of one measurement."""
FEWEST = 16
"""Fewer held-out images say too little."""
MOST = 1024
"""Held-out images, of which every measurement takes some."""
BOUNDS = (-1.0, 2.0)


@dataclass(frozen=True)
class OverfittingProbe:
    """Measures how much of the discriminator's knowledge holds for its training images alone.

    With held-out images it is r_v of Karras 2020 (arXiv:2006.06676, eq. 1): (E D(train) - E D(held-out)) /
    (E D(train) - E D(generated)), of images of the same styles. At 0 it scores held-out images like training
    images, at 1 like generated ones. Without them it is r_t, the mean sign of D(train), or with the
    relativistic loss of D(train) - D(generated): 0 where it guesses, 1 where it is never fooled.
    """

    config: TrainConfig
    train: Loader
    held_out: Loader | None
    """In the order of `train`, of the same styles."""

    @classmethod
    def of(
        cls, config: TrainConfig, dataset: ImageDataset | StoredDataset, device: torch.device
    ) -> "OverfittingProbe":
        """Looks for held-out images of `dataset` in `config.data`."""

        def loader(images: ImageDataset | StoredDataset, rows: Tensor) -> Loader:
            return Loader(images.subset(rows), seed=config.seed, device=device)

        held_out = _held_out(config, dataset)
        if held_out is not None:
            rows = evenly(torch.arange(len(held_out)), MOST)
            ours, theirs = same_styles(dataset.styles.cpu(), held_out.styles.cpu()[rows])
            if len(ours) >= FEWEST:
                return cls(config, loader(dataset, ours), loader(held_out, rows[theirs]))
        return cls(config, loader(dataset, evenly(torch.arange(len(dataset)), MOST)), None)

    @torch.no_grad()
    def __call__(self, nets: Networks, stage: Stage, *, nimg: int, p: float) -> float:
        """Measures the networks after `nimg` images, augmented with probability `p` as in training."""
        config, group = self.config, self.config.discriminator.minibatch_group
        count = max(min(IMAGES, len(self.train)) // group, 1) * group
        rng = BatchRNG(config.seed, nimg, "overfitting", rows=range(count), device=self.train.device)
        scoring = Scoring(stage=stage, loss=config.loss, augment=config.augment, rng=rng)

        def score(images: Tensor, styles: Tensor) -> Tensor:
            seen = augment(images, config.augment, rng, p)
            return nets.discriminator(seen, styles, stage).float()

        def score_reals(batch: Batch) -> Tensor:
            return score(fade_reals(batch.images, stage.alpha), batch.styles)

        def batch_of(loader: Loader) -> Batch:
            return loader.batch_at(nimg, count, resolution=stage.resolution)

        known = batch_of(self.train)
        real = score_reals(known)
        fakes = generate(nets.generator, known.styles, StepContext(scoring=scoring))
        fake = score(fakes.images, fakes.target_styles)
        if self.held_out is None:
            relativistic = config.loss.gan_loss == "relativistic"
            return float((real - fake if relativistic else real).sign().mean())
        unknown = score_reals(batch_of(self.held_out))
        return ratio(float((real - unknown).mean()), float((real - fake).mean()))


def ratio(unknown: float, fake: float) -> float:
    """r_v of the distances of held-out and of generated images' scores; 0 where the latter are not lower."""
    if fake <= 0:
        return 0.0
    return min(max(unknown / fake, BOUNDS[0]), BOUNDS[1])


def same_styles(train: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of rows of two int64 vectors of styles: a training row for each held-out row whose style has
    any."""
    ours, theirs = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
    for style in held_out.unique():
        rows, known = (held_out == style).nonzero().flatten(), (train == style).nonzero().flatten()
        if len(known):
            ours.append(known[torch.arange(len(rows)) * len(known) // len(rows)])
            theirs.append(rows)
    return torch.cat(ours), torch.cat(theirs)


def evenly(rows: Tensor, most: int) -> Tensor:
    """At most `most` of the rows, evenly spaced."""
    count = min(most, len(rows))
    return rows[torch.arange(count) * len(rows) // count]


def _held_out(
    config: TrainConfig, dataset: ImageDataset | StoredDataset
) -> ImageDataset | StoredDataset | None:
    """The held-out images of the data set, if it has any."""
    try:
        images = open_dataset(config.data, "test", config.loader.cache)
    except DataError:
        return None
    return images if images.fingerprint == dataset.fingerprint else None
