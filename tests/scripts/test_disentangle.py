"""`brushwork measure RUN --metrics disentanglement`, and its control."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from brushwork.data.pictures import load_pictures
from brushwork.eval.evaluator import untrained
from brushwork.models.snapshot import load_generator
from brushwork.training.config import TrainConfig
from brushwork.training.presets import toy
from brushwork.training.rng import derived_seed
from brushwork.training.state import build_networks
from brushwork.training.trainer import Trainer

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

FIGURES = {
    "style_in_content", "subject_in_content", "style_in_style", "subject_in_style", "swapped_style",
    "swapped_content", "products_in_content",
}  # fmt: skip


def config(packed: Path, out: Path) -> TrainConfig:
    """One step of a network with encoders."""
    preset = toy()
    return replace(
        preset, data=packed, out=out, device="cpu", precision="fp32", total_kimg=0.008, seed=5,
        generator=replace(preset.generator, encoders=True),
    )  # fmt: skip


@pytest.fixture(scope="module")
def encoding(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of this configuration, whose images have half the size of the data."""
    out = tmp_path_factory.mktemp("encoding") / "run"
    Trainer(config(packed, out), load_pictures(packed, "train")).run()
    return out


def test_measure_disentanglement(shell: Shell, packed: Path, encoding: Path, tmp_path: Path) -> None:
    options = ("--reference", packed, "--per-style", "4", "--device", "cpu", "--out", tmp_path)
    said = shell("measure", encoding, "--metrics", "disentanglement", *options)
    assert "subject_in_style" in said
    found = json.loads((tmp_path / "report.json").read_text())["figures"]
    assert found.keys() == FIGURES
    assert all(0 <= found[name]["measured"]["value"] <= 1 for name in FIGURES)
    assert all("control" in found[name] for name in FIGURES)
    assert "style read off the content code" in (tmp_path / "report.html").read_text()


def test_the_control_is_the_network_before_its_training(packed: Path, encoding: Path) -> None:
    generator, state = load_generator(encoding), torch.random.get_rng_state()
    before = untrained(generator, derived_seed(5, "weights"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert before.trained_stage == generator.trained_stage
    fresh = build_networks(config(packed, encoding), generator.style_names, torch.device("cpu")).generator
    for name, weight in fresh.state_dict().items():
        assert torch.equal(weight, before.state_dict()[name])
    assert any(not torch.equal(weight, trained) for weight, trained in
               zip(before.parameters(), generator.parameters(), strict=True))  # fmt: skip


def test_a_run_without_encoders_is_one_sentence(shell: Shell, packed: Path, run: Path) -> None:
    options = ("--reference", packed, "--device", "cpu", "--metrics", "disentanglement")
    assert "has no encoders: train one with --generator.encoders" in shell.mistake("measure", run, *options)
