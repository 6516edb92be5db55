"""Tiny networks and runs: 16 px, 8 channels, no time measured."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brushwork.data.dataset import ImageDataset
from brushwork.data.loader import Batch
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.layers import Normal, leaky
from brushwork.models.modulation import adain
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.adversarial import LossConfig, Scoring
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import IntervalConfig, TrainConfig
from brushwork.training.restyle.config import TERMS, RestyleConfig
from brushwork.training.rng import BatchRNG
from brushwork.training.schedules import GrowingConfig
from brushwork.training.step import Networks, StepContext
from brushwork.training.trainer import Trainer

GENERATOR = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8
)
DISCRIMINATOR = DiscriminatorConfig(channel_base=128, channel_max=8, minibatch_group=2)
STAGE = Stage(16, 0.5)
QUIET = IntervalConfig(status_kimg=0.0, grid_kimg=0.0, checkpoint_kimg=0.0, snapshot_kimg=0.0)


def four(*parts: int | str, start: int = 0, count: int = 4) -> BatchRNG:
    """The random numbers of some of four rows."""
    return BatchRNG(*(parts or (0,)), rows=range(start, start + count))


def step_context(
    loss: LossConfig | None = None, augment: AugmentConfig | None = None, rng: BatchRNG | None = None, *,
    stage: Stage = STAGE, gamma: float = 0.0, grad_scale: float = 1.0,
    restyle: RestyleConfig | None = None, weights: Mapping[str, float] | None = None,
    classifier: StyleClassifier | None = None,
) -> StepContext:  # fmt: skip
    """The context of a step on four images; all terms have weight 1."""
    scoring = Scoring(
        stage=stage, loss=loss or LossConfig(), augment=augment or AugmentConfig(), rng=rng or four(),
        gamma=gamma,
    )  # fmt: skip
    return StepContext(
        scoring=scoring, grad_scale=grad_scale, restyle=restyle or RestyleConfig(),
        term_weights=dict.fromkeys(TERMS, 1.0) if weights is None else weights, classifier=classifier,
    )  # fmt: skip


def plain_epilogue(layer: Any, x: Tensor, w: Tensor, normal: Normal | None, *_: object) -> Tensor:
    """What `StyledEpilogue` computes without shared statistics, in operations of autograd."""
    scale, shift = layer.adain(w)
    return adain(leaky(layer.bias(layer.noise(x, normal))), scale, shift, layer.adain.eps)


def stirred(*networks: nn.Module) -> None:
    """Sets noise strengths and biases to work, as after some training."""
    for parameter in (each for network in networks for each in network.parameters()):
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)


def after_each_step(trainer: Trainer, action: Callable[[], object]) -> None:
    step = trainer._step

    def followed() -> None:
        step()
        action()

    trainer._step = followed  # type: ignore[method-assign]


def put(tree: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    """The tree, in which the field of this dotted name has another value."""
    place, (*groups, last) = tree, name.split(".")
    for group in groups:
        place = place.setdefault(group, {})
    place[last] = value
    return tree


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A trainer sets them for its whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures() -> ImageDataset:
    return toy_dataset(styles=3, subjects=8, size=16)


@pytest.fixture
def nets() -> Networks:
    generator = Generator(GENERATOR, ("chalk", "ink", "oil"))
    discriminator = Discriminator(DISCRIMINATOR, resolution=16, styles=3)
    stirred(generator, discriminator)
    return Networks(generator=generator, discriminator=discriminator)


@pytest.fixture
def batch() -> Batch:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    return Batch(images=images, styles=torch.eye(3)[[0, 1, 2, 0]], indices=torch.arange(4))


@pytest.fixture
def both(nets: Networks) -> Networks:
    """`nets` with encoders and a variational content."""
    config = replace(nets.generator.config, encoders=True, content_blocks=1, content_vae_channels=2)
    generator = Generator(config, nets.generator.style_names)
    stirred(generator)
    return replace(nets, generator=generator)


@pytest.fixture
def classifier(both: Networks) -> StyleClassifier:
    return StyleClassifier(both.generator.config.widths, styles=3).requires_grad_(False)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of batches of 8 from 8 px, all of whose chores are off; any field can be overridden."""

    plain = TrainConfig(
        out=tmp_path / "run", total_kimg=0.032, batch=8, precision="fp32", device="cpu", threads=1,
        generator=GENERATOR, discriminator=DISCRIMINATOR, interval=QUIET,
        loss=LossConfig(r1_gamma=0.5, r1_interval=2),
        growing=GrowingConfig(start_resolution=8, fade_kimg=(0.016,), steady_kimg=(0.016,)),
    )  # fmt: skip
    return partial(replace, plain)
