"""Fast steps are plain steps but for rounding; precision and threads are chosen well."""

import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.dataset import ImageDataset
from brushwork.models.modulation import StyledEpilogue
from brushwork.training import speed
from brushwork.training.adversarial import LossConfig
from brushwork.training.config import TrainConfig
from brushwork.training.speed import choose_precision, prepare_process
from brushwork.training.trainer import Trainer

from .conftest import QUIET, plain_epilogue

FAULTS = """
import resource
import torch
from brushwork.training.speed import retain_freed_memory

def faults():
    torch.ones(16 * 2**20)  # 64 MiB, 16384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

assert retain_freed_memory() if {keep} else True
# The library lays small things between large ones until its shelf of these is full.
seen = [faults() for _ in range(13)]
print(seen[-1] - seen[-2])
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


def test_fifty_steps_of_the_fast_and_of_the_plain_way_have_the_same_losses(
    make_config: Callable[..., TrainConfig], pictures: ImageDataset, tmp_path: Path
) -> None:
    def losses(precision: str = "fp32", *, fused: bool) -> list[float]:
        config = make_config(
            out=tmp_path / f"{fused} {precision}", total_kimg=0.4, precision=precision,
            loss=LossConfig(r1_gamma=0.5, r1_interval=16), interval=replace(QUIET, status_kimg=0.008),
        )  # fmt: skip
        trainer = Trainer(config, pictures)
        with pytest.MonkeyPatch.context() as patch:
            if not fused:
                patch.setattr(StyledEpilogue, "forward", plain_epilogue)
            trainer.run()
        return [line["loss_g"] for line in trainer.folder.history()]

    fast, plain, low = losses(fused=True), losses(fused=False), losses("bf16", fused=True)
    assert len(fast) == 50
    assert fast == pytest.approx(plain, rel=1e-3)
    assert fast[0] != fast[-1]
    assert low == pytest.approx(plain, rel=0.02)
    assert low != pytest.approx(plain, rel=1e-3), "it is in bf16"


def test_threads_are_those_asked_for_or_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for threads, processes in ((3, 2), (0, 2), (0, 16)):
        prepare_process(threads=threads, processes=processes)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    for threads in (0, 2):
        prepare_process(threads=threads, processes=2)
    assert given == [3, 4, 1, 2]


@pytest.mark.parametrize(("low", "expected"), [(0.7, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_bf16_is_taken_where_its_fastest_call_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, low: float, expected: str
) -> None:
    """Two rounds warm up, too fast to be true; of the others, most fall into a load peak."""
    spans = [0.1, 9.0, 9.0, 0.1] + [9.0, 9.0] * 7 + [1.0, 9.0, 9.0, low] + [9.0, 9.0] * 6
    clock, cpu = iter([moment for span in spans for moment in (0.0, span)]), torch.device("cpu")
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    assert choose_precision("auto", cpu) == expected
    assert next(clock, None) is None
    assert [choose_precision(wanted, cpu) for wanted in ("fp32", "bf16")] == ["fp32", "bf16"], "not measured"
