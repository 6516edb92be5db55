"""Pictures from folders, and where reports go."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.names import file_name
from brushwork.eval.errors import EvalError
from brushwork.eval.folder import holds_pictures, read_styled_folder, report_folder

STYLES = ("dark", "light")


def shades(per_style: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    styles = torch.arange(2).repeat_interleave(per_style)
    noise = torch.randint(0, 60, (len(styles), 3, 8, 8), generator=torch.Generator().manual_seed(seed))
    return (noise + 130 * styles[:, None, None, None]).to(torch.uint8), styles


def save(root: Path, style: str, name: str, image: Tensor) -> None:
    (root / style).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / style / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, (image, style) in enumerate(zip(*shades(4), strict=True)):
        save(tmp_path / "made", STYLES[int(style)], f"{i}.png", image)
    return tmp_path / "made"


def test_reads_pixels_and_styles(folder: Path) -> None:
    found = read_styled_folder(folder)
    images, styles = shades(4)
    assert found.style_names == STYLES
    assert torch.equal(found.images, images)
    assert torch.equal(found.styles, styles)


def test_names_of_files_are_those_of_styles_again(tmp_path: Path) -> None:
    names = ("a/b", "what?", "50% off")
    for name in names:
        save(tmp_path, file_name(name), "0.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    assert set(read_styled_folder(tmp_path).style_names) == set(names)


def test_what_cannot_be_read_is_named_and_the_others_are_read(folder: Path) -> None:
    whole = (folder / "light" / "4.png").read_bytes()
    (folder / "light" / "gone.png").symlink_to("nowhere.png")
    (folder / "dark" / "0.png").write_bytes(whole[:50])
    found = read_styled_folder(folder)
    images, styles = shades(4)
    assert torch.equal(found.images, images[1:])
    assert torch.equal(found.styles, styles[1:])
    gone, cut = found.broken
    assert "gone.png' cannot be opened" in gone
    assert "0.png' cannot be read" in cut
    for path in folder.rglob("[1-9].png"):
        path.write_bytes(whole[:50])
    with pytest.raises(DataError, match=r"gone\.png' cannot be opened"):
        read_styled_folder(folder)


def test_a_folder_of_pictures_alone_has_no_styles(folder: Path) -> None:
    found = read_styled_folder(folder / "light")
    assert found.style_names == ()
    assert found.styles.tolist() == [-1] * 4


def test_refuses_other_sizes_and_pictures_without_a_style(folder: Path) -> None:
    save(folder, "light", "large.png", torch.zeros(3, 8, 16, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"large\.png' is 16x8 pixels and .* 8x8"):
        read_styled_folder(folder)
    (folder / "light" / "large.png").unlink()
    save(folder, "_unlabelled", "loose.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"loose\.png' is in no style folder"):
        read_styled_folder(folder)


def test_runs_snapshots_and_folders_are_told_apart(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    snapshot = run / "snapshots" / "generator.safetensors"
    snapshot.touch()
    assert [holds_pictures(path) for path in (folder, run, snapshot, tmp_path / "absent")] == [True] + [
        False
    ] * 3
    assert report_folder(folder) == tmp_path / "made-measure"
    assert report_folder(run) == report_folder(snapshot) == run / "measure"
    assert report_folder(Path("somebody/model")) == Path("model/measure")
