"""`brushwork measure` as a user meets it: runs, folders, pairs, statistics, comparisons, mistakes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brushwork.data.pictures import load_pictures

if TYPE_CHECKING:
    from .conftest import Shell
else:
    Shell = Any


def measured(shell: Shell, source: Path, out: Path, *options: object) -> dict:
    """The report of a measurement in seconds."""
    shell("measure", source, "--out", out, "--device", "cpu", "--no-control", *options)
    assert "<html" in (out / "report.html").read_text()
    return json.loads((out / "report.json").read_text())


def save_pictures(folder: Path, packed: Path, names: Sequence[str]) -> None:
    """The held-out pictures of a packed data set as FOLDER/<style>/<subject>.png."""
    pictures = load_pictures(packed, "test")
    for image, style, subject in zip(pictures.images, pictures.styles, pictures.subjects, strict=True):
        path = folder / names[int(style)] / f"{subject}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


def test_measure_a_folder_of_real_pictures(shell: Shell, packed: Path, tmp_path: Path) -> None:
    names = load_pictures(packed, "test").style_names
    save_pictures(tmp_path / "made", packed, names)
    save_pictures(tmp_path / "wrong", packed, names[1:] + names[:1])
    right, wrong = (
        measured(shell, tmp_path / made, tmp_path / "o", "--reference", packed, "--metrics", "fd", "accuracy")
        for made in ("made", "wrong")
    )
    figure = right["figures"]["accuracy"]
    assert figure["measured"]["value"] == figure["real"]["value"], "they are the held-out pictures"
    assert wrong["figures"]["accuracy"]["measured"]["value"] < figure["measured"]["value"]
    assert wrong["figures"]["fd"]["measured"]["value"] == pytest.approx(
        right["figures"]["fd"]["measured"]["value"], rel=1e-6
    )


def test_measure_a_generator_as_a_function(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    options = ("--reference", packed, "--per-style", "6", "--metrics", "prdc", "ppl", "truncation")
    found = measured(shell, run, tmp_path, *options)
    assert {"precision", "ppl"} <= found["figures"].keys()
    assert found["figures"]["ppl"]["measured"]["value"] > 0
    assert [point["x"] for point in found["curves"]["truncation"]][-1] == 1
    assert found["protocol"]["psi"] == 1


def test_measure_compares_only_what_may_be_compared(
    shell: Shell, packed: Path, run: Path, tmp_path: Path
) -> None:
    options = ("--reference", packed, "--metrics", "accuracy")
    measured(shell, run, tmp_path / "a", *options, "--per-style", "6")
    same = (*options, "--out", tmp_path / "b", "--device", "cpu", "--no-control")
    against = ("--against", tmp_path / "a" / "report.json")
    assert "accuracy" in shell("measure", run, *same, "--per-style", "6", *against)
    said = shell.mistake("measure", run, *same, "--per-style", "7", *against)
    assert "images_per_style" in said
    assert "nothing.json" in shell.mistake("measure", run, *same, "--against", tmp_path / "nothing.json")


def test_measure_pairs(shell: Shell, packed: Path, tmp_path: Path) -> None:
    """Outputs that are the real drawings: no distance to the truth, and one to the contents."""
    pictures = load_pictures(packed, "test")
    names = pictures.style_names
    save_pictures(tmp_path / "real", packed, names)
    subjects = sorted(set(pictures.subjects))
    rows = [
        f"real/{names[1 + i % 2]}/{subject}.png,real/{names[0]}/{subject}.png,{names[1 + i % 2]},{subject}"
        for i, subject in enumerate(subjects)
    ]
    manifest = tmp_path / "pairs.csv"
    manifest.write_text("\n".join(["output,content,style,subject", *rows]) + "\n")
    options = ("--reference", packed, "--metrics", "content", "ssim", "truth", "accuracy")
    figures = measured(shell, manifest, tmp_path / "o", *options)["figures"]
    assert figures["truth"]["measured"]["value"] == 0
    assert figures["truth"]["baselines"]["content unchanged"]["value"] > 0
    assert figures["content_raw"]["measured"]["value"] > 0
    assert figures["ssim"]["measured"]["value"] < 1
    accuracy = figures["accuracy"]
    assert accuracy["measured"]["value"] > accuracy["baselines"]["content unchanged"]["value"]


def test_measure_pairs_by_stem(shell: Shell, packed: Path, tmp_path: Path) -> None:
    """The same subject in another style's folder is the output of the content of that name."""
    names = load_pictures(packed, "test").style_names
    save_pictures(tmp_path / "real", packed, names)
    (tmp_path / "contents").mkdir()
    (tmp_path / "made").mkdir()
    for picture in sorted((tmp_path / "real" / names[0]).iterdir()):
        picture.rename(tmp_path / "contents" / picture.name)
    (tmp_path / "real" / names[1]).rename(tmp_path / "made" / names[1])
    options = ("--contents", tmp_path / "contents", "--metrics", "content", "ssim")
    figures = measured(shell, tmp_path / "made", tmp_path / "o", *options)["figures"]
    assert figures["ssim"]["measured"]["value"] < 1
    assert figures["content_raw"]["measured"]["value"] > 0


def test_measure_keeps_and_takes_statistics(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    """Mean and covariance of the real pictures as a file, and a distance to that file."""
    real = tmp_path / "real.npz"
    options = ("--metrics", "fd", "--per-style", "6")
    measured(shell, run, tmp_path / "o", "--reference", packed, "--save-statistics", real, *options)
    with np.load(real) as file:
        assert file["mu"].shape == (1152,)
        assert file["sigma"].shape == (1152, 1152)
    found = measured(shell, run, tmp_path / "o", "--reference", real, *options)
    assert found["figures"]["fd"]["measured"]["value"] > 0


def test_mistakes_in_measure(shell: Shell, packed: Path, run: Path, tmp_path: Path) -> None:
    plain = ("--reference", packed, "--device", "cpu", "--no-control")
    assert "no metric 'fdd'" in shell.mistake("measure", run, *plain, "--metrics", "fdd")
    assert "no extractor 'inceptoin'" in shell.mistake("measure", run, *plain, "--features", "inceptoin")
    assert "give --reference" in shell.mistake("measure", run, "--device", "cpu")
    missing = ("--features", "inception", "--inception-weights", tmp_path / "absent.pth")
    assert "absent.pth" in shell.mistake("measure", run, *plain, *missing)
    (tmp_path / "pairs.csv").write_text("output,content,style\na.png,b.png,x\n")
    assert "b.png' does not exist" in shell.mistake("measure", tmp_path / "pairs.csv", *plain)
    (tmp_path / "s.npz").write_text("no archive")
    assert "s.npz" in shell.mistake("measure", run, "--reference", tmp_path / "s.npz", "--device", "cpu")
