"""Tiny networks: 16 px, 8 to 12 channels."""

from pathlib import Path

import pytest
import torch

from brushwork.models.generator import Generator, GeneratorConfig

NAMES = ("chalk", "ink", "oil")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def config() -> GeneratorConfig:
    return GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12
    )


@pytest.fixture
def generator(config: GeneratorConfig) -> Generator:
    """A generator whose noise and averages are all at work, as after training."""
    return stirred(Generator(config, NAMES))


def stirred(generator: Generator) -> Generator:
    """Parameters that start at zero (noise strengths, biases) and the averages get values."""
    with torch.no_grad():
        for name, value in (*generator.named_parameters(), *generator.named_buffers()):
            if not value.any() or name.endswith("average"):
                value.copy_(torch.randn_like(value) * 0.3)
    return generator


class Trap:
    """Unpickling one of these makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)
