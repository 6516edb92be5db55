"""The commands from images to a report, and one sentence for each error on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from brushwork.data.images import read_image
from brushwork.data.sources.collection import Fetched
from brushwork.scripts.bench import metrics
from brushwork.training.trainer import Outcome, Trainer

from ..conftest import Shell

TINY = ("--precision", "fp32", "--total-kimg", "0.016")


@pytest.mark.slow
def test_from_images_to_a_report(shell: Shell, pictures: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    assert "report.md" in shell("pack", pictures, data, "--resolution", "16", "--test-fraction", "0.3")
    printed = shell("train", "toy", "--data", data, "--out", out, *TINY, "--interval.metrics-kimg", "0.008",
                    "--metrics.per-style", "4", "--trackers.use", "tensorboard")  # fmt: skip
    assert "finished at 16 images and 16 px" in printed
    assert "accuracy" in (out / "metrics.jsonl").read_text()
    assert (out / "snapshots" / "best.safetensors").exists()
    assert (out / "curves.png").exists()
    assert list(out.rglob("events.out.tfevents*"))
    shell("sample", out, "--seeds", "0-2", "--styles", "all")
    names = json.loads((out / "config.json").read_text())["setup"]["styles"]
    assert read_image(out / "generated" / names[0] / "seed1.png").shape == (16, 16, 3)
    for figure in ("grid.png", "mixing.png", "truncation.png", "interpolation.gif"):
        assert read_image(out / "generated" / figure).std() > 1, f"{figure} shows something"
    assert "report.html" in shell("measure", out, "--reference", data, "--per-style", "6")
    assert json.loads((out / "measure" / "report.json").read_text())["figures"]
    assert "<html" in (out / "measure" / "report.html").read_text()


def test_fetch_draws_modes_for_pack(shell: Shell, tmp_path: Path) -> None:
    assert "64 images of 64 modes" in shell("fetch", "modes", tmp_path / "modes", "--repeats", "1")
    assert "256 of 256" in shell("pack", tmp_path / "modes", tmp_path / "packed", "--resolution", "32")
    assert "'Solar' is no name of an icon set" in shell.mistake("fetch", "icons", "Solar", tmp_path / "x")
    assert "no power of two" in shell.mistake("pack", tmp_path / "modes", tmp_path / "x", "--resolution", "9")


def test_fetch_passes_its_options_on(shell: Shell, tmp_path: Path) -> None:
    calls: list[object] = []

    def fetch(*words: object, **options: object) -> Fetched:
        calls.append((*words, options))
        return Fetched(subjects=3, images=6)

    for name in ("fetch_icons", "fetch_emoji"):
        shell.monkeypatch.setattr(f"brushwork.scripts.fetch.{name}", fetch)
    words = ("fetch", "icons", "solar", tmp_path, "--styles", "a, b", "--size", "32")
    assert "6 images of 3 subjects" in shell(*words)
    shell("fetch", "emoji", tmp_path, "--styles", "noto")
    assert calls == [
        ("solar", tmp_path, {"styles": ["a", "b"], "size": 32}),
        (tmp_path, {"styles": ["noto"], "size": 64}),
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--data {out}/nowhere", "nowhere"),
        ("--generator.resolution 24", "--generator.resolution is 24: it must be a power of two: 16 or 32."),
        ("--generator.resolution 32", "16 px"),
        ("--accumulate 3", "batch 8"),
        ("--device meta", "--device is 'meta': it must be auto, cpu, cuda, cuda:N or mps."),
        ("--out {data}/runs/a", "lies in the packed data set {data}"),
        ("--out {data}", "lies in the packed data set {data}"),
    ],
)
def test_train_refuses(shell: Shell, packed: Path, tmp_path: Path, options: str, sentence: str) -> None:
    out = tmp_path / "run"
    words = options.format(out=out, data=packed).split()
    printed = shell.mistake("train", "toy", "--data", packed, "--out", out, *TINY, *words)
    assert sentence.format(data=packed) in printed
    assert not out.exists()
    assert not (packed / "runs").exists()


@pytest.mark.slow
def test_auto_chooses_and_says_why_and_goes_on_with_what_it_chose(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    shell.monkeypatch.chdir(tmp_path)
    words = ("train", "auto", "--data", packed, "--precision", "fp32", "--threads", "1")
    options = ("--batch", "8", "--augment.ada", "flip", "--interval.metrics-kimg", "0", "--patience", "0")
    printed = shell(*words, *options, "--max-minutes", "0.05")
    file = Path("runs", packed.name, "config.json")
    assert f"The configuration: {file}" in printed
    for line in (
        "timing training steps at 16 px",
        "16 x 16 px",
        "adaptive: flip",
        "Warning: 0.05 min are enough",
    ):
        assert line in printed
    before = json.loads(file.read_text())["config"]
    assert (before["batch"], before["augment"]["ada"]) == (8, ["flip"])
    assert before["generator"]["resolution"] == before["generator"]["base_height"] * 4 == 16
    refused = shell.mistake(*words)
    assert "holds a run already; go on with --resume" in refused
    printed = shell(*words, "--resume", "--max-minutes", "0.06")
    assert "going on from" in printed
    assert "timing" not in printed
    assert json.loads(file.read_text())["config"] == before | {"max_minutes": 0.06, "resume": True}


def test_auto_has_help_and_needs_a_data_set(shell: Shell, packed: Path, tmp_path: Path) -> None:
    assert "--data is missing" in shell.mistake("train", "auto")
    assert "nowhere" in shell.mistake("train", "auto", "--data", tmp_path / "nowhere")
    assert "nowhere" in shell.mistake("train", "auto", "--data", packed, "--start-from", tmp_path / "nowhere")
    for option, shown in (("--help", "--max-minutes"), ("--help-all", "--augment.ada-target")):
        with pytest.raises(SystemExit):
            shell("train", "auto", option)
        assert shown in shell.capsys.readouterr().out


def test_train_does_not_overwrite_a_run(shell: Shell, packed: Path, run: Path) -> None:
    before = sorted((run / "checkpoints").iterdir())
    options = ("train", "toy", "--data", packed, "--out", run, "--precision", "fp32")
    assert "--resume" in shell.mistake(*options)
    printed = shell.mistake(*options, "--resume", "--batch", "4", "--optimizer.generator-lr", "0.5")
    assert "batch: 8 there, 4 here" in printed
    assert "optimizer.generator_lr: 0.001 there, 0.5 here" in printed
    assert sorted((run / "checkpoints").iterdir()) == before


def test_a_collapsed_run_has_advice_and_an_exit_code(shell: Shell, packed: Path, tmp_path: Path) -> None:
    options = ("train", "toy", "--data", packed, "--out", tmp_path / "run", *TINY)
    ended = Outcome(reason="collapse", nimg=4000, resolution=16, warning="1 of 2 styles draws one image: ink")
    shell.monkeypatch.setattr(Trainer, "run", lambda _: ended)
    with pytest.raises(SystemExit) as raised:
        shell(*options)
    assert raised.value.code == 3
    printed = shell.capsys.readouterr().out
    assert "stopped by --stop-on-collapse at 4.0 kimg and 16 px" in printed
    assert f"{ended.warning}; train longer" in printed


@pytest.mark.slow
def test_two_processes_without_a_gpu_share_one_run_by_default(packed: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "train.py"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--data", str(packed), "--out", str(tmp_path), "--threads", "1", *TINY]
    done = subprocess.run(
        [sys.executable, *launcher, str(script), "toy", *options], capture_output=True, text=True,
        timeout=300, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("cpu, 2 processes of 1 thread")
    assert done.stdout.count("finished at") == 1


def test_bench_prints_tables_and_writes_its_results(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr(metrics, "QUICK", metrics.BenchmarkSizes(dim=32, repeats=2, sample=40))
    printed = shell("bench", "metrics", "--quick", "--parts", "frechet", "manifold", "--out", tmp_path)
    assert "| torch-fidelity" in printed
    assert "40 features a side" in printed
    parts = json.loads((tmp_path / "metrics.json").read_text())["parts"]
    assert set(parts) == {"frechet", "manifold"}
    assert len(parts["frechet"]["seconds"]["ours"]) == 2
