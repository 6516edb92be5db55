"""Checks of shapes in signatures, one thread for repeatable runs, and fixtures for all tests.

The fixtures are a packed toy data set, a finished run, and the command as a shell.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run in as many processes as there are cores
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

install_import_hook(["brushwork.models", "brushwork.training", "brushwork.eval"], "beartype.beartype")

# The fixtures import brushwork themselves: the hook above must come first.


class Shell:
    """Runs `brushwork ...` in this process and returns what it prints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> str:
        """Standard output of a command that succeeds."""
        from brushwork.scripts.cli import main

        self.monkeypatch.setattr(sys, "argv", ["brushwork", *map(str, words)])
        main()
        return self.capsys.readouterr().out

    def mistake(self, *words: object) -> str:
        """Standard error of a command that ends with one sentence and exit code 2."""
        with pytest.raises(SystemExit) as ended:
            self(*words)
        assert ended.value.code == 2
        printed = self.capsys.readouterr().err
        assert "Traceback" not in printed
        sentences = [line for line in printed.splitlines() if line.startswith("brushwork: ")]
        assert len(sentences) == 1, printed
        return printed


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from brushwork.scripts.bench.toy import write_toy

    folder = tmp_path_factory.mktemp("pictures") / "toy"
    write_toy(folder, styles=3, subjects=40, size=16)
    return folder


@pytest.fixture(scope="session")
def packed(pictures: Path) -> Path:
    from brushwork.data.curate.pack import PackConfig, pack

    out = pictures.parent / "packed"
    pack(pictures, out, PackConfig(resolution=16, test_fraction=0.3))
    return out


@pytest.fixture(scope="session")
def run(packed: Path) -> Path:
    """A finished toy run."""
    from brushwork.data.dataset import load_dataset
    from brushwork.training.presets import toy
    from brushwork.training.trainer import Trainer

    out = packed.parent / "run"
    config = replace(toy(), data=packed, out=out, device="cpu", precision="fp32", total_kimg=0.24)
    Trainer(config, load_dataset(packed, "train")).run()
    return out
