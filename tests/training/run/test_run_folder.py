import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brushwork.training.augment import AugmentConfig
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.checkpoint import save_checkpoint
from brushwork.training.run.run_folder import RunFolder, RunSetup, RunStart, Stored, differences, to_json

from ..conftest import GENERATOR

SETUP = RunSetup(precision="fp32", fingerprint="abc", styles=("ink", "oil"), group=4)

Make = Callable[..., TrainConfig]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "a")


def test_a_folder_has_one_owner_at_a_time(folder: RunFolder) -> None:
    folder.own()
    other = RunFolder(folder.path)
    with pytest.raises(TrainingError, match=r"another process is training in .*runs/a: wait until it ends"):
        other.own()
    folder.let_go()
    other.own()


def test_a_killed_owner_leaves_the_folder_to_the_next(folder: RunFolder) -> None:
    """The lock dies with its process, and what it had half written goes."""
    script = (
        "import os, pathlib, sys; from brushwork.training.run.run_folder import RunFolder\n"
        "folder = RunFolder(pathlib.Path(sys.argv[1])); folder.own()\n"
        "(folder.path / '.half.partial').touch(); print('owned', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder.path)], capture_output=True, text=True)
    assert done.stdout == "owned\n", done.stderr
    assert (folder.path / ".half.partial").exists()
    folder.own()
    assert not (folder.path / ".half.partial").exists()


def test_a_file_or_a_place_below_one_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(TrainingError, match=r"cannot be a run's folder .*choose another --out"):
            RunFolder(path).own()


@pytest.fixture
def trained(folder: RunFolder, make_config: Make) -> RunFolder:
    """A folder with a checkpoint, of seed 1."""
    assert folder.claim(make_config(seed=1), SETUP, resume=False) == RunStart(setup=SETUP)
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]
    save_checkpoint(folder.checkpoints, 8, {})
    return folder


@pytest.mark.parametrize(
    "changes", [{"total_kimg": 99.0}, {"max_minutes": 3.0}, {"threads": 2}, {"data": Path("elsewhere")},
                {"accumulate": 2}]
)  # fmt: skip
def test_what_no_step_depends_on_may_change_and_the_stored_facts_win(
    trained: RunFolder, make_config: Make, changes: dict[str, Any]
) -> None:
    later, newest = replace(SETUP, precision="bf16"), trained.checkpoints / "000000000008.pt"
    claim = trained.claim(make_config(seed=1, **changes), later, resume=True)
    assert claim == RunStart(setup=SETUP, checkpoint=newest, aside=None)
    assert trained.read() == Stored(config=to_json(make_config(seed=1, **changes)), setup=SETUP)


def test_another_configuration_is_refused_naming_the_fields_that_differ(
    trained: RunFolder, make_config: Make
) -> None:
    before = trained.config_file.read_bytes()
    other = make_config(seed=2, generator=replace(GENERATOR, resolution=32), total_kimg=9.0)
    with pytest.raises(TrainingError) as raised:
        trained.claim(other, SETUP, resume=True)
    first, *lines, last = str(raised.value).splitlines()
    assert "holds a run of another configuration" in first
    assert lines == ["  generator.resolution: 16 there, 32 here", "  seed: 1 there, 2 here"], "not its length"
    assert f"--start-from {trained.path}" in last, "a way on"
    for change, words in (
        ({"w_dim": 12}, "8 there, 12 here"),
        ({"base_width": 6}, "the --aspect and --alpha of that run"),
    ):
        with pytest.raises(TrainingError, match=words) as raised:
            trained.claim(make_config(seed=1, generator=replace(GENERATOR, **change)), SETUP, resume=True)
        assert "--start-from" not in str(raised.value), "other networks cannot take the weights"
    assert trained.config_file.read_bytes() == before
    lines = differences({"loss": {"mixing": 0.9}, "out": "a"}, {"loss": {"new": 1}, "out": "b"})
    assert lines == ["loss.mixing: 0.9 there, None here", "loss.new: None there, 1 here"]


def test_a_run_from_before_an_option_existed_had_its_default(trained: RunFolder, make_config: Make) -> None:
    stored = json.loads(trained.config_file.read_text())
    del stored["config"]["augment"], stored["config"]["generator"]["channels"]
    trained.config_file.write_text(json.dumps(stored))
    assert trained.claim(make_config(seed=1), SETUP, resume=True).checkpoint
    with pytest.raises(TrainingError, match=r"augment\.colour: 0\.0 there, 1\.0 here"):
        trained.claim(make_config(seed=1, augment=AugmentConfig(colour=1.0)), SETUP, resume=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group": 2}, "minibatch statistics compare: 4 there, 2 here"),
        ({"styles": ("ink",)}, "styles: ('ink', 'oil') there, ('ink',) here"),
        ({"fingerprint": "xyz"}, "data set, by its fingerprint: abc there, xyz here"),
    ],
)
def test_other_data_or_groups_are_refused(
    trained: RunFolder, make_config: Make, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(TrainingError, match=re.escape(words)):
        trained.claim(make_config(seed=1), replace(SETUP, **changes), resume=True)


def test_a_folder_with_checkpoints_asks_for_resume_and_for_its_configuration(
    trained: RunFolder, make_config: Make
) -> None:
    with pytest.raises(TrainingError, match="holds a run already; go on with --resume"):
        trained.claim(make_config(seed=1), SETUP, resume=False)
    trained.config_file.unlink()
    with pytest.raises(TrainingError, match=r"holds checkpoints but no config.json"):
        trained.claim(make_config(), SETUP, resume=True)
    assert not trained.config_file.exists()


@pytest.mark.parametrize("resume", [True, False])
def test_what_a_run_without_a_checkpoint_left_is_moved_aside(
    folder: RunFolder, make_config: Make, resume: bool
) -> None:
    for number in range(3):
        claim = folder.claim(make_config(seed=number), SETUP, resume=resume)
        aside = folder.path / f"stopped-{number}" if number else None
        assert claim == RunStart(setup=SETUP, checkpoint=None, aside=aside)
        assert folder.read() == Stored(config=to_json(make_config(seed=number)), setup=SETUP)
        folder.log({"nimg": number})
        (folder.path / "classifier.safetensors").write_text("of this run")
        (folder.path / "notes.txt").write_text("mine")
    aside = RunFolder(folder.path / "stopped-2")
    left = {path.name for path in aside.path.iterdir()}
    assert left == {"classifier.safetensors", "config.json", "metrics.jsonl"}
    assert aside.history() == [{"nimg": 1}]
    assert (folder.path / "notes.txt").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{}", b'{"config": 1, "setup": 2}', b'{"config": {}, "setup": {}}']
)
def test_a_damaged_configuration_is_one_sentence(
    trained: RunFolder, make_config: Make, content: bytes
) -> None:
    trained.config_file.write_bytes(content)
    for action in (trained.read, lambda: trained.claim(make_config(), SETUP, resume=True)):
        with pytest.raises(TrainingError, match=r"config.json is damaged") as raised:
            action()
        assert "\n" not in str(raised.value)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(TrainingError, match="run is a file; give --out a folder"):
        RunFolder(tmp_path / "run").read()


def test_the_log_keeps_its_lines_and_leaves_out_one_that_was_cut_off(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    lines = [{"nimg": 8, "loss": 1.5}, {"nimg": 16, "loss": 1.25}]
    for line in lines:
        folder.log(line)
    with folder.log_file.open("a") as file:
        file.write('{"nimg": 24, "lo')
    assert folder.history() == lines
    folder.log_file.write_bytes(
        b'[]\n3\n{"loss": 1}\n{"nimg": "8"}\n{"nimg": 8, "r1": []}\n\xff\n{"nimg": 8}\n'
    )
    assert folder.history() == [{"nimg": 8}], "lines of somebody else are left out"


def test_rewinding_drops_what_came_after_and_mends_a_cut_off_line(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    for nimg in (8, 16, 24, 32):
        folder.log({"nimg": nimg})
    with folder.log_file.open("a") as file:
        file.write('{"nimg": 40, "lo')
    folder.rewind(16)
    folder.log({"nimg": 24, "again": 1})
    assert folder.history() == [{"nimg": 8}, {"nimg": 16}, {"nimg": 24, "again": 1}]
