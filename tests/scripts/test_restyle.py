"""`brushwork restyle` and `sample --style-image`: files, grids, the manifest and error sentences."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from brushwork.data.contents import read_cutout
from brushwork.data.dataset import load_dataset
from brushwork.data.images import read_image

from ..conftest import Shell
from .conftest import save_noise, save_untrained

CPU = ("--device", "cpu")
Restyle = Callable[..., tuple[dict[str, str], np.ndarray]]


@pytest.fixture(scope="module")
def trained(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with encoders and random weights."""
    names = load_dataset(packed, "test").style_names
    return save_untrained(tmp_path_factory.mktemp("trained"), names, encoders=True)


def manifest(out: Path) -> list[dict[str, str]]:
    """The rows of pairs.csv, whose images must all be there at the network's resolution."""
    with (out / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for part in row.keys() & {"output", "content", "reference"}:
            assert read_image(out / row[part]).shape == (16, 16, 3)
    return rows


def test_files_and_folders_in_several_styles(shell: Shell, trained: Path, tmp_path: Path) -> None:
    save_noise(tmp_path / "in" / "wide.png", (40, 20))
    save_noise(tmp_path / "in" / "deep" / "small.jpg", (5, 9))
    exact = save_noise(tmp_path / "exact.png")
    printed = shell("restyle", trained, tmp_path / "in", exact, "--style", "all", *CPU)
    out = trained / "restyled"
    assert f"9 images of 3 contents, grid.png: {out}" in printed
    assert "1 contents are above 16 x 16 px" in printed
    for style in ("00-filled", "01-outline", "02-gradient"):
        assert read_image(out / style / "wide.png").shape == (20, 40, 3)
        assert read_image(out / style / "deep" / "small.png").shape == (9, 5, 3)
        assert read_image(out / style / "exact.png").std() > 1
    rows = manifest(out)
    assert len({row["output"] for row in rows}) == len(rows) == 9
    assert {row["content"] for row in rows} == {f"contents/{n}.png" for n in ("wide", "deep/small", "exact")}
    assert [row["subject"] for row in rows if row["content"] == "contents/deep/small.png"] == ["small"] * 3
    np.testing.assert_array_equal(read_image(out / "contents" / "exact.png"), read_image(exact))
    assert read_image(out / "grid.png").std() > 1


def test_broken_files_are_named_and_the_others_restyled(shell: Shell, trained: Path, tmp_path: Path) -> None:
    good, out = save_noise(tmp_path / "in" / "a.png"), tmp_path / "out"
    save_noise(tmp_path / "in" / "z.png")
    (tmp_path / "in" / "b.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "nowhere.png")
    printed = shell.mistake("restyle", trained, tmp_path / "in", "--style", "00-filled", "--out", out, *CPU)
    assert f"2 of 4 images were left out; the others are in {out}" in printed
    assert "b.png' cannot be read" in printed
    assert "c.png' cannot be read" in printed
    assert [row["subject"] for row in manifest(out)] == ["a", "z"]
    assert len(read_image(out / "grid.png")) > 2 * 64
    printed = shell.mistake("restyle", trained, good, "--style-image", good, tmp_path / "in" / "b.png", *CPU)
    assert "b.png' cannot be read" in printed, "a style needs all of its images"


def test_odd_names_have_paths_of_their_own_and_stay_in_the_manifest(shell: Shell, tmp_path: Path) -> None:
    names = ("a/b", "a_b", "contents", "ink+wash", "pop=art")
    run = save_untrained(tmp_path / "run", names, encoders=True)
    contents = [save_noise(tmp_path / name) for name in ("x:y.png", "x_y.png", "line\nbreak.png")]
    shell("restyle", run, *contents, "--style", "all", "--out", tmp_path / "out", *CPU)
    rows = manifest(tmp_path / "out")
    assert len({row["output"] for row in rows}) == len({row["output"].lower() for row in rows}) == 15
    assert {row["style"] for row in rows} == set(names)
    assert {row["subject"] for row in rows} == {"x:y", "x_y", "line\nbreak"}


def test_a_restyled_data_set_is_measured(shell: Shell, trained: Path, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shell("restyle", trained, packed, "--style", "00-filled,02-gradient", "--out", out, *CPU)
    rows, subjects = manifest(out), set(load_dataset(packed, "test").subjects)
    # Every image in both styles, except those that have one of them already.
    assert len(rows) == len(subjects) * (3 * 2 - 2)
    assert not [row for row in rows if row["content"].startswith(f"contents/{row['style']}/")]
    assert {row["subject"] for row in rows} == subjects
    options = ("--reference", packed, "--metrics", "content", "truth", "--no-control")
    shell("measure", out / "pairs.csv", *options, "--out", tmp_path / "report", *CPU)
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["figures"]
    assert {"content_raw", "truth"} <= figures.keys()


@pytest.fixture
def restyled(shell: Shell, trained: Path, tmp_path: Path) -> Restyle:
    """Restyles one image: its row of the manifest, and its pixels."""
    content = save_noise(tmp_path / "content.png", (40, 40))

    def run(*options: object) -> tuple[dict[str, str], np.ndarray]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        printed = shell("restyle", trained, content, *options, "--out", out, *CPU)
        (row,) = manifest(out)
        assert ("--reference DATASET" in printed) == (row["style"] in ("00-filled", "01-outline"))
        return row, read_image(out / row["output"])

    return run


def test_the_style_of_one_image_or_several(restyled: Restyle, tmp_path: Path) -> None:
    other, model = save_noise(tmp_path / "other.png"), save_noise(tmp_path / "model one.png", (30, 20))
    row, one = restyled("--style-image", model)
    assert (row["style"], row["output"]) == ("like model one", "fitted/like model one/content.png")
    assert row["reference"] == "fitted/like model one.png"
    row, two = restyled("--style-image", model, other)
    assert row["style"] == "like model one and 1 more"
    assert "reference" not in row
    row, labelled = restyled("--style-image", model, "--style-image-label", "01-outline")
    assert row["style"] == "01-outline"
    assert (one != two).any()
    assert (one != labelled).any()


def test_every_option_changes_the_result(restyled: Restyle) -> None:
    def pixels(*options: str) -> np.ndarray:
        return restyled("--style", *options)[1]

    plain, latent = pixels("00-filled"), pixels("00-filled", "--style-code", "latent")
    assert (latent != plain).any()
    assert (pixels("00-filled", "--style-code", "latent", "--seed", "1") != latent).any()
    assert (pixels("00-filled=0.5+01-outline=0.5") != plain).any()
    for name, value in (("--psi", "0.1"), ("--mode", "resized")):
        assert (pixels("00-filled", name, value) != plain).any()
    np.testing.assert_array_equal(pixels("00-filled=1"), plain)


def test_opacity_and_strength(shell: Shell, trained: Path, tmp_path: Path) -> None:
    """Strength 0 writes the content itself, where it is opaque enough to see; 0.5 restyles it half."""
    content = save_noise(tmp_path / "content.png", (20, 33), "RGBA")
    before = read_cutout(content)
    assert before.alpha is not None
    gaps = []
    for strength in ("0", "0.5", "1"):
        out = tmp_path / strength
        shell("restyle", trained, content, "--style", "00-filled", "--strength", strength, "--out", out, *CPU)
        after = read_cutout(out / "00-filled" / "content.png")
        np.testing.assert_array_equal(after.alpha, before.alpha)
        gaps.append(np.abs(after.pixels.astype(int) - before.pixels)[before.alpha > 128].mean())
    assert gaps[0] < 1
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("alpha", ["keep", "flatten"])
def test_a_data_set_with_transparency_is_restyled_like_its_files(
    shell: Shell, tmp_path: Path, channels: Literal[3, 4], alpha: str
) -> None:
    """By a run with transparency or without; and a data set without transparency by a run that has it."""
    for name in ("a", "bb", "ccc"):
        save_noise(tmp_path / "in" / "ink" / f"{name}.png", mode="RGBA" if alpha == "keep" else "RGB")
    shell("pack", tmp_path / "in", tmp_path / "packed", "--resolution", "16", "--alpha", alpha)
    run = save_untrained(tmp_path / "run", ("ink", "oil"), encoders=True, channels=channels)
    for name, contents in (("files", tmp_path / "in"), ("data set", tmp_path / "packed")):
        options = ("--style", "oil", "--split", "all") if name == "data set" else ("--style", "oil")
        shell("restyle", run, contents, *options, "--out", tmp_path / name, *CPU)
    for file in ("a.png", "bb.png", "ccc.png"):
        one, other = (read_cutout(tmp_path / name / "oil" / "ink" / file) for name in ("files", "data set"))
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2
        assert (one.alpha is None) == (other.alpha is None)


def test_samples_like_an_image(shell: Shell, trained: Path, tmp_path: Path) -> None:
    model, other = save_noise(tmp_path / "model.png", (30, 20)), save_noise(tmp_path / "other one.png")
    for name, images in (("a", (model,)), ("b", (other,)), ("c", (model, other))):
        options = ("--seeds", "0-2", "--out", tmp_path / name, *CPU)
        assert "3 images" in shell("sample", trained, "--style-image", *images, *options)
    one = [read_image(tmp_path / "a" / "like model" / f"seed{seed}.png") for seed in range(3)]
    assert one[0].shape == (16, 16, 3)
    assert (one[0] != one[1]).any()
    assert (one[0] != read_image(tmp_path / "b" / "like other one" / "seed0.png")).any()
    assert (one[0] != read_image(tmp_path / "c" / "like model" / "seed0.png")).any()
    assert read_image(tmp_path / "a" / "like.png").std() > 1
    assert not (tmp_path / "a" / "grid.png").exists()


def test_a_run_that_knows_no_image_without_a_label_asks_for_it(shell: Shell, tmp_path: Path) -> None:
    run = save_untrained(tmp_path / "run", ("ink", "oil"), encoders=True, null_style=False)
    words = ("sample", run, "--style-image", save_noise(tmp_path / "x.png"), "--out", tmp_path / "out", *CPU)
    printed = shell.mistake(*words)
    assert (
        "the style of the image by --style-image-label, or that of the coarse layers by --styles" in printed
    )
    assert "of ink, oil." in printed
    assert "12 images" in shell(*words, "--style-image-label", "ink")
    assert "12 images" in shell(*words, "--styles", "oil")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("restyle {trained} {image} --style 01-outlin", "did you mean '01-outline'"),
        ("restyle {trained} {image} --style all --style-image {image}", "were both given"),
        ("restyle {trained} {image}", "no style was given"),
        ("restyle {trained} {image} --style all --device meta", "--device is 'meta': it must be auto, cpu"),
        ("restyle {trained} {image} --style-image nowhere.png", "nowhere.png"),
        ("restyle {trained} {image} --style-image {image} --style-image-label oil", "unknown style 'oil'"),
        ("restyle {trained} {empty} --style 00-filled", "holds no image"),
        ("restyle {trained} absent.png --style 00-filled", "absent.png"),
        ("restyle {trained} --style 00-filled", "nothing to restyle"),
        ("restyle {run} {packed} --style 00-filled", "no encoders"),
        ("restyle {packed} {packed} --style 00-filled", "holds no snapshot"),
        ("sample {run} --style-image {image}", "no encoders"),
        ("sample {trained} --style-image nowhere.png", "nowhere.png"),
    ],
)
def test_errors(
    shell: Shell, trained: Path, run: Path, packed: Path, tmp_path: Path, words: str, sentence: str
) -> None:
    places = {"trained": trained, "run": run, "packed": packed, "image": save_noise(tmp_path / "image.png")}
    (tmp_path / "empty").mkdir()
    typed = [word.format(**places, empty=tmp_path / "empty") for word in words.split()]
    assert sentence in shell.mistake(*typed, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
