"""`brushwork publish`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brushwork.data.images import read_image
from brushwork.models.sampling import sample
from brushwork.models.snapshot import generator_bytes, load_generator

from ..conftest import Shell
from ..models.export.test_publish import CONFIG, made


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshot") / "a.safetensors"
    generator = made(CONFIG)
    path.write_bytes(generator_bytes(generator, stage=generator.trained_stage, notes={}))
    return path


def test_the_folder_draws_what_the_run_draws(shell: Shell, snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "published"
    assert "synthesis.onnx" in shell("publish", snapshot, out)
    words = ("--style", "oil", "--seeds", "3", "4", "--out", tmp_path / "drawn")
    subprocess.run([sys.executable, "-I", out / "generate.py", *words], check=True, capture_output=True)
    generator = load_generator(out)
    expected = sample(generator, "oil", [3, 4])
    for image, seed in zip(expected, (3, 4), strict=True):
        found = read_image(tmp_path / "drawn" / f"seed{seed}.png")
        assert np.abs(found.astype(int) - image.permute(1, 2, 0).numpy().astype(int)).max() <= 1
    assert "is there already" in shell.mistake("publish", snapshot, out)
    assert "is there already" in shell.mistake("publish", snapshot, tmp_path, "--overwrite")


def test_nothing_is_left_of_what_cannot_be_published(shell: Shell, run: Path, tmp_path: Path) -> None:
    assert "does not exist" in shell.mistake("publish", tmp_path / "absent", tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []
