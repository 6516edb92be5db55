"""Old names are refused with the new one; files with removed fields load where these have their defaults."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.renames import FIELDS, FROM_DATA, JSON_ONLY, REMOVED, SAME_VALUES, renamed
from brushwork.training.run.checkpoint import save_checkpoint
from brushwork.training.run.run_folder import RunFolder, RunSetup, flat, to_json

from .conftest import put

SETUP = RunSetup(precision="fp32", fingerprint="abc", styles=("ink", "oil"), group=4)


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        ("--every.tick-kimg", "--every.tick-kimg is now called --interval.status-kimg."),
        ("--restyle.rebuild.weight", "--restyle.rebuild.weight is now called --restyle.reconstruct.weight."),
        ("loss.turns", "loss.turns is now called loss.update_order."),
        ("--restyle.leak.weight", "leak.weight was removed (docs/renames.md says why): leave it out."),
        ("--no-speed.tf32", "--no-speed.tf32 was removed"),
        ("--speed.compile", "--speed.compile was removed"),
        ("restyle.leak", "restyle.leak was removed"),
        ("--restyle.crops.fall-kimg", "was removed"),
        ("--restyle.content.rise-kimg", "is set in a JSON configuration only: restyle.content.rise_kimg."),
        ("--restyle.rebuild.rise_kimg", "is set in a JSON configuration only: restyle.reconstruct."),
        ("restyle.rebuild.rise_kimg", "is now called restyle.reconstruct.rise_kimg."),
    ],
)
def test_an_old_name_leads_to_the_new_one(old: str, sentence: str) -> None:
    assert sentence in (renamed(old) or "")


def test_new_names_are_fields_and_old_ones_are_not() -> None:
    fields = [name for name, _ in flat(to_json(TrainConfig()))]

    def exists(name: str) -> bool:
        return any(f"{field}.".startswith(f"{name}.") for field in fields)

    assert [old for old in (*FIELDS, *REMOVED) if exists(old)] == []
    assert [new for new in FIELDS.values() if not exists(new) or renamed(new)] == []
    assert all(exists(name) and renamed(name) is None for name in (*JSON_ONLY, *FROM_DATA))


def test_removed_fields_with_their_old_defaults_load_and_the_run_goes_on(
    tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    """As in the config.json of a run that the last version began."""
    config, folder = make_config(out=tmp_path), RunFolder(tmp_path)
    folder.claim(config, SETUP, resume=False)
    save_checkpoint(folder.checkpoints, 8, {})
    content = json.loads(folder.config_file.read_text())
    for name, value in REMOVED.items():
        put(content["config"], name, value)
    for old in SAME_VALUES:
        content["config"]["loss"][old.rpartition(".")[2]] = content["config"]["loss"].pop("gan_loss")
    folder.config_file.write_text(json.dumps(content))
    assert read_preset(folder.config_file) == config
    assert folder.claim(config, SETUP, resume=True).checkpoint is not None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("every.grid_kimg", 1.0, "every.grid_kimg is now called interval.grid_kimg"),
        ("speed.compile", "default", "speed.compile was removed"),
        ("speed", {}, "speed was removed"),
        ("restyle.leak.weight", 0.5, "restyle.leak.weight was removed"),
        ("generator.attention", [16], "generator.attention was removed"),
        ("metrics.restyled_contents", 30, "metrics.restyled_contents was removed"),
    ],
)
def test_other_values_and_old_names_are_refused(
    tmp_path: Path, make_config: Callable[..., TrainConfig], name: str, value: object, words: str
) -> None:
    file = tmp_path / "config.json"
    content: dict[str, Any] = {"config": put(to_json(make_config()), name, value)}
    file.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=words):
        read_preset(file)
    file.write_text(json.dumps(content | {"setup": asdict(SETUP)}))
    with pytest.raises(TrainingError, match=rf"earlier brushwork \({words}.*--start-from"):
        RunFolder(tmp_path).read()
