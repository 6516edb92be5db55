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

SCRIPTS = Path(__file__).parent.parent / "scripts"
PROCESSES = {
    1: [sys.executable],
    2: [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
}
LABELS = "--labels.share 0.5 --labels.pseudo 0.4 --classifier.kimg 0.064"
ADA = "--augment.ada flip turn shift geometry colour --augment.ada-kimg 0.2 --augment.ada-target 0"
GROWING = "--growing.steady-kimg {0} --growing.fade-kimg {0}"
RESTYLING = f"""--generator.encoders --restyle.sampling 1 --restyle.restyling 1 --restyle.autoencoding 1
    --restyle.contrast 1 --restyle.classifier.weight 1 --restyle.perceptual.weight 1 {LABELS}"""
pytestmark = pytest.mark.slow


def command(processes: int, packed: Path, out: Path, steps: int, options: str) -> list[str]:
    plain = f"--total-kimg {steps * 8 / 1000} --device cpu --threads 1 --precision fp32 {options}"
    places = ["--data", str(packed), "--out", str(out)]
    return [*PROCESSES[processes], str(SCRIPTS / "train.py"), "toy", *places, *plain.split()]


def train(processes: int, packed: Path, out: Path, steps: int, options: str = "") -> dict:
    """State after so many steps of 8 images."""
    words = command(processes, packed, out, steps, options)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_checkpoint(checkpoints(out / "checkpoints")[-1])


def largest_gap(one: dict, other: dict) -> float:
    networks = ("generator", "discriminator", "average")
    return max(float((one[n][name] - other[n][name]).abs().max()) for n in networks for name in one[n])


def test_two_processes_take_the_gradients_and_weights_of_one(tmp_path: Path, packed: Path) -> None:
    """The 16 px layers are idle at 8 px. Gradients show in Adam's first moments: with beta1 = 0 they are
    the last gradient. One step, since Adam makes whole steps of roundings in gradients near zero."""
    one, two = (train(processes, packed, tmp_path / str(processes), 1) for processes in (1, 2))
    assert largest_gap(one, two) < 1e-4
    for network in ("generator", "discriminator"):
        mine, theirs = (
            {number: moments["exp_avg"] for number, moments in run[f"{network}_optimizer"]["state"].items()}
            for run in (one, two)
        )
        assert 0 < len(mine) < len(one[network]), "idle layers have no gradients"
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "options"),
    [(14, f"{GROWING.format(0.04)} {ADA}"), (8, RESTYLING)],
    ids=["growing", "restyling"],
)
def test_two_processes_and_two_parts_stay_with_one(
    tmp_path: Path, packed: Path, steps: int, options: str
) -> None:
    """From 8 px through the fade to 16 px: rounding grows, the runs do not part. When restyling, partners are
    neighbours, so halves of a batch pair off as the whole does; all regimes come up, and one classifier
    judges and guesses for both."""
    one, two = (train(processes, packed, tmp_path / str(processes), steps, options) for processes in (1, 2))
    parts = train(1, packed, tmp_path / "parts", steps, f"{options} --accumulate 2")
    assert largest_gap(one, two) < 2e-2
    assert largest_gap(one, parts) < 2e-2
    assert one["augment_p"] == two["augment_p"] == parts["augment_p"]
    assert (one["augment_p"] > 0) == (ADA in options)


def test_two_processes_resume_bit_for_bit(tmp_path: Path, packed: Path) -> None:
    """The checkpoint lies at the boundary from 8 to 16 px, after two steps of four."""
    options = f"{GROWING.format(0.016)} --interval.checkpoint-kimg 0.016"
    whole = train(2, packed, tmp_path, 4, options)
    checkpoints(tmp_path / "checkpoints")[-1].unlink()
    assert largest_gap(whole, train(2, packed, tmp_path, 4, f"{options} --resume")) == 0.0


def started(
    packed: Path, out: Path, options: str = "", most_bytes: int = resource.RLIM_INFINITY
) -> subprocess.Popen[str]:
    """Two processes that train for long, and may write no file of more than so many bytes."""
    return subprocess.Popen(
        command(2, packed, out, 125_000, options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )  # fmt: skip


def ranks_of(launcher: subprocess.Popen[str], out: Path) -> list[int]:
    """The processes that a launcher started, once they have trained."""
    log = out / "metrics.jsonl"
    wait_until(lambda: log.exists() and log.read_text().count("\n") > 2)
    ranks = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    assert len(ranks) == 2
    return [int(rank) for rank in ranks]


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    "options",
    [LABELS, "--interval.checkpoint-kimg 0.8"],
    ids=["while the other waits for the classifier", "in the thread that writes beside the loop"],
)
def test_what_fails_in_one_process_ends_both_with_one_sentence(
    tmp_path: Path, packed: Path, options: str
) -> None:
    process = started(packed, tmp_path / "run", options, most_bytes=8192)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    (sentence,) = [line for line in said.splitlines() if line.startswith("brushwork: ")]
    assert "File too large" in sentence


@pytest.mark.parametrize("mistaken", ["0 1", "1"])
def test_a_mistake_is_told_once_whether_one_process_made_it_or_all(tmp_path: Path, mistaken: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import os, time
from brushwork.scripts.cli import fail, run_command
run_command(lambda: fail("wrong.") if os.environ["RANK"] in {mistaken.split()} else time.sleep(60))
""")
    done = subprocess.run([*PROCESSES[2], str(script)], capture_output=True, text=True, timeout=50)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count("brushwork: wrong.") == 1


def test_a_killed_process_ends_the_other_with_a_sentence(tmp_path: Path, packed: Path) -> None:
    process = started(packed, tmp_path / "run")
    os.kill(ranks_of(process, tmp_path / "run")[-1], signal.SIGKILL)
    said, _ = process.communicate(timeout=40)
    assert process.returncode != 0
    assert "[rank0]: Traceback" not in said
    assert "brushwork: another process that this one works with is gone" in said


def test_orphans_stop_in_good_order_and_the_run_goes_on(tmp_path: Path, packed: Path) -> None:
    """The launcher is killed: both processes leave a checkpoint and end, and until then keep the folder."""
    process = started(packed, tmp_path)
    ranks = ranks_of(process, tmp_path)
    process.kill()
    process.communicate(timeout=60)  # the end of what the processes say is theirs
    wait_until(lambda: all(map(ended, ranks)))
    nimg = int(checkpoints(tmp_path / "checkpoints")[-1].stem)
    assert train(2, packed, tmp_path, nimg // 8 + 2, "--resume")["nimg"] == nimg + 16


def test_two_processes_measure_the_numbers_of_one(
    tmp_path: Path, packed: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are dealt out in parts and gathered: every figure is the same to the last digit."""
    reports = []
    for processes, python in PROCESSES.items():
        out = tmp_path / str(processes)
        monkeypatch.setenv("XDG_CACHE_HOME", str(out / "cache"))
        places = [str(SCRIPTS / "measure.py"), str(run), "--reference", str(packed), "--out", str(out)]
        metrics = ["--metrics", "fd", "accuracy", "prdc", "gram", "--no-control"]
        words = [*python, *places, "--device", "cpu", "--per-style", "100", *metrics]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        reports.append(json.loads((out / "report.json").read_text()))
    one, two = reports
    assert one["figures"] == two["figures"]
    assert one["protocol"] == two["protocol"]
    assert [report["environment"]["processes"] for report in reports] == [1, 2]
