"""A run that is stopped and resumed is the run that was not: bit for bit."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.config import TrainConfig
from brushwork.training.presets import toy
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.trainer import Trainer

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def differing(a: object, b: object, path: str = "") -> list[str]:
    """Names of the leaves in which two states are not equal to the last bit."""
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor)
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys()
        return [name for key in a for name in differing(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, (list, tuple)):
        assert isinstance(b, (list, tuple))
        return [
            name for i, (x, y) in enumerate(zip(a, b, strict=True)) for name in differing(x, y, f"{path}.{i}")
        ]
    return [] if a == b else [path]


def without_clock(state: dict) -> dict:
    return {name: value for name, value in state.items() if name != "seconds"}


def last_state(out: Path) -> dict:
    return without_clock(load_checkpoint(checkpoints(out / "checkpoints")[-1]))


def stop_after(trainer: Trainer, steps: int) -> None:
    """Has a signal come in so many steps."""
    step, taken = trainer._step, count(1)

    def counted() -> None:
        step()
        if next(taken) == steps:
            trainer.stop.request()

    trainer._step = counted  # type: ignore[method-assign]


def config(out: Path, steps: float, **changes: object) -> TrainConfig:
    """The toy preset for so many steps of 8 images; its boundaries lie at steps 3 and 6."""
    preset = toy()
    growing = replace(preset.growing, fade_kimg=(0.024,), steady_kimg=(0.024,))
    interval = replace(preset.interval, status_kimg=0.0, grid_kimg=0.0, snapshot_kimg=0.0)
    base = replace(
        preset, out=out, total_kimg=steps * 8 / 1000, device="cpu", precision="fp32", growing=growing,
        interval=interval, loss=replace(preset.loss, r1_interval=2, label_dropout=0.3),
        augment=replace(preset.augment, colour=1.0, translation=0.125, cutout=0.5),
        loader=replace(preset.loader, flip=True),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 7])
def test_cut_and_resumed_equals_uncut(tmp_path: Path, cut: int) -> None:
    """The cuts lie before, on and after the boundary from 8 to 16 px, with and without a penalty step
    next."""
    images = toy_dataset(styles=3, subjects=8, size=16)
    Trainer(config(tmp_path / "whole", 8), images).run()
    trainer = Trainer(config(tmp_path / "cut", 8), images)
    stop_after(trainer, cut)
    trainer.run()
    torch.manual_seed(cut)  # nothing may depend on the global state
    resumed = Trainer(config(tmp_path / "cut", 8, resume=True), images)
    assert resumed.state.nimg == cut * 8
    resumed.run()
    assert differing(last_state(tmp_path / "whole"), last_state(tmp_path / "cut")) == []


def command(packed: Path, out: Path, kimg: float, *options: str) -> list[str]:
    return [sys.executable, str(SCRIPT), "toy", "--data", str(packed), "--out", str(out), "--device", "cpu",
            "--threads", "1", "--precision", "fp32", "--total-kimg", str(kimg), *options]  # fmt: skip


@pytest.mark.slow
def test_sigterm_writes_a_checkpoint_to_resume_from(tmp_path: Path, packed: Path) -> None:
    """Stopped by SIGTERM somewhere in the middle, then resumed, equals the run that nobody stopped."""
    quiet = ("--interval.checkpoint-kimg", "0", "--interval.status-kimg", "0.008")
    stopped = subprocess.Popen(
        command(packed, tmp_path / "cut", 50.0, *quiet),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    log = tmp_path / "cut" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") >= 3):
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    output, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGTERM, output
    assert "checkpoint written: go on with --resume" in output.splitlines()[-1]
    nimg = last_state(tmp_path / "cut")["nimg"]
    assert nimg > 0
    kimg = max(nimg + 16, 208) / 1000  # as long as growing takes, at least
    subprocess.run(
        command(packed, tmp_path / "cut", kimg, *quiet, "--resume"), check=True, capture_output=True
    )
    subprocess.run(command(packed, tmp_path / "whole", kimg, *quiet), check=True, capture_output=True)
    assert differing(last_state(tmp_path / "whole"), last_state(tmp_path / "cut")) == []
    lines = [json.loads(line) for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    counts = [line["nimg"] for line in lines]
    assert counts == sorted(set(counts)), "no image is logged twice"
