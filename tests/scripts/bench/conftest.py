"""A clock that stands still unless a test moves it, and a generator that restyles toy images."""

from dataclasses import replace

import pytest
import torch

from brushwork.models.generator import Generator
from brushwork.scripts.bench import harness, profiler, restyle
from brushwork.scripts.bench.toy import toy_dataset

from ...training.conftest import GENERATOR


class Clock:
    """The processor takes half of the time."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.now / 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (harness, profiler, restyle):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(scope="session")
def restyler() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        styles = toy_dataset(styles=3, subjects=1, size=16).style_names
        generator = Generator(replace(GENERATOR, encoders=True), styles)
        generator.mapping.average.normal_()
    return generator
