"""`brushwork restyle` and `sample --style-image` as a user meets them: files, grids, manifest, mistakes."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.pictures import load_pictures

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def trained(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator has encoders; what it draws is noise in its styles, but is something."""
    return untrained(tmp_path_factory.mktemp("trained"), load_pictures(packed, "test").style_names)


def untrained(run: Path, styles: tuple[str, ...]) -> Path:
    from brushwork.data.files import write_file
    from brushwork.models.generator import Generator, GeneratorConfig
    from brushwork.models.snapshot import generator_bytes
    from brushwork.models.stage import Stage

    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
    )
    generator = Generator(config, styles)
    generator.mapping.average.normal_()
    write_file(
        run / "snapshots" / "generator.safetensors", generator_bytes(generator, stage=Stage(16), notes={})
    )
    return run


def draw(path: Path, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def manifest(out: Path) -> list[dict[str, str]]:
    """The rows of pairs.csv, of which every picture is there."""
    with (out / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for part in ("output", "content", "reference"):
            if part in row:
                assert opened(out / row[part]).size == (16, 16), "the network's resolution"
    return rows


# Restyling
def test_files_and_folders_in_several_styles(shell: Shell, trained: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "wide.png", (40, 20))
    draw(tmp_path / "in" / "deep" / "small.jpg", (5, 9))
    single = draw(tmp_path / "exact.png")
    said = shell("restyle", trained, tmp_path / "in", single, "--style", "all", *CPU)
    out = trained / "restyled"
    assert f"9 images of 3 contents, grid.png: {out}" in said
    assert "1 contents are above 16 px" in said
    assert "pairs.csv --reference DATASET" in said
    for style in ("00-filled", "01-outline", "02-gradient"):
        assert opened(out / style / "wide.png").size == (40, 20)
        assert opened(out / style / "deep" / "small.png").size == (5, 9)
        assert opened(out / style / "exact.png").size == (16, 16)
        assert np.asarray(opened(out / style / "exact.png")).std() > 1
    first, second = (np.asarray(opened(out / style / "wide.png")) for style in ("00-filled", "01-outline"))
    assert (first != second).any()
    rows = manifest(out)
    assert len(rows) == 9
    assert len({row["output"] for row in rows}) == 9
    assert {row["content"] for row in rows} == {f"contents/{n}.png" for n in ("wide", "deep/small", "exact")}
    assert [row["subject"] for row in rows if row["content"] == "contents/deep/small.png"] == ["small"] * 3
    np.testing.assert_array_equal(opened(out / "contents" / "exact.png"), opened(single))
    assert np.asarray(opened(out / "grid.png")).std() > 1


def test_what_is_broken_is_named_and_the_others_are_redrawn(
    shell: Shell, trained: Path, tmp_path: Path
) -> None:
    good = draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "z.png")
    (tmp_path / "in" / "b.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "nowhere.png")
    out = tmp_path / "out"
    said = shell.mistake("restyle", trained, tmp_path / "in", "--style", "00-filled", "--out", out, *CPU)
    assert f"2 of 4 pictures were left out; the others are in {out}" in said
    assert "b.png' cannot be read" in said
    assert "c.png' cannot be read" in said
    assert [row["subject"] for row in manifest(out)] == ["a", "z"]
    assert opened(out / "grid.png").size[1] > 2 * 64
    said = shell.mistake("restyle", trained, good, "--style-image", good, tmp_path / "in" / "b.png", *CPU)
    assert "b.png' cannot be read" in said, "a style is read off all of its pictures"


def test_odd_names_have_paths_of_their_own_and_stay_in_the_manifest(shell: Shell, tmp_path: Path) -> None:
    names = ("a/b", "a_b", "contents", "ink+wash", "pop=art")
    run = untrained(tmp_path / "run", names)
    contents = [draw(tmp_path / name) for name in ("x:y.png", "x_y.png", "line\nbreak.png")]
    shell("restyle", run, *contents, "--style", "all", "--out", tmp_path / "out", *CPU)
    rows = manifest(tmp_path / "out")
    assert len({row["output"] for row in rows}) == len({row["output"].lower() for row in rows}) == 15
    assert {row["style"] for row in rows} == set(names)
    assert {row["subject"] for row in rows} == {"x:y", "x_y", "line\nbreak"}
    blend = ("--style", "ink+wash=0.25+pop=art=0.75", "--out", tmp_path / "blend")
    shell("restyle", run, contents[0], *blend, *CPU)
    assert manifest(tmp_path / "blend")[0]["style"] == "ink+wash=0.25+pop=art=0.75"


def test_what_comes_out_does_not_depend_on_what_else_goes_in(
    shell: Shell, trained: Path, tmp_path: Path
) -> None:
    pictures = [draw(tmp_path / name, (24, 24)) for name in ("a.png", "bb.png", "ccc.png")]
    options = ("--style", "00-filled", "--seed", "5", *CPU)
    shell("restyle", trained, *pictures, *options, "--out", tmp_path / "all")
    shell("restyle", trained, pictures[1], *options, "--out", tmp_path / "one")
    found = [np.asarray(opened(tmp_path / out / "00-filled" / "bb.png"), dtype=int) for out in ("all", "one")]
    assert np.abs(found[0] - found[1]).max() <= 1


def test_a_data_set_is_restyled_and_measured(
    shell: Shell, trained: Path, packed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    styles = ("--style", "00-filled,02-gradient")
    shell("restyle", trained, packed, "--split", "test", *styles, "--out", out, *CPU)
    pictures = load_pictures(packed, "test")
    rows = manifest(out)
    # Every picture in both styles, but for those that are in one of them already.
    subjects = len(set(pictures.subjects))
    assert len(rows) == subjects * (3 * 2 - 2)
    assert not [row for row in rows if row["content"].startswith(f"contents/{row['style']}/")]
    assert {row["subject"] for row in rows} == set(pictures.subjects)
    metrics = ("--metrics", "content", "truth")
    options = ("--reference", packed, *metrics, "--out", tmp_path / "report", "--no-control", *CPU)
    shell("measure", out / "pairs.csv", *options)
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["figures"]
    assert {"content_raw", "truth"} <= figures.keys()


def test_pictures_of_other_sizes_are_measured_too(shell: Shell, trained: Path, tmp_path: Path) -> None:
    pictures = [draw(tmp_path / "a.png", (40, 40)), draw(tmp_path / "b.png", (9, 16))]
    shell("restyle", trained, *pictures, "--style-image", pictures[0], "--out", tmp_path / "out", *CPU)
    options = ("--metrics", "ssim", "reference", "--out", tmp_path / "report", "--no-control", *CPU)
    shell("measure", tmp_path / "out" / "pairs.csv", *options)
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["figures"]
    assert {"ssim", "reference_gram"} <= figures.keys()


def test_like_a_picture_and_like_several(shell: Shell, trained: Path, tmp_path: Path) -> None:
    content, model = draw(tmp_path / "content.png"), draw(tmp_path / "model one.png", (30, 20))
    other = draw(tmp_path / "other.png")
    said = shell("restyle", trained, content, "--style-image", model, "--out", tmp_path / "one", *CPU)
    assert said.rstrip().endswith("pairs.csv"), "no real pictures are of that style"
    (row,) = manifest(tmp_path / "one")
    assert row["style"] == "like model one"
    assert row["output"] == "like model one/content.png"
    assert row["reference"] == "fitted/like model one.png"
    shell("restyle", trained, content, "--style-image", model, other, "--out", tmp_path / "two", *CPU)
    (row,) = manifest(tmp_path / "two")
    assert row["style"] == "like model one and 1 more"
    assert "reference" not in row
    named = ("--style-image-label", "01-outline", "--out", tmp_path / "three")
    assert "--reference DATASET" in shell("restyle", trained, content, "--style-image", model, *named, *CPU)
    (row,) = manifest(tmp_path / "three")
    assert row["style"] == "01-outline"
    outputs = [
        np.asarray(opened(tmp_path / path))
        for path in ("one/like model one/content.png", "two/like model one and 1 more/content.png",
                     "three/01-outline/content.png")
    ]  # fmt: skip
    assert (outputs[0] != outputs[1]).any()
    assert (outputs[0] != outputs[2]).any()


def test_blends_truncation_seed_and_mode_change_the_result(
    shell: Shell, trained: Path, tmp_path: Path
) -> None:
    content = draw(tmp_path / "content.png", (40, 40))

    def drawn(*options: object) -> np.ndarray:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        shell("restyle", trained, content, *options, "--out", out, *CPU)
        (row,) = manifest(out)
        return np.asarray(opened(out / row["output"]))

    plain = drawn("--style", "00-filled")
    others = [
        drawn("--style", "00-filled=0.5+01-outline=0.5"),
        drawn("--style", "00-filled", "--psi", "0.1"),
        drawn("--style", "00-filled", "--style-code", "latent"),
        drawn("--style", "00-filled", "--style-code", "latent", "--seed", "1"),
        drawn("--style", "00-filled", "--mode", "resized"),
    ]
    assert all((other != plain).any() for other in others)
    np.testing.assert_array_equal(drawn("--style", "00-filled=1"), plain)


def test_opacity_and_strength(shell: Shell, trained: Path, tmp_path: Path) -> None:
    """At strength 0 the content itself is written, where it can be seen; in between it is half redrawn."""
    content = draw(tmp_path / "content.png", (20, 33), "RGBA")
    gaps = []
    for strength in ("0", "0.5", "1"):
        out = tmp_path / strength
        shell("restyle", trained, content, "--style", "00-filled", "--strength", strength, "--out", out, *CPU)
        before, after = (
            np.asarray(opened(path)).astype(int) for path in (content, out / "00-filled" / "content.png")
        )
        np.testing.assert_array_equal(after[..., 3], before[..., 3])
        solid = before[..., 3] > 128
        gaps.append(np.abs(after - before)[solid].mean())
    assert gaps[0] < 1
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--style", "01-outlin"), "did you mean '01-outline'"),
        (("--style", "01-outline=much"), "the weight 'much'"),
        (("--style", "all", "--style-image", "{content}"), "--style and --style-image were both given"),
        ((), "no style was given"),
        (("--style", "all", "--strength", "1.5"), "--strength is 1.5: it must be"),
        (("--style-image", "nowhere.png"), "nowhere.png"),
        (("--style-image", "{content}", "--style-image-label", "oil"), "unknown style 'oil'"),
    ],
)
def test_mistakes_in_options(
    shell: Shell, trained: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    content = draw(tmp_path / "content.png")
    words = [option.format(content=content) for option in options]
    assert said in shell.mistake("restyle", trained, content, *words, "--out", tmp_path / "out", *CPU)
    assert not (tmp_path / "out").exists()


def test_mistakes_in_contents(shell: Shell, trained: Path, run: Path, packed: Path, tmp_path: Path) -> None:
    options = ("--style", "00-filled", "--out", tmp_path / "out", *CPU)
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in shell.mistake("restyle", trained, tmp_path / "empty", *options)
    assert "absent.png" in shell.mistake("restyle", trained, tmp_path / "absent.png", *options)
    assert "nothing to restyle" in shell.mistake("restyle", trained, *options)
    assert "no encoders" in shell.mistake("restyle", run, packed, *options)
    assert "holds no snapshot" in shell.mistake("restyle", packed, packed, *options)
    assert not (tmp_path / "out").exists()


# New pictures
def test_sample_like_a_picture(shell: Shell, trained: Path, tmp_path: Path) -> None:
    model, other = draw(tmp_path / "model.png", (30, 20)), draw(tmp_path / "other one.png")
    for name, like in (("a", (model,)), ("b", (other,)), ("c", (model, other))):
        said = shell("sample", trained, "--style-image", *like, "--seeds", "0-2", "--out", tmp_path / name)
        assert "3 images" in said
    first = [np.asarray(opened(tmp_path / "a" / "like model" / f"seed{seed}.png")) for seed in range(3)]
    assert first[0].shape == (16, 16, 3)
    assert (first[0] != first[1]).any(), "seeds make variety"
    assert (first[0] != np.asarray(opened(tmp_path / "b" / "like other one" / "seed0.png"))).any()
    assert (first[0] != np.asarray(opened(tmp_path / "c" / "like model" / "seed0.png"))).any()
    assert np.asarray(opened(tmp_path / "a" / "like.png")).std() > 1
    assert not (tmp_path / "a" / "grid.png").exists()


def test_mistakes_in_sample_like(shell: Shell, trained: Path, run: Path, tmp_path: Path) -> None:
    model, out = draw(tmp_path / "model.png"), ("--out", tmp_path / "out")
    assert "no encoders" in shell.mistake("sample", run, "--style-image", model, *out)
    assert "nowhere.png" in shell.mistake("sample", trained, "--style-image", "nowhere.png", *out)
    assert "choose 0 to 5" in shell.mistake(
        "sample", trained, "--style-image", model, "--mixing-layer", "6", *out
    )
    assert not (tmp_path / "out").exists()
