"""`brushwork sample` as a user meets it: as many pictures as are asked for, in files that are right."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.data.files import write_file
from brushwork.eval.sources import read_styled_folder
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.sampling import SampledBatch, sample_batches, sample_matrix
from brushwork.models.snapshot import generator_bytes, load_generator
from brushwork.models.stage import Stage
from brushwork.scripts import sample as module

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

CPU = ("--device", "cpu")


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def counted_drawings(shell: Shell) -> list[int]:
    """How many pictures are drawn for files of their own, batch by batch."""
    sizes: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Iterator[SampledBatch]:
        for drawn in sample_batches(*arguments, **options):
            sizes.append(len(drawn.cells))
            yield drawn

    shell.monkeypatch.setattr(module, "sample_batches", counting)
    return sizes


def test_more_seeds_than_a_batch_and_than_the_grid_shows(shell: Shell, run: Path, tmp_path: Path) -> None:
    grids, image_grid, sizes = [], module.image_grid, counted_drawings(shell)

    def watched(cells: Any, **options: Any) -> Image.Image:
        grids.append(options["column_labels"])
        return image_grid(cells, **options)

    shell.monkeypatch.setattr(module, "image_grid", watched)
    said = shell("sample", run, "--seeds", "3-32", "--batch", "16", "--out", tmp_path, *CPU)
    assert "90 pictures, grid (of the first 24 of 30 seeds)" in said
    assert sizes == [16] * 5 + [10]
    assert grids[0] == [str(seed) for seed in range(3, 27)]
    generator = load_generator(run)
    whole = sample_matrix(generator, torch.eye(3), torch.arange(3, 33)).permute(0, 1, 3, 4, 2).numpy()
    for row, name in enumerate(generator.style_names):
        assert {path.name for path in (tmp_path / name).iterdir()} == {f"seed{s}.png" for s in range(3, 33)}
        for column in range(30):
            drawn = opened(tmp_path / name / f"seed{column + 3}.png").astype(int)
            assert np.abs(drawn - whole[row, column]).max() <= 1, "convolutions may round otherwise"


def test_keep_goes_on_without_drawing_again(shell: Shell, run: Path, tmp_path: Path) -> None:
    options = ("sample", run, "--styles", "01-outline", "--out", tmp_path, *CPU)
    folder = tmp_path / "01-outline"
    shell(*options, "--seeds", "0-5")
    wanted = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "seed1.png").write_text("the user's own")
    (folder / "seed4.png").unlink()
    sizes = counted_drawings(shell)
    said = shell(*options, "--seeds", "0-5", "--skip-existing")
    assert sizes == [1]
    assert "1 pictures (5 were there)" in said
    assert (folder / "seed1.png").read_text() == "the user's own"
    assert np.abs(opened(folder / "seed4.png").astype(int)).sum() > 0
    sizes.clear()
    assert "0 pictures (6 were there)" in shell(*options, "--seeds", "0-5", "--skip-existing")
    assert not sizes
    shell(*options, "--seeds", "0-5")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted, "all are drawn anew"


def test_a_job_that_is_stopped_leaves_whole_pictures_and_is_gone_on_with(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    options = ("sample", run, "--styles", "01-outline", "--seeds", "0-11", "--batch", "4", *CPU)
    shell(*options, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:

        def stopped(*rest: Any, **others: Any) -> Iterator[SampledBatch]:
            yield from islice(sample_batches(*rest, **others), 2)
            raise KeyboardInterrupt

        patch.setattr(module, "sample_batches", stopped)
        with pytest.raises(SystemExit) as ended:
            shell(*options, "--out", tmp_path / "parts")
    assert ended.value.code == 130
    folder = tmp_path / "parts" / "01-outline"
    left = {path.name for path in folder.iterdir()}
    assert left <= {f"seed{seed}.png" for seed in range(8)}
    shell(*options, "--out", tmp_path / "parts", "--skip-existing")
    for seed in range(12):
        path = tmp_path / "whole" / "01-outline" / f"seed{seed}.png"
        assert np.abs(opened(path).astype(int) - opened(folder / path.name)).max() <= 1


ODD = ("Art Nouveau", "Art_Nouveau", "Paris, 1900", "a:b", "grid.png", "ink+wash", "pop=art", "日本")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A snapshot whose styles have names that paths and options could mistake."""
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12
    )
    generator = Generator(config, ODD)
    path = tmp_path / "odd.safetensors"
    write_file(path, generator_bytes(generator, stage=Stage(16), notes={}))
    return path


def test_every_style_has_a_folder_of_its_own_by_which_it_is_known_again(
    shell: Shell, odd: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shell("sample", odd, "--seeds", "0-1", "--out", out, *CPU)
    assert len(list(out.glob("*/seed*.png"))) == 2 * len(ODD)
    found = read_styled_folder(out)
    assert set(found.style_names) - {"grid.png-2"} == set(ODD) - {"grid.png"}
    drawn = sample_matrix(load_generator(odd), torch.eye(len(ODD)), torch.arange(2))
    for style, images in zip(found.style_names, found.images.unflatten(0, (len(ODD), 2)), strict=True):
        row = ODD.index(style.removesuffix("-2"))
        assert (images.int() - drawn[row].int()).abs().max() <= 1, style


def test_styles_are_named_exactly_and_written_once(shell: Shell, odd: Path, tmp_path: Path) -> None:
    wanted = "Paris, 1900, ink+wash,pop=art=0.5+a:b=0.5,ink+wash"
    said = shell("sample", odd, "--styles", wanted, "--seeds", "0", "--out", tmp_path / "out", *CPU)
    assert "3 pictures" in said
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"Paris, 1900", "ink+wash", "pop=art=0.5+a%3Ab=0.5"}


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--cutoff", "-1"), "--cutoff is -1: it must be"), (("--device", "abacus"), "cannot run on 'abacus'")],
)
def test_mistakes_in_sample(
    shell: Shell, run: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in shell.mistake("sample", run, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
