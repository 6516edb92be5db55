"""Configurations through a file and back: exactly the same, or one sentence that names file and field."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from brushwork.training.adversarial import LossConfig
from brushwork.training.config import TrackerConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset, write_preset
from brushwork.training.presets import PRESETS, toy
from brushwork.training.schedules import GrowingConfig

from .conftest import put


def test_every_preset_comes_back_exactly(tmp_path: Path) -> None:
    for name, (_, config) in PRESETS.items():
        write_preset(tmp_path / name / "preset.json", config, about="a test")
        assert read_preset(tmp_path / name / "preset.json") == config
        assert [path.name for path in (tmp_path / name).iterdir()] == ["preset.json"], "no rest is left"


def test_every_kind_of_value_comes_back_with_its_type(tmp_path: Path) -> None:
    file = tmp_path / "preset.json"
    config = replace(
        toy(), max_minutes=0.1 + 0.2, start_from=Path("a.safetensors"), loss=LossConfig(r1_gamma=1e-7),
        trackers=TrackerConfig(use=("wandb", "tensorboard")),
    )  # fmt: skip
    write_preset(file, replace(config, resume=True), about="a test")
    found = read_preset(file)
    assert found == config, "but that it resumes"
    assert isinstance(found.start_from, Path)
    assert isinstance(found.trackers.use, tuple)
    file.write_text('{"config": {"total_kimg": 3, "growing": {"fade_kimg": [1, 2.5]}, "max_minutes": null}}')
    found = read_preset(file)
    assert found == TrainConfig(total_kimg=3.0, growing=GrowingConfig(fade_kimg=(1.0, 2.5)))
    assert type(found.total_kimg) is float


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("config.optimizer.generator_lr", "fast", r"optimizer.generator_lr is 'fast': it must be a"),
        ("config.batch", 8.0, "batch is 8.0: it must be a valid integer"),
        ("config.total_kimg", 10**400, "it must be a finite number"),
        ("config.total_kimg", math.nan, "total_kimg is nan: it must be a finite number"),
        ("config.loss.r1_gamma", "aut", "r1_gamma is 'aut': it must be a valid number or 'auto'"),
        ("config.trackers.use", ["wandb", "x"], r"trackers.use\[1\] is 'x': it must be 'wandb' or"),
        ("config.growing.fade_kimg", [], "growing.fade_kimg is empty; give one"),
        ("config.optimizer", [1], r"optimizer is \[1\]: it must be an object"),
        ("config.optimizer.generator_rl", 1, "config.optimizer.generator_rl is 1: unexpected"),
        ("config.extra", 1, "config.extra is 1: unexpected"),
        ("confg", {}, "confg is {}: unexpected"),
        ("config.generator.resolution", 48, "it must be a power of two: 32 or 64"),
        ("config.growing.start_resolution", 64, "start_resolution is 64, above generator.resolution"),
        ("version", 2, "version is 2: it must be 1"),
        ("config", None, "holds no configuration; give a file of brushwork tune, or the config.json"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_field(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    file = tmp_path / "changed.json"
    write_preset(file, toy(), about="a test")
    file.write_text(json.dumps(put(json.loads(file.read_text()), field, value)))
    with pytest.raises(TrainingError, match=words) as raised:
        read_preset(file)
    assert "changed.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere.json does not exist; give the name of a preset"):
        read_preset(tmp_path / "nowhere.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TrainingError, match=r"folder.json cannot be read"):
        read_preset(tmp_path / "folder.json")
