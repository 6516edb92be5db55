"""A training that is stopped or killed, at any moment, and resumed is the training that went on: bit for bit.

`python tests/test_kills.py --chains 12 --kills 40` kills it again and again; `make test` runs a short chain.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import keystr, tree_flatten_with_path

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.files import PARTIAL
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.toy import toy_dataset, write_toy
from brushwork.training.config import TrainConfig
from brushwork.training.presets import toy
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.trainer import Trainer

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def last_state(out: Path) -> dict:
    """All but the clock."""
    state = load_checkpoint(checkpoints(out / "checkpoints")[-1])
    return {name: value for name, value in state.items() if name != "seconds"}


def require_equal_states(whole: Path, cut: Path) -> None:
    """To the last bit."""
    (one, structure), (other, same) = (tree_flatten_with_path(last_state(out)) for out in (whole, cut))
    assert structure == same
    for (path, a), (_, b) in zip(one, other, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, keystr(path)


def logged_images(out: Path) -> list[int]:
    return [json.loads(line)["nimg"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def config(out: Path, *, resume: bool = False) -> TrainConfig:
    """The toy preset for eight steps of 8 images; its boundaries lie at steps 3 and 6."""
    preset = toy()
    growing = replace(preset.growing, fade_kimg=(0.024,), steady_kimg=(0.024,))
    interval = replace(preset.interval, status_kimg=0.0, grid_kimg=0.0, snapshot_kimg=0.0)
    return replace(
        preset, out=out, total_kimg=0.064, device="cpu", precision="fp32", resume=resume, growing=growing,
        interval=interval, loss=replace(preset.loss, r1_interval=2, label_dropout=0.3),
        augment=replace(
            preset.augment, colour=1.0, translation=0.125, cutout=0.5, ada=("flip", "geometry"),
            ada_kimg=0.064,
        ),
        loader=replace(preset.loader, flip=True),
    )  # fmt: skip


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 7])
def test_cut_and_resumed_equals_uncut(tmp_path: Path, cut: int) -> None:
    """The cuts lie before, on and after the boundary from 8 to 16 px, with and without a penalty step
    next."""
    images = toy_dataset(styles=3, subjects=8, size=16)
    whole, trainer = (Trainer(config(tmp_path / name), images) for name in ("whole", "cut"))
    whole.state.augment_p = trainer.state.augment_p = 0.5
    whole.run()
    step = trainer._step

    def step_and_stop() -> None:
        step()
        if trainer.state.nimg == cut * 8:
            trainer.stop.request()

    trainer._step = step_and_stop  # type: ignore[method-assign]
    trainer.run()
    torch.manual_seed(cut)  # nothing may depend on the global state
    resumed = Trainer(config(tmp_path / "cut", resume=True), images)
    assert resumed.state.nimg == cut * 8
    resumed.run()
    require_equal_states(tmp_path / "whole", tmp_path / "cut")


def command(data: Path, out: Path, kimg: float, options: str) -> list[str]:
    plain = f"--total-kimg {kimg} --device cpu --threads 1 --precision fp32 --resume {options}"
    return [sys.executable, str(SCRIPT), "toy", "--data", str(data), "--out", str(out), *plain.split()]


def begun(words: list[str], out: Path) -> subprocess.Popen[str]:
    """A training that logs, which takes seconds, or has ended."""
    log = out / "metrics.jsonl"
    before, end = log.stat().st_mtime if log.exists() else 0.0, time.monotonic() + 120
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None and not (log.exists() and log.stat().st_mtime > before):
        assert time.monotonic() < end, "it does not start"
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_sigterm_writes_a_checkpoint_to_resume_from(tmp_path: Path, packed: Path) -> None:
    whole, cut, quiet = (
        tmp_path / "whole",
        tmp_path / "cut",
        "--interval.checkpoint-kimg 0 --interval.status-kimg 0.008",
    )
    stopped = begun(command(packed, cut, 50.0, quiet), cut)
    stopped.send_signal(signal.SIGTERM)
    output, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGTERM, output
    assert "checkpoint written: go on with --resume" in output.splitlines()[-1]
    nimg = last_state(cut)["nimg"]
    assert nimg > 0
    kimg = max(nimg + 16, 208) / 1000  # as long as growing takes, at least
    for out in (whole, cut):
        subprocess.run(command(packed, out, kimg, quiet), check=True, capture_output=True)
    require_equal_states(whole, cut)
    assert logged_images(cut) == sorted(set(logged_images(cut))), "no image is logged twice"


OFTEN = """--interval.status-kimg 0.016 --interval.grid-kimg 0.04 --interval.snapshot-kimg 0.056
    --interval.checkpoint-kimg 0.024"""
"""Something of every kind is written in every few steps."""


def killed_until_done(data: Path, out: Path, kimg: float, kills: int, source: random.Random) -> int:
    """Kills a run at random moments, up to `kills` times, and has it go on each time; how often it was."""
    for number in range(kills):
        process = begun(command(data, out, kimg, OFTEN), out)
        time.sleep(source.expovariate(2.0))
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[0]
            return number
        process.kill()
        process.communicate()
        for path in checkpoints(out / "checkpoints"):  # whatever a killed run leaves is sound
            load_checkpoint(path)
            load_generator(out)
    done = subprocess.run(command(data, out, kimg, OFTEN), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return kills


def chain(data: Path, folder: Path, kimg: float, kills: int, source: random.Random) -> int:
    """One run that nobody stops and one that is killed; how often it was."""
    whole, cut = folder / "whole", Path(tempfile.mkdtemp(dir=folder)) / "cut"
    if not whole.exists():
        subprocess.run(command(data, whole, kimg, OFTEN), check=True, capture_output=True)
    made = killed_until_done(data, cut, kimg, kills, source)
    require_equal_states(whole, cut)
    assert logged_images(whole) == logged_images(cut)
    for kind in ("samples", "snapshots", "checkpoints"):
        names = [{path.name for path in (out / kind).iterdir()} for out in (whole, cut)]
        assert names[0] == names[1], kind
    assert not list(cut.rglob(f".*{PARTIAL}"))
    return made


@pytest.mark.slow
def test_a_run_that_is_killed_twice_is_the_run_that_nobody_killed(tmp_path: Path, packed: Path) -> None:
    assert chain(packed, tmp_path, 0.8, 2, random.Random(0)) > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=12)
    parser.add_argument("--kills", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_toy(folder / "toy", styles=3, subjects=8, size=16, seed=0)
        pack(folder / "toy", folder / "data", PackConfig(resolution=16))
        for number in range(options.chains):
            made = chain(folder / "data", folder, 8.0, options.kills, random.Random(number))
            print(f"chain {number}: killed {made} times, and the same to the last bit", flush=True)
