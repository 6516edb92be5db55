"""Without the extras the core commands work, and the others name the extra that they need."""

import subprocess
import sys
from pathlib import Path

BLOCK = """
import sys
from importlib.machinery import PathFinder
from brushwork.scripts.cli import EXTRAS, main

find_spec = PathFinder.find_spec

def without_extras(name, path=None, target=None):
    return None if name.partition(".")[0] in EXTRAS else find_spec(name, path, target)

PathFinder.find_spec = staticmethod(without_extras)
"""


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    code = f"{BLOCK}\nsys.argv = ['brushwork', *sys.argv[1:]]\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=300
    )


def test_the_core_needs_no_extra(packed: Path, tmp_path: Path) -> None:
    run, cpu = tmp_path / "run", ("--device", "cpu")
    short = ("--total-kimg", "0.064", "--batch", "8", "--interval.snapshot-kimg", "0.064")
    trained = command("train", "toy", "--data", packed, "--out", run, *short, *cpu)
    assert trained.returncode == 0, trained.stderr
    sampled = command("sample", run, "--seeds", "0-1", *cpu)
    assert sampled.returncode == 0, sampled.stderr


def test_a_missing_package_is_named_with_its_extra(packed: Path, run: Path) -> None:
    for words, extra in (
        (("measure", run, "--reference", packed), "metrics"),
        (
            ("train", "toy", "--data", packed, "--out", run.parent / "t", "--trackers.use", "wandb"),
            "trackers",
        ),
    ):
        done = command(*words)
        assert done.returncode == 2, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("brushwork: ")]
        assert f"pip install 'brushwork[{extra}]'" in line
        assert "Traceback" not in done.stderr
