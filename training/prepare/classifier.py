"""Training the style classifier, in the minute before the run that it judges."""

import math
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Interval
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from brushwork.data.loader import Loader, LoaderConfig, Pictures, StoredPictures
from brushwork.data.progress import Progress
from brushwork.models.classifier import StyleClassifier
from brushwork.models.encoders import STYLE_RESOLUTION
from brushwork.models.generator import Generator
from brushwork.models.options import Batch, Duration, LearningRate, options
from brushwork.models.stage import Stage, resolutions

from ..augment import AugmentConfig, augment
from ..errors import TrainingError
from ..restyle.terms import classifier as cross_entropy
from ..rng import BatchRNG, ShardRows, derived_seed

AUGMENT = AugmentConfig(translation=0.1)
"""What it learns to see through. Colours are left alone: they are of the style."""


@options
class ClassifierConfig:
    """The style classifier: trained before the run where a term or pseudo-labels ask for it."""

    kimg: Duration = 20.0
    """Length of its training, in thousands of images."""
    batch: Batch = 16
    """Pictures in a step."""
    lr: LearningRate = 0.01
    """Learning rate at the start; it falls to 0 along a cosine."""
    held_out: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    """Part of the subjects that it does not learn: its accuracy is told by them."""


def train_classifier(
    pictures: Pictures | StoredPictures, config: ClassifierConfig, generator: Generator, *, start: int,
    seed: int, device: torch.device, shown: bool = True,
) -> StyleClassifier:  # fmt: skip
    """Learns the styles of the labelled pictures, at every resolution from `start` px up in turn.

    Frozen when it is returned. Its trunk starts from that of the generator's style encoder where there is
    one, pretrained or not.

    Raises TrainingError where fewer than two styles have a label.
    """
    learnt, told = _split(pictures, config.held_out, seed)
    network = _fresh(generator, seed, device)
    loader = Loader(learnt, LoaderConfig(balanced=True), seed=derived_seed(seed, "classifier"), device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, betas=(0.9, 0.99))
    steps = math.ceil(config.kimg * 1000 / config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    sizes = [r for r in resolutions(generator.config.resolution) if r >= max(start, STYLE_RESOLUTION)]
    rows = ShardRows(start=0, count=config.batch)
    bar = Progress(total=steps * config.batch, desc="classifier", unit="img", unit_scale=True, leave=False,
                   disable=not shown)  # fmt: skip
    with bar:
        for step in range(steps):
            rng = BatchRNG(seed, step, "classifier", rows=rows, device=device)
            # Two steps in three at the finest resolution, which the run ends with.
            size = sizes[-1] if step % 3 or len(sizes) == 1 else sizes[step // 3 % (len(sizes) - 1)]
            batch = loader.batch_at(step * config.batch, config.batch, resolution=size)
            logits = network(augment(batch.images, AUGMENT, rng), Stage(size))
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits, batch.styles).backward()
            optimizer.step()
            schedule.step()
            bar.update(config.batch)
    network.eval().requires_grad_(False)
    network.set_gains(_shown(told, torch.arange(min(len(told), 256)), network.resolution, device))
    found = probabilities(network, told, device).argmax(dim=1)
    network.accuracy.fill_((found == told.styles).float().mean())
    return network


@torch.no_grad()
def probabilities(
    network: StyleClassifier, pictures: Pictures | StoredPictures, device: torch.device, *, batch: int = 256
) -> Tensor:
    """Of each style for each picture at its full resolution, float (N, S), on the CPU."""
    size = network.resolution
    shown = (_shown(pictures, rows, size, device) for rows in torch.arange(len(pictures)).split(batch))
    return torch.cat([network(images, Stage(size)).softmax(dim=1).cpu() for images in shown])


def _shown(pictures: Pictures | StoredPictures, rows: Tensor, size: int, device: torch.device) -> Tensor:
    """These rows as the networks see them, float (N, 3, size, size) in [-1, 1]."""
    images = pictures.take(rows).to(device).float() / 127.5 - 1
    return F.avg_pool2d(images, images.shape[-1] // size)


def _split(
    pictures: Pictures | StoredPictures, held_out: float, seed: int
) -> tuple[Pictures | StoredPictures, Pictures | StoredPictures]:
    """The labelled pictures: those to learn, and those of the subjects held out."""
    labelled = (pictures.styles >= 0).nonzero().squeeze(1)
    if len(pictures.styles[labelled].unique()) < 2:
        raise TrainingError(
            "the style classifier needs labelled pictures of two styles or more: use labels, or turn off "
            "restyle.classifier, perceptual terms and labels.pseudo."
        )
    subjects = sorted({pictures.subjects[row] for row in labelled.tolist()})
    order = np.random.default_rng(derived_seed(seed, "held out")).permutation(len(subjects))
    out = {subjects[i] for i in order[: max(1, round(held_out * len(subjects)))]}
    told = torch.tensor([pictures.subjects[row] in out for row in labelled.tolist()])
    if told.all():
        raise TrainingError("the style classifier has a single subject to learn: label more pictures.")
    return pictures.subset(labelled[~told]), pictures.subset(labelled[told])


def _fresh(generator: Generator, seed: int, device: torch.device) -> StyleClassifier:
    """As wide as the generator at every resolution; its weights follow from the seed, or are those of the
    style encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "classifier"))
        network = StyleClassifier(generator.config.widths, styles=len(generator.style_names))
    if generator.style_encoder is not None:
        ours = network.state_dict()
        trunk = {name: value for name, value in generator.style_encoder.state_dict().items() if name in ours}
        network.load_state_dict({**ours, **trunk})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


# Files
def as_bytes(network: StyleClassifier) -> bytes:
    """As a safetensors file."""
    return save({name: value.cpu().contiguous() for name, value in network.state_dict().items()})


def from_bytes(content: bytes, generator: Generator, device: torch.device) -> StyleClassifier:
    """Raises TrainingError for a file that is damaged, or of other styles or widths than the generator's."""
    network = _fresh(generator, 0, device)
    try:
        network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise TrainingError(
            "classifier.safetensors of the run folder is none of this run: remove it, and it is trained anew."
        ) from error
    return network.eval().requires_grad_(False)
