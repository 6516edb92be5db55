"""Two processes with half the batch each are one process with all of it."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from brushwork.training.run.checkpoint import checkpoints, load_checkpoint

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def train(packed: Path, out: Path, *, processes: int, steps: int, options: tuple[str, ...] = ()) -> dict:
    """State after so many steps of 8 images."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    python = [sys.executable, *(launcher if processes > 1 else [])]
    places = ["--data", str(packed), "--out", str(out), "--total-kimg", str(steps * 8 / 1000)]
    plain = ["--device", "cpu", "--threads", "1", "--precision", "fp32"]
    command = [*python, str(SCRIPT), "toy", *places, *plain, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_checkpoint(checkpoints(out / "checkpoints")[-1])


def largest_gap(one: dict, other: dict) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.slow
def test_two_processes_take_the_gradients_and_weights_of_one(tmp_path: Path, packed: Path) -> None:
    """The 16 px layers are idle at 8 px. Gradients show in Adam's first moments: with beta1 = 0 they are
    the last gradient. One step, since Adam makes whole steps of roundings in gradients near zero."""
    one = train(packed, tmp_path / "one", processes=1, steps=1)
    two = train(packed, tmp_path / "two", processes=2, steps=1)
    for network in ("generator", "discriminator"):
        states = [run[f"{network}_optimizer"]["state"] for run in (one, two)]
        assert states[0].keys() == states[1].keys()
        assert 0 < len(states[0]) < len(one[network]), "idle layers have no gradients"
        for mine, theirs in zip(states[0].values(), states[1].values(), strict=True):
            torch.testing.assert_close(mine["exp_avg"], theirs["exp_avg"], rtol=1e-3, atol=1e-6)
        assert largest_gap(one[network], two[network]) < 1e-4


@pytest.mark.slow
def test_two_processes_stay_with_one_over_the_boundary(tmp_path: Path, packed: Path) -> None:
    """Fourteen steps, from 8 px through the fade to 16 px: rounding grows, the runs do not part."""
    growing = ("--growing.steady-kimg", "0.04", "--growing.fade-kimg", "0.04")
    one = train(packed, tmp_path / "one", processes=1, steps=14, options=growing)
    two = train(packed, tmp_path / "two", processes=2, steps=14, options=growing)
    parts = train(packed, tmp_path / "parts", processes=1, steps=14, options=(*growing, "--accumulate", "2"))
    for network in ("generator", "discriminator", "average"):
        assert largest_gap(one[network], two[network]) < 2e-2
        assert largest_gap(one[network], parts[network]) < 2e-2


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(tmp_path: Path, packed: Path) -> None:
    """The checkpoint lies at the boundary from 8 to 16 px, after two steps of four."""
    growing = ("--growing.steady-kimg", "0.016", "--growing.fade-kimg", "0.016")
    options = (*growing, "--interval.checkpoint-kimg", "0.016")
    whole = train(packed, tmp_path, processes=2, steps=4, options=options)
    checkpoints(tmp_path / "checkpoints")[-1].unlink()
    resumed = train(packed, tmp_path, processes=2, steps=4, options=(*options, "--resume"))
    for network in ("generator", "discriminator", "average"):
        assert largest_gap(whole[network], resumed[network]) == 0.0


@pytest.mark.slow
def test_two_processes_restyle_as_one(tmp_path: Path, packed: Path) -> None:
    """Partners are neighbours, so halves of a batch pair off as the whole does; all regimes come up, and one
    classifier judges and guesses for both."""
    regimes = ("sampling", "restyling", "autoencoding", "contrast")
    shares = [word for name in regimes for word in (f"--restyle.{name}", "1")]
    judged = [word for name in ("classifier", "perceptual") for word in (f"--restyle.{name}.weight", "1")]
    labels = ("--labels.share", "0.5", "--labels.pseudo", "0.4", "--classifier.kimg", "0.064")
    options = ("--generator.encoders", *shares, *judged, *labels)
    one = train(packed, tmp_path / "one", processes=1, steps=8, options=options)
    two = train(packed, tmp_path / "two", processes=2, steps=8, options=options)
    for network in ("generator", "discriminator", "average"):
        assert largest_gap(one[network], two[network]) < 2e-2


def started(packed: Path, out: Path, *options: str, most_bytes: int | None = None) -> subprocess.Popen[str]:
    """Two processes that train for long, and may write no file of more than so many bytes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    places = ["--data", str(packed), "--out", str(out), "--total-kimg", "1000"]
    plain = ["--device", "cpu", "--threads", "1", "--precision", "fp32"]

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [*launcher, str(SCRIPT), "toy", *places, *plain, *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=limit,
    )  # fmt: skip


def has_trained(out: Path) -> bool:
    log = out / "metrics.jsonl"
    return log.exists() and len(log.read_text().splitlines()) > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--labels.share", "0.5", "--labels.pseudo", "0.4", "--classifier.kimg", "0.064"),
        ("--interval.checkpoint-kimg", "0.8"),
    ],
    ids=["while the other waits for the classifier", "in the thread that writes beside the loop"],
)
def test_what_fails_in_one_process_ends_both_with_one_sentence(
    tmp_path: Path, packed: Path, options: tuple[str, ...]
) -> None:
    process = started(packed, tmp_path / "run", *options, most_bytes=8192)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    sentences = [line for line in said.splitlines() if line.startswith("brushwork: ")]
    assert len(sentences) == 1, said
    assert "File too large" in sentences[0]


@pytest.mark.slow
def test_a_killed_process_ends_the_other_with_a_sentence(tmp_path: Path, packed: Path) -> None:
    process = started(packed, tmp_path / "run")
    wait_until(lambda: has_trained(tmp_path / "run"))
    ranks = children(process.pid)
    assert len(ranks) == 2
    os.kill(ranks[-1], signal.SIGKILL)
    began = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 40
    assert process.returncode != 0
    assert "[rank0]: Traceback" not in said
    assert "brushwork: another process that this one works with is gone" in said


@pytest.mark.slow
def test_orphans_stop_in_good_order_and_the_run_goes_on(tmp_path: Path, packed: Path) -> None:
    """The launcher is killed: both processes leave a checkpoint and end, and until then keep the folder."""
    out = tmp_path / "run"
    process = started(packed, out)
    wait_until(lambda: has_trained(out))
    ranks = children(process.pid)
    process.kill()
    process.communicate(timeout=60)  # the end of what the processes say is theirs
    wait_until(lambda: not any(alive(rank) for rank in ranks))
    nimg = int(checkpoints(out / "checkpoints")[-1].stem)
    state = train(packed, out, processes=2, steps=nimg // 8 + 2, options=("--resume",))
    assert state["nimg"] == nimg + 16


def wait_until(true: Callable[[], bool], *, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_two_processes_measure_the_numbers_of_one(tmp_path: Path, packed: Path, run: Path) -> None:
    """Features are dealt out in parts and gathered: every figure is the same to the last digit."""
    script = SCRIPT.with_name("measure.py")
    reports = []
    for processes in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        out = tmp_path / str(processes)
        options = ["--reference", str(packed), "--out", str(out), "--device", "cpu", "--per-style", "100"]
        metrics = ["--metrics", "fd", "accuracy", "prdc", "gram", "--no-control"]
        command = [sys.executable, *(launcher if processes > 1 else []), str(script), str(run)]
        own_cache = os.environ | {"XDG_CACHE_HOME": str(tmp_path / f"cache-{processes}")}
        done = subprocess.run(
            [*command, *options, *metrics], capture_output=True, text=True, timeout=300, env=own_cache
        )
        assert done.returncode == 0, done.stdout + done.stderr
        reports.append(json.loads((out / "report.json").read_text()))
    one, two = reports
    assert one["figures"] == two["figures"]
    assert (one["protocol"], one["environment"]["processes"]) == (two["protocol"], 1)
    assert two["environment"]["processes"] == 2
