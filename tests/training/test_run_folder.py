import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run_folder import RunFolder, differences, flat

FACTS: dict[str, Any] = {"precision": "fp32", "pace": 0.5, "fingerprint": "abc", "styles": ["ink", "oil"]}

Make = Callable[..., TrainConfig]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "a")


# Claiming


def test_an_empty_folder_is_taken_and_the_configuration_written(folder: RunFolder, make_config: Make) -> None:
    assert folder.claim(make_config(batch=4), FACTS, resume=False) == FACTS
    stored = folder.read()
    assert stored is not None
    assert stored["facts"] == FACTS
    assert stored["config"]["batch"] == 4
    assert stored["config"]["generator"]["resolution"] == 16
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


def test_the_stored_facts_win_over_those_measured_later(folder: RunFolder, make_config: Make) -> None:
    folder.claim(make_config(), FACTS, resume=False)
    later = FACTS | {"precision": "bf16", "pace": 0.9}
    assert folder.claim(make_config(), later, resume=True) == FACTS


def test_another_configuration_is_refused_naming_the_fields_that_differ(
    folder: RunFolder, make_config: Make
) -> None:
    config = make_config(seed=1)
    folder.claim(config, FACTS, resume=False)
    other = replace(config, seed=2, generator=replace(config.generator, w_dim=12), total_kimg=9.0)
    with pytest.raises(TrainingError) as raised:
        folder.claim(other, FACTS, resume=True)
    message = str(raised.value)
    assert "holds a run of another configuration" in message
    assert "seed: 1 there, 2 here" in message
    assert "generator.w_dim: 8 there, 12 here" in message
    assert len(message.splitlines()) == 3, "and nothing else: the length of a run is free to change"


def test_other_groups_of_the_minibatch_statistics_are_refused(folder: RunFolder, make_config: Make) -> None:
    folder.claim(make_config(), FACTS | {"group": 4}, resume=False)
    with pytest.raises(TrainingError, match="compare, by processes and accumulate: 4 there, 2 here"):
        folder.claim(make_config(accumulate=2), FACTS | {"group": 2}, resume=True)


@pytest.mark.parametrize(
    "changes", [{"total_kimg": 99.0}, {"max_minutes": 3.0}, {"threads": 2}, {"data": Path("elsewhere")},
                {"accumulate": 2}]
)  # fmt: skip
def test_what_no_step_depends_on_may_change(
    folder: RunFolder, make_config: Make, changes: dict[str, Any]
) -> None:
    folder.claim(make_config(), FACTS, resume=False)
    folder.claim(make_config(**changes), FACTS, resume=True)
    stored = folder.read()
    assert stored is not None
    (name,) = changes
    assert stored["config"][name] == (str(changes[name]) if name == "data" else changes[name])


def test_other_data_is_refused(folder: RunFolder, make_config: Make) -> None:
    folder.claim(make_config(), FACTS, resume=False)
    with pytest.raises(TrainingError, match=r"data styles: \['ink', 'oil'\] there, \['ink'\] here"):
        folder.claim(make_config(), FACTS | {"styles": ["ink"]}, resume=True)
    with pytest.raises(TrainingError, match="data fingerprint: abc there, xyz here"):
        folder.claim(make_config(), FACTS | {"fingerprint": "xyz"}, resume=True)


def test_a_refusal_leaves_the_folder_as_it_was(folder: RunFolder, make_config: Make) -> None:
    folder.claim(make_config(), FACTS, resume=False)
    before = folder.config_file.read_bytes()
    with pytest.raises(TrainingError):
        folder.claim(make_config(seed=9), FACTS, resume=True)
    assert folder.config_file.read_bytes() == before


def test_a_folder_with_checkpoints_asks_for_resume(folder: RunFolder, make_config: Make) -> None:
    folder.claim(make_config(), FACTS, resume=False)
    folder.claim(make_config(), FACTS, resume=False)  # nothing was trained yet: start again
    folder.checkpoints.mkdir()
    (folder.checkpoints / "000000000008.pt").touch()
    with pytest.raises(TrainingError, match="holds a run already; go on with --resume"):
        folder.claim(make_config(), FACTS, resume=False)
    assert folder.claim(make_config(), FACTS, resume=True) == FACTS


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"config": {}}', b'{"config": 1, "facts": 2}']
)
def test_a_damaged_configuration_is_one_sentence(
    folder: RunFolder, make_config: Make, content: bytes
) -> None:
    folder.path.mkdir(parents=True)
    folder.config_file.write_bytes(content)
    for action in (folder.read, lambda: folder.claim(make_config(), FACTS, resume=True)):
        with pytest.raises(TrainingError, match=r"config.json is damaged"):
            action()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(TrainingError, match="run is a file; give --out a folder"):
        RunFolder(tmp_path / "run").read()


def test_a_folder_that_is_not_there_holds_nothing(folder: RunFolder) -> None:
    assert folder.read() is None
    assert folder.history() == []


def test_differences_see_fields_that_only_one_side_has() -> None:
    lines = differences({"loss": {"mixing": 0.9}, "out": "a"}, {"loss": {"new": 1}, "out": "b"})
    assert lines == ["loss.mixing: 0.9 there, None here", "loss.new: None there, 1 here"]


def test_flat_names_leaves_by_their_path() -> None:
    assert dict(flat({"a": 1, "b": {"c": [2], "d": {"e": None}}})) == {"a": 1, "b.c": [2], "b.d.e": None}


# The log


def test_the_log_keeps_its_lines_and_leaves_out_one_that_was_cut_off(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    lines = [{"nimg": 8, "loss": 1.5}, {"nimg": 16, "loss": 1.25}]
    for line in lines:
        folder.log(line)
    with folder.log_file.open("a") as file:
        file.write('{"nimg": 24, "lo')
    assert folder.history() == lines


def test_rewinding_drops_what_came_after_and_mends_a_cut_off_line(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    for nimg in (8, 16, 24, 32):
        folder.log({"nimg": nimg})
    with folder.log_file.open("a") as file:
        file.write('{"nimg": 40, "lo')
    folder.rewind(16)
    folder.log({"nimg": 24, "again": True})
    texts = folder.log_file.read_text().splitlines()
    assert [json.loads(text) for text in texts] == [{"nimg": 8}, {"nimg": 16}, {"nimg": 24, "again": True}]


def test_rewinding_where_nothing_was_logged_is_harmless(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.rewind(0)
    assert folder.history() == []
