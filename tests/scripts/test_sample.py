"""`brushwork sample`: as many images as there are seeds, in the right files; errors are one sentence."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.images import OUTLINE, read_image
from brushwork.eval import image_folders as module
from brushwork.eval.sources import read_styled_folder
from brushwork.models.errors import ModelError
from brushwork.models.sampling import sample_batches, sample_matrix
from brushwork.models.snapshot import load_generator
from brushwork.scripts.sample import parse_seeds

from ..conftest import Shell
from .conftest import save_untrained

CPU = ("--device", "cpu")


def test_seeds_are_numbers_and_ranges_each_once() -> None:
    assert parse_seeds("0-3,7") == [0, 1, 2, 3, 7]
    assert parse_seeds("0,0,2-4,3") == [0, 2, 3, 4]
    assert parse_seeds(f"{2**63 - 2}-{2**63 - 1}") == [2**63 - 2, 2**63 - 1]
    for text in ("", "a", "1,,2", "-4", "5-3", "9" * 5000, str(2**63)):
        with pytest.raises(ModelError, match=rf"the seeds .{{2,40}}: write numbers up to {2**63 - 1} and"):
            parse_seeds(text)
    with pytest.raises(ModelError, match="are 100000000000: take at most 1000000"):
        parse_seeds("0-99999999999")


def test_figures_of_tall_transparent_images(shell: Shell, tmp_path: Path) -> None:
    """Of 16 x 32 px, so enlarged by 4 in all figures; those of the grid have an outline."""
    run = save_untrained(tmp_path / "run", ("ink", "oil"), channels=4, base_height=8)
    shell("sample", run, "--seeds", "0-1", "--out", tmp_path / "out", *CPU)
    with Image.open(tmp_path / "out" / "ink" / "seed0.png") as image:
        assert (image.size, image.mode) == ((16, 32), "RGBA")
    with Image.open(tmp_path / "out" / "interpolation.gif") as moving:
        assert moving.size == (2 * 64, 128)
    outlined = (read_image(tmp_path / "out" / "grid.png") == OUTLINE).all(axis=-1).sum()
    assert outlined >= 4 * (66 * 130 - 64 * 128)


def test_more_seeds_than_a_batch_and_than_the_grid_shows(shell: Shell, run: Path, tmp_path: Path) -> None:
    sizes: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Iterator[Any]:
        for cells, images in sample_batches(*arguments, **options):
            sizes.append(len(cells))
            yield cells, images

    shell.monkeypatch.setattr(module, "sample_batches", counting)
    printed = shell("sample", run, "--seeds", "3-32", "--batch", "16", "--out", tmp_path, *CPU)
    assert "90 images, grid (the first 24 of 30 seeds)" in printed
    assert sizes == [16] * 5 + [10]
    with Image.open(tmp_path / "grid.png") as grid:
        assert 24 * 64 < grid.width < 28 * 64
    generator = load_generator(run)
    whole = sample_matrix(generator, torch.eye(3), torch.arange(3, 33)).permute(0, 1, 3, 4, 2).numpy()
    for row, name in enumerate(generator.style_names):
        assert {path.name for path in (tmp_path / name).iterdir()} == {f"seed{s}.png" for s in range(3, 33)}
        for column in range(30):
            pixels = read_image(tmp_path / name / f"seed{column + 3}.png").astype(int)
            assert np.abs(pixels - whole[row, column]).max() <= 1, "convolutions may round otherwise"


def test_an_interrupted_job_goes_on_and_mends_changed_images(shell: Shell, run: Path, tmp_path: Path) -> None:
    options = ("sample", run, "--styles", "01-outline", "--seeds", "0-11", "--batch", "4", *CPU)
    more = (*options, "--out", tmp_path / "parts", "--skip-existing")
    shell(*options, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(*rest: Any, **others: Any) -> Iterator[Any]:
            yield from islice(sample_batches(*rest, **others), 2)
            raise KeyboardInterrupt

        patch.setattr(module, "sample_batches", interrupted)
        with pytest.raises(SystemExit) as ended:
            shell(*options, "--out", tmp_path / "parts")
    assert ended.value.code == 130
    folder = tmp_path / "parts" / "01-outline"
    assert {path.name for path in folder.iterdir()} <= {f"seed{seed}.png" for seed in range(8)}
    shell(*more)
    assert "0 images (12 were there)" in shell(*more)
    Image.new("RGB", (16, 16)).save(folder / "seed1.png")
    (folder / "seed2.png").write_bytes((folder / "seed2.png").read_bytes()[:-5])
    (folder / "seed3.png").write_bytes(b"")
    (folder / "seed4.png").unlink()
    assert "4 images (8 were there)" in shell(*more)
    for path in (tmp_path / "whole" / "01-outline").iterdir():
        assert np.abs(read_image(path).astype(int) - read_image(folder / path.name)).max() <= 1
    assert "12 images (0 were there)" in shell(*more, "--psi", "0.5"), "other options, other images"


ODD = ("Art Nouveau", "Art_Nouveau", "Paris, 1900", "a:b", "grid.png", "ink+wash", "pop=art", "日本")


def test_every_style_has_a_folder_that_reads_back_as_that_style(shell: Shell, tmp_path: Path) -> None:
    """The names could be mistaken for paths and options."""
    odd, out = save_untrained(tmp_path / "odd", ODD), tmp_path / "out"
    shell("sample", odd, "--seeds", "0-1", "--out", out, *CPU)
    assert len(list(out.glob("*/seed*.png"))) == 2 * len(ODD)
    read = read_styled_folder(out)
    assert {name.removesuffix("-2") for name in read.style_names} == set(ODD)
    expected = sample_matrix(load_generator(odd), torch.eye(len(ODD)), torch.arange(2))
    for style, images in zip(read.style_names, read.images.unflatten(0, (len(ODD), 2)), strict=True):
        row = ODD.index(style.removesuffix("-2"))
        assert (images.int() - expected[row].int()).abs().max() <= 1, style
    styles = "Art Nouveau, ink+wash,a:b=0.5+日本=0.5,ink+wash"
    shell("sample", odd, "--styles", styles, "--seeds", "0", "--out", tmp_path / "some", *CPU)
    folders = {path.name for path in (tmp_path / "some").iterdir() if path.is_dir()}
    assert folders == {"Art Nouveau", "ink+wash", "a%3Ab=0.5+日本=0.5"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--psi 11", "--psi is 11.0: it must be"),
        ("--device abacus", "--device is 'abacus': it must be auto, cpu, cuda, cuda:N or mps."),
        ("--device cuda:99", "no device 'cuda:99'"),
        ("--styles 01-outlin", "did you mean '01-outline'"),
        ("--styles 01-outline,02-gradient,none", "this run was not trained without a style"),
        ("--seeds 5-3", "cannot read the seeds '5-3'"),
        ("--direction smile", "no direction 'smile'"),
        ("--direction sefa:1 --strength far", "cannot read the strength 'far'"),
    ],
)
def test_errors(shell: Shell, run: Path, tmp_path: Path, options: str, sentence: str) -> None:
    assert sentence in shell.mistake("sample", run, *options.split(), "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "does not exist" in shell.mistake("sample", tmp_path / "nothing")


def test_directions(shell: Shell, run: Path, tmp_path: Path) -> None:
    """A range is a figure, a number moves the images, and 0 leaves them alone."""
    plain, out = tmp_path / "plain", tmp_path / "out"
    one = ("sample", run, "--seeds", "0-1", "--styles", "01-outline", *CPU)
    shell(*one, "--out", plain)
    assert "direction-sefa-2@0-1.png" in shell(*one, "--direction", "sefa:2@0-1", "--out", out)
    shell(*one, "--direction", "pca", "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["direction-pca.png", "direction-sefa-2@0-1.png"]
    for strength, same in (("0", True), ("3", False)):
        shell(*one, "--direction", "pca:1", "--strength", strength, "--out", out / strength)
        folders = (plain, out / strength)
        before, after = (read_image(folder / "01-outline" / "seed1.png") for folder in folders)
        assert np.array_equal(before, after) == same
