"""Tiny networks and runs: 16 px, 8 channels, no time measured."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from brushwork.data.loader import Batch
from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.models.classifier import StyleClassifier
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.training.config import CadenceConfig, TrainConfig
from brushwork.training.losses import LossConfig
from brushwork.training.restyle.restyling import Judges
from brushwork.training.schedules import GrowingConfig
from brushwork.training.steps import Networks

GENERATOR = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8
)
DISCRIMINATOR = DiscriminatorConfig(channel_base=128, channel_max=8, minibatch_group=2)
QUIET = CadenceConfig(tick_kimg=0.0, grid_kimg=0.0, checkpoint_kimg=0.0, snapshot_kimg=0.0)


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
def pictures() -> Pictures:
    return toy_pictures(styles=3, subjects=8, size=16)


@pytest.fixture
def nets() -> Networks:
    """Whose noise strengths and biases are at work, as after some training."""
    pair = Networks(
        generator=Generator(GENERATOR, ("chalk", "ink", "oil")),
        discriminator=Discriminator(DISCRIMINATOR, resolution=16, styles=3),
    )
    with torch.no_grad():
        for network in (pair.generator, pair.discriminator):
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
    return pair


@pytest.fixture
def batch() -> Batch:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    return Batch(images=images, styles=torch.eye(3)[[0, 1, 2, 0]], indices=torch.arange(4))


@pytest.fixture
def both(nets: Networks) -> Networks:
    """As `nets`, with encoders and a variational content."""
    config = replace(nets.generator.config, encoders=True, content_blocks=1, content_latent=2)
    generator = Generator(config, nets.generator.style_names)
    with torch.no_grad():
        for parameter in generator.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return Networks(generator=generator, discriminator=nets.discriminator)


@pytest.fixture
def judges(both: Networks) -> Judges:
    network = StyleClassifier(both.generator.config.widths, styles=3).requires_grad_(False)
    return Judges(classifier=network, perception=network.maps)


@pytest.fixture
def criticised(both: Networks) -> Networks:
    network = Discriminator(DISCRIMINATOR, resolution=16, styles=3, content_widths={8: 8})
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return Networks(generator=both.generator, discriminator=network)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of batches of 8 from 8 px, all of whose chores are off; any field can be overridden."""

    def make(**changes: Any) -> TrainConfig:
        plain: dict[str, Any] = {
            "out": tmp_path / "run",
            "total_kimg": 0.032,
            "batch": 8,
            "precision": "fp32",
            "device": "cpu",
            "threads": 1,
            "generator": GENERATOR,
            "discriminator": DISCRIMINATOR,
            "loss": LossConfig(r1_gamma=0.5, r1_every=2),
            "growing": GrowingConfig(start_resolution=8, fade_kimg=(0.016,), steady_kimg=(0.016,)),
            "every": QUIET,
        }
        return TrainConfig(**(plain | changes))

    return make
