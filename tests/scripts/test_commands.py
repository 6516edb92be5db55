"""The command as a user meets it: the way from pictures to a report, and one sentence for each mistake."""

import errno
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brushwork.data.sources.toy import write_toy
from brushwork.models.errors import ModelError
from brushwork.scripts.cli import main
from brushwork.scripts.sample import parse_seeds
from brushwork.training.trainer import Outcome, Reason, Trainer

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

TINY = ("--device", "cpu", "--precision", "fp32", "--total-kimg", "0.016")


@pytest.mark.slow
def test_the_whole_way_from_pictures_to_a_report(shell: Shell, pictures: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    assert "report.md" in shell("pack", pictures, data, "--resolution", "16", "--test-fraction", "0.3")
    said = shell("train", "toy", "--data", data, "--out", out, *TINY, "--interval.metrics-kimg", "0.008",
                 "--metrics.per-style", "4", "--trackers.use", "tensorboard")  # fmt: skip
    assert "finished at 0.0 kimg" in said
    logged = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("accuracy" in line for line in logged)
    assert (out / "snapshots" / "best.safetensors").exists()
    assert (out / "curves.png").exists()
    assert list(out.rglob("events.out.tfevents*"))
    shell("sample", out, "--seeds", "0-2", "--styles", "all")
    names = json.loads((out / "config.json").read_text())["facts"]["styles"]
    with Image.open(out / "generated" / names[0] / "seed1.png") as image:
        assert image.size == (8, 8) or image.size == (16, 16)
    for figure in ("grid.png", "mixing.png", "truncation.png", "interpolation.gif"):
        with Image.open(out / "generated" / figure) as image:
            assert np.asarray(image.convert("RGB")).std() > 1, f"{figure} shows something"
    said = shell("measure", out, "--reference", data, "--per-style", "6")
    assert "report.html" in said
    figures = json.loads((out / "measure" / "report.json").read_text())
    assert figures
    assert "<html" in (out / "measure" / "report.html").read_text()


def test_every_verb_is_listed_and_an_unknown_one_is_a_mistake(shell: Shell) -> None:
    listed = shell()
    for verb in ("fetch", "pack", "train", "sample", "measure"):
        assert verb in listed
    assert "no verb 'emboss': take one of fetch, pack" in shell.mistake("emboss")
    assert "no verb 'trian': did you mean 'train'?" in shell.mistake("trian", "toy")


def test_the_version_is_the_installed_one(shell: Shell) -> None:
    assert shell("--version") == f"brushwork {importlib.metadata.version('brushwork')}\n"


@pytest.mark.parametrize("verb", ["fetch", "pack", "sample", "measure"])
def test_help_shows_an_example(shell: Shell, verb: str) -> None:
    shell.monkeypatch.setattr(sys, "argv", ["brushwork", verb, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"brushwork {verb}" in shell.capsys.readouterr().out


@pytest.mark.parametrize("what", ["emoji", "icons", "photographs", "modes", "hed-vgg16"])
def test_help_of_everything_to_fetch_shows_an_example(shell: Shell, what: str) -> None:
    shell.monkeypatch.setattr(sys, "argv", ["brushwork", "fetch", what, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"    brushwork fetch {what}" in shell.capsys.readouterr().out


def test_fetch_draws_modes_for_pack_and_names_mistakes(shell: Shell, tmp_path: Path) -> None:
    assert "64 pictures of 64 modes" in shell("fetch", "modes", tmp_path / "modes", "--repeats", "1")
    assert "256 of 256 pictures packed" in shell(
        "pack", tmp_path / "modes", tmp_path / "packed", "--resolution", "32"
    )
    assert "`brushwork fetch modes DIR`" in shell.mistake("fetch", "modes")
    assert "'Solar' is no name of an icon set" in shell.mistake("fetch", "icons", "Solar", tmp_path / "x")
    assert "--size is 4: it must be" in shell.mistake("fetch", "photographs", tmp_path / "x", "--size", "4")


def test_fetch_hands_its_options_on(shell: Shell, tmp_path: Path) -> None:
    from brushwork.data.sources.collection import Fetched
    from brushwork.data.sources.icon_matrix import MatrixConfig

    given: list[object] = []

    def fake(*words: object, **options: object) -> Fetched:
        given.append((*words, options))
        return Fetched(directory=tmp_path, styles=("a", "b"), subjects=3, pictures=6, written=6)

    shell.monkeypatch.setattr("brushwork.scripts.fetch.fetch_icons", fake)
    shell.monkeypatch.setattr("brushwork.scripts.fetch.fetch_emoji", fake)
    said = shell("fetch", "icons", "solar", tmp_path, "--styles", "a, b", "--all-subjects", "--size", "32")
    assert "6 pictures, 3 subjects in 2 styles" in said
    shell("fetch", "emoji", tmp_path, "--styles", "noto", "--margin", "0.1")
    shared = MatrixConfig(size=32, shared_only=False)
    assert given == [
        ("solar", tmp_path, {"styles": ["a", "b"], "config": shared}),
        (tmp_path, {"styles": ["noto"], "config": MatrixConfig(margin=0.1)}),
    ]


def test_train_refuses_a_missing_data_set(shell: Shell, tmp_path: Path) -> None:
    said = shell.mistake("train", "toy", "--data", tmp_path / "nowhere", "--out", tmp_path / "run", *TINY)
    assert "nowhere" in said
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_resolution_that_is_no_power_of_two(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    said = shell.mistake("train", "toy", "--data", packed, "--out", tmp_path, "--generator.resolution", "24")
    assert "--generator.resolution is 24: it must be a power of two: 16 or 32." in said


def test_train_refuses_pictures_smaller_than_the_network(shell: Shell, packed: Path, tmp_path: Path) -> None:
    said = shell.mistake(
        "train", "toy", "--data", packed, "--out", tmp_path / "r", "--generator.resolution", "32", *TINY
    )
    assert "16 px" in said


def test_train_refuses_a_batch_that_does_not_divide(shell: Shell, packed: Path, tmp_path: Path) -> None:
    said = shell.mistake(
        "train", "toy", "--data", packed, "--out", tmp_path / "r", "--accumulate", "3", *TINY
    )
    assert "batch 8" in said


def test_train_refuses_the_checkpoint_of_another_configuration(shell: Shell, packed: Path, run: Path) -> None:
    before = sorted((run / "checkpoints").iterdir())
    options = ("--data", packed, "--out", run, "--resume", "--device", "cpu", "--precision", "fp32")
    said = shell.mistake("train", "toy", *options, "--batch", "4", "--optimizer.generator-lr", "0.5")
    assert "batch: 8 there, 4 here" in said
    assert "optimizer.generator_lr: 0.001 there, 0.5 here" in said
    assert sorted((run / "checkpoints").iterdir()) == before


def test_train_does_not_overwrite_a_run(shell: Shell, packed: Path, run: Path) -> None:
    said = shell.mistake("train", "toy", "--data", packed, "--out", run, *TINY[:4])
    assert "--resume" in said


def test_a_full_disk_ends_training_with_a_sentence_and_keeps_what_was(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shell("train", "toy", "--data", packed, "--out", out, *TINY)
    (kept,) = (out / "checkpoints").glob("*.pt")
    content = kept.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shell.monkeypatch.setattr("brushwork.training.run.checkpoint.write_file", full)
    said = shell.mistake(
        "train", "toy", "--data", packed, "--out", out, *TINY[:4], "--total-kimg", "0.032", "--resume"
    )
    assert "the disk is full" in said
    assert kept.read_bytes() == content
    assert list((out / "checkpoints").iterdir()) == [kept]


def test_sample_suggests_the_nearest_style(shell: Shell, run: Path) -> None:
    assert "did you mean '01-outline'" in shell.mistake("sample", run, "--styles", "01-outlin")


def test_sample_refuses_what_is_no_run(shell: Shell, packed: Path, tmp_path: Path) -> None:
    assert "holds no snapshot" in shell.mistake("sample", packed)
    assert "does not exist" in shell.mistake("sample", tmp_path / "nothing")
    (tmp_path / "weights.safetensors").write_text("no weights")
    assert "no readable snapshot" in shell.mistake("sample", tmp_path / "weights.safetensors")


def test_measure_refuses_a_reference_with_other_styles(shell: Shell, run: Path, tmp_path: Path) -> None:
    from brushwork.data.curate.pack import PackConfig, pack

    write_toy(tmp_path / "toy", styles=2, subjects=40, size=16)
    pack(tmp_path / "toy", tmp_path / "other", PackConfig(resolution=16, test_fraction=0.3))
    said = shell.mistake("measure", run, "--reference", tmp_path / "other", "--per-style", "2")
    assert "02-gradient" in said


def test_seeds_are_numbers_and_ranges() -> None:
    assert parse_seeds("0-3,7") == [0, 1, 2, 3, 7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((text, "cannot read the seeds") for text in ("", "a", "1,,2", "-4")),
        ("5-3", "'5-3' go downwards: write 3-5"),
        (
            "18446744073709551616",
            "seed 18446744073709551616 is too large: seeds go from 0 to 9223372036854775807",
        ),
        ("9" * 5000, "is too large"),
        ("0-99999999999", "are 100000000000: draw at most 1000000"),
        ("0-9223372036854775807", "draw at most"),
    ],
)
def test_other_seeds_are_a_mistake(text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        parse_seeds(text)
    assert len(str(raised.value)) < 200


def test_the_largest_seed_is_drawn(shell: Shell, run: Path, tmp_path: Path) -> None:
    shell("sample", run, "--seeds", "9223372036854775807", "--styles", "01-outline", "--out", tmp_path)
    assert (tmp_path / "01-outline" / "seed9223372036854775807.png").exists()
    assert (tmp_path / "mixing.png").exists()


def test_bench_prints_tables_and_writes_what_it_found(shell: Shell, tmp_path: Path) -> None:
    from brushwork.scripts.bench.metrics import BenchmarkSizes

    assert "metrics" in shell("bench")
    assert "There is no benchmark 'metric'" in shell.mistake("bench", "metric")
    shell.monkeypatch.setattr(
        "brushwork.scripts.bench.metrics.QUICK", BenchmarkSizes(dim=32, repeats=2, few=8)
    )
    said = shell("bench", "metrics", "--quick", "--parts", "frechet", "exactness", "--out", tmp_path)
    assert "| torch-fidelity" in said
    assert "8 features of 32 dimensions a side" in said
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert set(found["parts"]) == {"frechet", "exactness"}
    assert len(found["parts"]["frechet"]["seconds"]["ours"]) == 2


def test_a_run_that_collapsed_says_what_to_try_and_has_an_exit_code(
    shell: Shell, pictures: Path, tmp_path: Path
) -> None:
    warning = "1 of 2 styles draws one picture: ink"
    data = tmp_path / "data"
    shell("pack", pictures, data, "--resolution", "16")

    def run(reason: Reason) -> str:
        shell.monkeypatch.setattr(
            Trainer, "run", lambda _: Outcome(reason=reason, nimg=4000, resolution=16, warning=warning)
        )
        return shell("train", "toy", "--data", data, "--out", tmp_path / reason, *TINY)

    said = run("finished")
    assert "finished at 4.0 kimg and 16 px" in said
    assert f"{warning}; train longer" in said
    with pytest.raises(SystemExit) as ended:
        run("collapse")
    assert ended.value.code == 3
    assert "stopped by --stop-on-collapse at 4.0 kimg" in shell.capsys.readouterr().out
