"""Fast steps are plain steps but for rounding; precision and threads are chosen well."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.dataset import Pictures
from brushwork.models.modulation import StyledEpilogue
from brushwork.training import speed
from brushwork.training.adversarial import LossConfig
from brushwork.training.config import TrainConfig
from brushwork.training.speed import choose_precision, faster_precision, least_seconds, prepare_process
from brushwork.training.trainer import Trainer

from .conftest import plain_epilogue

CPU = torch.device("cpu")

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


def test_fifty_steps_of_the_fast_and_of_the_plain_way_have_the_same_losses(
    make_config: Callable[..., TrainConfig], pictures: Pictures, tmp_path: Path
) -> None:
    def losses(precision: str = "fp32", *, fused: bool) -> list[float]:
        config = make_config(
            out=tmp_path / f"{fused} {precision}", total_kimg=0.4, precision=precision,
            loss=LossConfig(r1_gamma=0.5, r1_interval=16),
        )  # fmt: skip
        trainer = Trainer(replace(config, interval=replace(config.interval, status_kimg=0.008)), pictures)
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


# Precision
@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    def timed(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
        for action in candidates.values():
            action()
        return {"fp32": 1.0, "bf16": ratio}

    monkeypatch.setattr(speed, "least_seconds", timed)
    assert faster_precision(CPU) == choose_precision("auto", CPU) == expected
    monkeypatch.setattr(speed, "faster_precision", None)
    assert [choose_precision(wanted, CPU) for wanted in ("fp32", "bf16")] == ["fp32", "bf16"], "not measured"


def test_a_load_peak_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rounds but one are slow, and those that warm up are too fast to be true."""
    clock, spans = [0.0], iter([0.0, 0.0, 9.0, 9.0, 2.0, 9.0])

    def work() -> None:
        clock[0] += next(spans)

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    assert least_seconds({"work": work}, rounds=4) == {"work": 2.0}


# Compiled steps, run by the tracer alone: the C++ compiler would take minutes. In a process of its own: type
# checks of the tests draw random numbers, which the tracer takes for constants.
COMPILED = """
import json, sys
from dataclasses import replace
from pathlib import Path
from torch import nn
from torch._dynamo.utils import counters
from brushwork.data.sources.toy import toy_pictures
from brushwork.training.adversarial import LossConfig
from brushwork.training.presets import toy
from brushwork.training.schedules import GrowingConfig
from brushwork.training.speed import SpeedConfig
from brushwork.training.trainer import Trainer

traced = nn.Module.compile
nn.Module.compile = lambda module, **_: traced(module, backend="eager", dynamic=False)
preset = toy()
for mode in ("off", "default"):
    trainer = Trainer(replace(
        preset, out=Path(sys.argv[1]) / mode, total_kimg=0.064, precision="fp32", device="cpu", threads=1,
        generator=replace(preset.generator, resolution=8, channel_max=8),
        discriminator=replace(preset.discriminator, channel_max=8, minibatch_group=2),
        loss=LossConfig(r1_gamma=0.5, r1_interval=2),
        growing=GrowingConfig(start_resolution=4, fade_kimg=(0.016,), steady_kimg=(0.024,)),
        interval=replace(preset.interval, status_kimg=0.008, grid_kimg=0.0, checkpoint_kimg=0.0),
        speed=SpeedConfig(compile=mode),
    ), toy_pictures(styles=3, subjects=8, size=16))
    compile_ahead, counts = trainer._compile, []

    def counted():
        compile_ahead()
        counts.append(counters["stats"]["unique_graphs"])

    trainer._compile = counted
    trainer.run()
    losses = [line["loss_g"] for line in trainer.folder.history()]
    print(json.dumps([losses, *counts, counters["stats"]["unique_graphs"]]), file=sys.stderr)
"""


@pytest.mark.slow
def test_compiled_steps_are_the_plain_ones_and_no_step_waits_for_the_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", COMPILED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    plain, compiled = (json.loads(line) for line in done.stderr.splitlines() if line.startswith("[["))
    assert plain[1:] == [0, 0]
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)
    assert len(compiled[0]) == 8
    before, after = compiled[1:]
    assert before >= 4, "two networks at two resolutions"
    assert after == before
    assert "compiled: 4 px in " in done.stdout
