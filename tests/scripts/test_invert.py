"""`brushwork invert`, and what `sample` and `restyle` do with its codes."""

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from brushwork.data.images import read_image
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import load_codes
from brushwork.models.snapshot import load_generator

from ..conftest import Shell

QUICK = ("--steps", "8", "--device", "cpu")


@pytest.fixture
def generator(run: Path) -> Generator:
    return load_generator(run)


def test_codes_images_and_distances(shell: Shell, run: Path, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "inverted"
    said = shell("invert", run, packed, "--limit", "3", "--reference", packed, "--out", out, *QUICK)
    assert "efficientnet-lite0 (minimised): " in said
    assert "nearest training image" in said
    assert "3 images, grid.png, distances.csv" in said
    with (out / "distances.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    kinds = ("inverted", "start", "nearest", "random")
    assert {f"pixels {kind}" for kind in kinds} <= set(rows[0])
    names = [row["image"] for row in rows]
    assert [read_image(out / "images" / f"{name}.png").shape for name in names] == [(16, 16, 3)] * 3
    with (out / "losses.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    codes = load_codes(out / "codes.safetensors", load_generator(run))
    assert list(codes.names) == names

    # Edits
    said = shell("sample", run, "--codes", out / "codes.safetensors", "--out", tmp_path / "edited")
    assert "styles.png, mixing.png and walk.gif" in said
    assert (tmp_path / "edited" / "inverted" / f"{names[0]}.png").is_file()
    inverted = read_image(out / "images" / f"{names[0]}.png").tobytes()
    assert read_image(tmp_path / "edited" / "inverted" / f"{names[0]}.png").tobytes() == inverted
    words = ("--direction", "pca:1", "--strength", "1", "--out", tmp_path / "moved")
    assert "3 images, direction-pca-1.png" in shell(
        "sample", run, "--codes", out / "codes.safetensors", *words
    )
    moved = next((tmp_path / "moved").glob(f"pca-1*/{names[0]}.png"))
    assert read_image(moved).tobytes() != inverted

    film = ("--film", tmp_path / "codes.webp", "--frames", "2")
    said = shell("sample", run, "--codes", out / "codes.safetensors", *film)
    assert "6 frames, 0.2 s" in said
    with Image.open(tmp_path / "codes.webp") as image:
        assert len(list(ImageSequence.Iterator(image))) == 6
        assert image.size == (256, 256)


def test_a_tuned_generator_draws_its_codes(shell: Shell, run: Path, packed: Path, tmp_path: Path) -> None:
    words = ("--limit", "2", "--tune-steps", "3", "--noise", "optimised", "--out", tmp_path / "tuned")
    said = shell("invert", run, packed, *words, *QUICK)
    assert f"brushwork sample {tmp_path / 'tuned' / 'tuned.safetensors'}" in said
    codes = tmp_path / "tuned" / "codes.safetensors"
    assert not (tmp_path / "tuned" / "checkpoints").exists()
    plain = ("--metrics", "fd", "--per-style", "4", "--device", "cpu", "--reference", packed)
    lite = ("--features", "efficientnet-lite0")
    said = shell.mistake("measure", tmp_path / "tuned" / "tuned.safetensors", *plain, *lite)
    assert "efficientnet-lite0 gave this run its gradients" in said
    assert "another snapshot" in shell("sample", run, "--codes", codes, "--out", tmp_path / "other")
    tuned = tmp_path / "tuned" / "tuned.safetensors"
    assert "another snapshot" not in shell("sample", tuned, "--codes", codes, "--out", tmp_path / "drawn")
    for image in (tmp_path / "tuned" / "images").rglob("*.png"):
        drawn = tmp_path / "drawn" / "inverted" / image.relative_to(tmp_path / "tuned" / "images")
        assert read_image(drawn).tobytes() == read_image(image).tobytes()


def test_mistakes(shell: Shell, run: Path, packed: Path, tmp_path: Path) -> None:
    assert "nothing to invert" in shell.mistake("invert", run)
    assert "no image, folder or data set" in shell.mistake("invert", run, tmp_path / "absent.png", *QUICK)
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert "broken.png" in shell.mistake("invert", run, tmp_path / "broken.png", *QUICK)
    assert "cubism" in shell.mistake("invert", run, packed, "--style", "cubism", *QUICK)
    assert "space" in shell.mistake("invert", run, packed, "--space", "z", *QUICK)
    said = shell.mistake("sample", run, "--codes", tmp_path / "broken.png")
    assert "give codes.safetensors" in said
    image = next(packed.parent.glob("toy/*/*.png"))
    both = ("--codes", tmp_path / "broken.png", "--style-image", image)
    assert "--codes" in shell.mistake("sample", run, *both)
