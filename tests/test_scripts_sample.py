"""`brushwork sample` as a user meets it: as many pictures as are asked for, in files that are right."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.models import drawing
from brushwork.models.sampling import sample_matrix
from brushwork.models.snapshot import load_generator
from brushwork.scripts import sample as door

if TYPE_CHECKING:
    from .conftest import Shell
else:
    Shell = Any

CPU = ("--device", "cpu")


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def counted_drawings(shell: Shell) -> list[int]:
    """How many pictures are drawn for files of their own, batch by batch."""
    sizes, render = [], drawing.render

    def counting(generator: Any, w: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        sizes.append(len(w))
        return render(generator, w, *rest, **options)

    shell.monkeypatch.setattr(drawing, "render", counting)
    return sizes


def test_more_seeds_than_a_batch_and_than_the_grid_shows(shell: Shell, run: Path, tmp_path: Path) -> None:
    grids, image_grid, sizes = [], door.image_grid, counted_drawings(shell)

    def watched(cells: Any, **options: Any) -> Image.Image:
        grids.append(options["column_labels"])
        return image_grid(cells, **options)

    shell.monkeypatch.setattr(door, "image_grid", watched)
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
    said = shell(*options, "--seeds", "0-5", "--keep")
    assert sizes == [1]
    assert "1 pictures (5 were there)" in said
    assert (folder / "seed1.png").read_text() == "the user's own"
    assert np.abs(opened(folder / "seed4.png").astype(int)).sum() > 0
    sizes.clear()
    assert "0 pictures (6 were there)" in shell(*options, "--seeds", "0-5", "--keep")
    assert not sizes
    shell(*options, "--seeds", "0-5")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted, "drawn anew without --keep"


def test_a_job_that_is_stopped_leaves_whole_pictures_and_is_gone_on_with(
    shell: Shell, run: Path, tmp_path: Path
) -> None:
    options = ("sample", run, "--styles", "01-outline", "--seeds", "0-11", "--batch", "4", *CPU)
    shell(*options, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        render, calls = drawing.render, []

        def stopped(*rest: Any, **others: Any) -> torch.Tensor:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return render(*rest, **others)

        patch.setattr(drawing, "render", stopped)
        with pytest.raises(SystemExit) as ended:
            shell(*options, "--out", tmp_path / "parts")
    assert ended.value.code == 130
    folder = tmp_path / "parts" / "01-outline"
    left = {path.name for path in folder.iterdir()}
    assert left <= {f"seed{seed}.png" for seed in range(8)}
    shell(*options, "--out", tmp_path / "parts", "--keep")
    for seed in range(12):
        path = tmp_path / "whole" / "01-outline" / f"seed{seed}.png"
        assert np.abs(opened(path).astype(int) - opened(folder / path.name)).max() <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--cutoff", "-1"), "--cutoff is -1: it must be"), (("--device", "abacus"), "cannot run on 'abacus'")],
)
def test_mistakes_in_sample(
    shell: Shell, run: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in shell.mistake("sample", run, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
