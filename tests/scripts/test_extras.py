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
sys.argv = ["brushwork", *sys.argv[1:]]
main()
"""


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    typed = [sys.executable, "-c", BLOCK, *map(str, words)]
    return subprocess.run(typed, capture_output=True, text=True, timeout=300)


def test_the_core_needs_no_extra(packed: Path, tmp_path: Path) -> None:
    short = ("--total-kimg", "0.064", "--batch", "8", "--interval.snapshot-kimg", "0.064")
    for words in (
        ("train", "toy", "--data", packed, "--out", tmp_path / "run", *short),
        ("sample", tmp_path / "run", "--seeds", "0-1"),
    ):
        done = command(*words, "--device", "cpu")
        assert done.returncode == 0, done.stderr


def test_a_missing_package_is_named_with_its_extra(packed: Path, run: Path) -> None:
    options = ("toy", "--data", packed, "--out", run.parent / "t")
    for extra, words in (
        ("metrics", ("measure", run, "--reference", packed)),
        ("trackers", ("train", *options, "--trackers.use", "wandb")),
        ("tune", ("tune", *options)),
    ):
        done = command(*words)
        assert done.returncode == 2, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("brushwork: ")]
        assert f"pip install 'brushwork[{extra}]'" in line
        assert "Traceback" not in done.stderr
