import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.pictures import Pictures
from brushwork.models.modulation import StyledEpilogue
from brushwork.training.adversarial import LossConfig
from brushwork.training.config import TrainConfig
from brushwork.training.speed import SpeedConfig, set_threads
from brushwork.training.state import build_networks
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]

FAULTS = """
import resource
import torch
from brushwork.training.speed import retain_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():
    torch.ones(16 * 2**20)  # 64 MiB, 16384 pages

assert retain_freed_memory() if {keep} else True
for _ in range(12):  # the library lays small things between large ones until its shelf of these is full
    fill()
before = faults()
fill()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_kept_memory_is_used_again_without_new_pages() -> None:
    def faults(*, keep: bool) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults(keep=False) > 100, "huge pages or small ones, they are new"
    assert faults(keep=True) < 10


def test_switches_reach_the_networks(make_config: Make) -> None:
    for fused in (True, False):
        config = make_config(speed=SpeedConfig(fused=fused))
        config = replace(config, generator=replace(config.generator, encoders=True, content_blocks=2))
        nets = build_networks(config, ("a", "b"), torch.device("cpu"))
        switched = [m for m in nets.generator.modules() if isinstance(m, StyledEpilogue)]
        assert [module.fused for module in switched] == [fused] * 6


def test_fifty_steps_of_the_fast_and_of_the_plain_way_have_the_same_losses(
    make_config: Make, pictures: Pictures, tmp_path: Path
) -> None:
    def losses(fused: bool, precision: str = "fp32") -> list[float]:
        config = make_config(
            out=tmp_path / f"{fused} {precision}", total_kimg=0.4, precision=precision,
            speed=SpeedConfig(fused=fused, retain_freed_memory=False),
            loss=LossConfig(update_order="simultaneous", r1_gamma=0.5, r1_interval=16),
        )  # fmt: skip
        trainer = Trainer(replace(config, interval=replace(config.interval, status_kimg=0.008)), pictures)
        trainer.run()
        return [line["loss_g"] for line in trainer.folder.history()]

    fast, plain, low = losses(fused=True), losses(fused=False), losses(fused=True, precision="bf16")
    assert len(fast) == 50
    assert fast == pytest.approx(plain, rel=1e-3)
    assert fast[0] != fast[-1]
    assert low == pytest.approx(plain, rel=0.02)
    assert low != pytest.approx(plain, rel=1e-3), "it is in bf16"


@pytest.fixture
def settings() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_threads_are_those_asked_for_or_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    set_threads(3, processes=2)
    set_threads(0, processes=2)
    set_threads(0, processes=16)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    set_threads(0, processes=2)
    set_threads(2, processes=2)
    assert given == [3, 4, 1, 2]
