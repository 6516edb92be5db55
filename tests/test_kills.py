"""A training that is killed again and again, at any moment, is in the end the training that nobody killed.

`python tests/test_kills.py --chains 12 --kills 40` says how it went; `make test` runs one short chain.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.files import PARTIAL
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.toy import write_toy
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def command(data: Path, out: Path, kimg: float) -> list[str]:
    """A run that writes something of every kind in every few steps."""
    often = ["--interval.status-kimg", "0.016", "--interval.grid-kimg", "0.04",
             "--interval.snapshot-kimg", "0.056", "--interval.checkpoint-kimg", "0.024"]  # fmt: skip
    plain = ["--device", "cpu", "--threads", "1", "--precision", "fp32", "--resume"]
    places = ["--data", str(data), "--out", str(out), "--total-kimg", str(kimg)]
    return [sys.executable, str(SCRIPT), "toy", *places, *plain, *often]


def killed_until_done(data: Path, out: Path, kimg: float, kills: int, source: random.Random) -> int:
    """Kills a run at random moments, up to `kills` times, and has it go on each time; how often it was."""
    for number in range(kills):
        process = subprocess.Popen(
            command(data, out, kimg), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        log = out / "metrics.jsonl"
        began, before = time.monotonic(), log.stat().st_mtime if log.exists() else 0.0
        # It takes seconds to start; a kill there is no trial.
        while process.poll() is None and not (log.exists() and log.stat().st_mtime > before):
            assert time.monotonic() - began < 120, "it does not start"
            time.sleep(0.01)
        time.sleep(source.expovariate(2.0))
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[1].decode()
            return number
        process.kill()
        process.communicate()
        require_sound(out)
    done = subprocess.run(command(data, out, kimg), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return kills


def require_sound(out: Path) -> None:
    """Reads the files that a killed run leaves."""
    found = checkpoints(out / "checkpoints")
    for path in found:
        load_checkpoint(path)
    if found:
        load_generator(out)


def require_equal(whole: Path, cut: Path) -> None:
    """The same state to the last bit, the same files, and every line of the log once."""
    one, other = (load_checkpoint(checkpoints(run / "checkpoints")[-1]) for run in (whole, cut))
    for part in ("generator", "discriminator", "average"):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), f"{part}.{name}"
    for folder in ("samples", "snapshots", "checkpoints"):
        names = [{path.name for path in (run / folder).iterdir()} for run in (whole, cut)]
        assert names[0] == names[1], folder
    images = [
        [json.loads(line)["nimg"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, cut)
    ]
    assert images[0] == images[1]
    assert not list(cut.rglob(f".*{PARTIAL}"))


def chain(folder: Path, kimg: float, kills: int, source: random.Random) -> int:
    """One run that nobody stops and one that is killed; how often it was."""
    data = folder / "data"
    if not data.exists():
        write_toy(folder / "toy", styles=3, subjects=8, size=16, seed=0)
        pack(folder / "toy", data, PackConfig(resolution=16))
        subprocess.run(command(data, folder / "whole", kimg), check=True, capture_output=True)
    out = Path(tempfile.mkdtemp(dir=folder)) / "cut"
    made = killed_until_done(data, out, kimg, kills, source)
    require_equal(folder / "whole", out)
    return made


@pytest.mark.slow
def test_a_run_that_is_killed_twice_is_the_run_that_nobody_killed(tmp_path: Path) -> None:
    assert chain(tmp_path, 0.8, 2, random.Random(0)) > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=12)
    parser.add_argument("--kills", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as whole:
        for number in range(options.chains):
            made = chain(Path(whole), 8.0, options.kills, random.Random(number))
            print(f"chain {number}: killed {made} times, and the same to the last bit", flush=True)
