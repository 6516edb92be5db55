"""Old names are refused with the new one: on the command line, in files and in run folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset, write_preset
from brushwork.training.renames import FIELDS, JSON_ONLY, renamed
from brushwork.training.run.run_folder import RunFolder

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        ("--every.tick-kimg", "--every.tick-kimg is now called --interval.status-kimg."),
        ("--every.grid-kimg", "--every.grid-kimg is now called --interval.grid-kimg."),
        ("--restyle.rebuild.weight", "--restyle.rebuild.weight is now called --restyle.reconstruct.weight."),
        ("loss.turns", "loss.turns is now called loss.update_order."),
        ("--loss.pairing", "--loss.pairing is now called --loss.gan-loss."),
        (
            "--restyle.leak.weight",
            "--restyle.leak.weight was removed (docs/renames.md says why): leave it out.",
        ),
        ("--no-speed.tf32", "--no-speed.tf32 was removed"),
        ("--restyle.crops.fall-kimg", "was removed"),
        ("--restyle.content.rise-kimg", "is set in a JSON configuration only: restyle.content.rise_kimg."),
        (
            "--restyle.rebuild.rise-kimg",
            "rise-kimg is set in a JSON configuration only: restyle.reconstruct.",
        ),
        ("restyle.rebuild.rise_kimg", "is now called restyle.reconstruct.rise_kimg."),
    ],
)
def test_an_old_name_leads_to_the_new_one(old: str, sentence: str) -> None:
    assert sentence in (renamed(old) or "")


@pytest.mark.parametrize("option", ["--restyle.content.rise-kimg", "--restyle.rebuild.rise_kimg=5"])
def test_the_command_line_says_what_only_a_file_sets(shell: Shell, option: str) -> None:
    assert "is set in a JSON configuration only: restyle." in shell.mistake("train", "toy", option, "5")


def test_new_names_are_fields_and_old_ones_are_not() -> None:
    def exists(name: str) -> bool:
        value: object = TrainConfig()
        for part in name.split("."):
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True

    assert [old for old in FIELDS if exists(old)] == []
    assert [new for new in FIELDS.values() if new and not exists(new)] == []
    assert [new for new in FIELDS.values() if new and renamed(new)] == []
    assert all(exists(name) and renamed(name) is None for name in JSON_ONLY)


def test_files_and_folders_of_before_are_refused_by_the_new_name(
    tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    file = tmp_path / "config.json"
    write_preset(file, make_config(), about="")
    content = json.loads(file.read_text())
    content["config"]["every"] = content["config"].pop("interval")
    file.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="every is now called interval"):
        read_preset(file)
    setup = {"precision": "fp32", "fingerprint": "x", "styles": ["a"], "group": 2}
    file.write_text(json.dumps({"config": content["config"], "facts": setup}))
    with pytest.raises(TrainingError, match=r"earlier brushwork \(every.* is now called interval"):
        RunFolder(tmp_path).read()
