"""`brushwork tune` and configuration files as a user meets them."""

import json
from pathlib import Path

import pytest

from brushwork.training.preset_files import read_preset

from ..conftest import Shell

TINY = ("--device", "cpu", "--precision", "fp32")
SHORT = (*TINY, "--trial-kimg", "0.016", "--metrics.per-style", "2")


@pytest.mark.slow
def test_a_study_is_continued_and_its_best_trial_trained(shell: Shell, packed: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "study", ("--trackers.use", "tensorboard")
    options = ("tune", "toy", "--data", packed, "--out", out, *SHORT, *log, "--search", "batch=4,8")
    printed = shell(*options, "--trials", "2")
    assert "best: trial " in printed
    assert f"brushwork train {out / 'best.json'}" in printed
    shell(*options, "--trials", "3")
    assert (out / "trials.csv").read_text().count("\n") == 4
    assert sorted(path.name for path in (out / "trials").iterdir()) == ["0000", "0001", "0002"]
    assert len(list((out / "trials").rglob("events.out.tfevents*"))) >= 3, "every trial has its own log"
    assert "finished" in shell("train", out / "best.json", *TINY, "--total-kimg", "0.016")
    assert "optimizer.generator_lr: " in shell.mistake(*options, "--optimizer.generator-lr", "0.1")


def test_options_override_a_configuration_file(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    options = ("--out", out, "--total-kimg", "0.016", "--loss.mixing", "0.25")
    assert "finished at " in shell("train", run / "config.json", *options)
    theirs, ours = read_preset(run / "config.json"), read_preset(out / "config.json")
    assert (ours.total_kimg, ours.loss.mixing, ours.data) == (0.016, 0.25, packed)
    assert (ours.generator, ours.optimizer, ours.batch) == (theirs.generator, theirs.optimizer, theirs.batch)
    assert "--resume" in shell.mistake("train", run / "config.json")


def test_mistakes_in_files_are_named(shell: Shell, run: Path, tmp_path: Path) -> None:
    assert "nowhere.json does not exist" in shell.mistake("train", tmp_path / "nowhere.json")
    content = json.loads((run / "config.json").read_text())
    content["config"]["batch"] = "many"
    (tmp_path / "odd.json").write_text(json.dumps(content))
    sentence = "odd.json is wrong: config.batch is 'many': it must be"
    assert all(sentence in shell.mistake(verb, tmp_path / "odd.json") for verb in ("train", "tune"))


def test_mistakes_of_a_search_are_named(shell: Shell, packed: Path, tmp_path: Path) -> None:
    options = ("tune", "toy", "--data", packed, "--out", tmp_path / "study", *SHORT)
    assert "did you mean optimizer.generator_lr?" in shell.mistake(*options, "--search", "generator_lr=1:2")
    assert not (tmp_path / "study").exists()
    shell.monkeypatch.setenv("WORLD_SIZE", "2")
    assert "runs in one process" in shell.mistake(*options)
