"""The style classifier: trained before the run, for loss terms and pseudo-labels."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from brushwork.data.loader import ImageDataset, Loader, LoaderConfig, StoredDataset
from brushwork.data.progress import Progress
from brushwork.models.encoders import STYLE_RESOLUTION, StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.options import Duration, options
from brushwork.models.restyling import to_float
from brushwork.models.stage import Stage, resolutions

from ..augment import AugmentConfig, augment
from ..errors import TrainingError
from ..restyle.terms import classifier as cross_entropy
from ..rng import BatchRNG, derived_seed

AUGMENT = AugmentConfig(translation=0.1)
"""Augmentation of its training images. Colours are part of the style and stay as they are."""
BATCH = 16
LEARNING_RATE = 0.01
"""Initial learning rate; cosine decay to 0."""
HELD_OUT = 0.1
"""Share of the subjects that is held out to measure its accuracy."""


@options
class ClassifierConfig:
    """The style classifier, which is trained before the run if a loss term or pseudo-labels need it."""

    kimg: Duration = 20.0
    """Thousands of images to train it on."""


def train_classifier(
    dataset: ImageDataset | StoredDataset, config: ClassifierConfig, generator: Generator, *, start: int,
    seed: int, device: torch.device,
) -> StyleClassifier:  # fmt: skip
    """A frozen classifier of the labelled images, trained at all resolutions from `start` px up in turn.

    Its trunk starts from the generator's style encoder, if there is one.

    Raises:
        TrainingError: fewer than two styles have labels.
    """
    training, held_out = _split(dataset, seed)
    network = _fresh(generator, seed, device)
    loader_seed = derived_seed(seed, "classifier")
    loader = Loader(training, LoaderConfig(balanced=True), seed=loader_seed, device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    steps = math.ceil(config.kimg * 1000 / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    sizes = [r for r in resolutions(generator.config.resolution) if r >= max(start, STYLE_RESOLUTION)]
    with Progress(total=steps * BATCH, desc="classifier", unit="img", unit_scale=True, leave=False) as bar:
        for step in range(steps):
            rng = BatchRNG(seed, step, "classifier", rows=range(BATCH), device=device)
            # Two of three steps are at the final resolution.
            size = sizes[-1] if step % 3 or len(sizes) == 1 else sizes[step // 3 % (len(sizes) - 1)]
            batch = loader.batch_at(step * BATCH, BATCH, resolution=size)
            logits = network(augment(batch.images, AUGMENT, rng), Stage(size))
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits, batch.styles).backward()
            optimizer.step()
            schedule.step()
            bar.update(BATCH)
    network.eval().requires_grad_(False)
    network.set_gains(_images(held_out, torch.arange(min(len(held_out), 256)), network.resolution, device))
    predicted = probabilities(network, held_out, device).argmax(dim=1)
    network.accuracy.fill_((predicted == held_out.styles).float().mean())
    return network


@torch.no_grad()
def probabilities(
    network: StyleClassifier, dataset: ImageDataset | StoredDataset, device: torch.device, *, batch: int = 256
) -> Tensor:
    """Probabilities of the styles at full resolution, float (N, S), on the CPU."""
    size = network.resolution
    images = (_images(dataset, rows, size, device) for rows in torch.arange(len(dataset)).split(batch))
    return torch.cat([network(part, Stage(size)).softmax(dim=1).cpu() for part in images])


def _images(dataset: ImageDataset | StoredDataset, rows: Tensor, size: int, device: torch.device) -> Tensor:
    """Rows as network input, float (N, C, H, W) in [-1, 1]."""
    images = to_float(dataset.take(rows).to(device))
    return F.avg_pool2d(images, min(images.shape[2:]) // size)


def _split(
    dataset: ImageDataset | StoredDataset, seed: int
) -> tuple[ImageDataset | StoredDataset, ImageDataset | StoredDataset]:
    """The labelled images: for training, and of held-out subjects."""
    labelled = (dataset.styles >= 0).nonzero().squeeze(1)
    if len(dataset.styles[labelled].unique()) < 2:
        raise TrainingError(
            "the style classifier needs labelled images of two styles or more: use labels, or turn off "
            "restyle.classifier, restyle.perceptual and labels.pseudo."
        )
    subjects = sorted({dataset.subjects[row] for row in labelled.tolist()})
    order = np.random.default_rng(derived_seed(seed, "held out")).permutation(len(subjects))
    out = {subjects[i] for i in order[: max(1, round(HELD_OUT * len(subjects)))]}
    held = torch.tensor([dataset.subjects[row] in out for row in labelled.tolist()])
    if held.all():
        raise TrainingError("the style classifier has a single subject to learn: label more images.")
    return dataset.subset(labelled[~held]), dataset.subset(labelled[held])


def _fresh(generator: Generator, seed: int, device: torch.device) -> StyleClassifier:
    """An untrained classifier with the generator's widths; its trunk is the style encoder's, if there is
    one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "classifier"))
        network = StyleClassifier(
            generator.config.widths, styles=len(generator.style_names), inputs=generator.config.channels
        )
    if generator.style_encoder is not None:
        ours = network.state_dict()
        trunk = {name: value for name, value in generator.style_encoder.state_dict().items() if name in ours}
        network.load_state_dict({**ours, **trunk})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


# Files
def as_bytes(network: StyleClassifier) -> bytes:
    """The classifier as a safetensors file."""
    return save({name: value.cpu().contiguous() for name, value in network.state_dict().items()})


def from_bytes(content: bytes, generator: Generator, device: torch.device) -> StyleClassifier:
    """The classifier of a safetensors file. Raises TrainingError if it is damaged or of other styles or
    widths."""
    network = _fresh(generator, 0, device)
    try:
        network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise TrainingError(
            "classifier.safetensors in the run folder belongs to another run: remove it to train it again."
        ) from error
    return network.eval().requires_grad_(False)
