import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.contents import Cutout, list_originals, read_cutout
from brushwork.data.dataset import load_dataset
from brushwork.data.errors import DataError


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (1, 2, 3)).save(path)
    return path


def test_files_and_folders_are_listed_in_their_order(tmp_path: Path) -> None:
    single = write_picture(tmp_path / "z.png")
    for name in ("b/two.jpg", "a/one.png", "a/deep/er.png", ".hidden/no.png", "a/.no.png"):
        write_picture(tmp_path / "tree" / name)
    (tmp_path / "tree" / "notes.txt").touch()
    found = list_originals([single, tmp_path / "tree"])
    assert [one.name for one in found] == ["z", "a/deep/er", "a/one", "b/two"]
    assert [one.subject for one in found] == ["z", "er", "one", "two"]
    assert found[0].read().pixels.shape == (4, 6, 3)


def test_names_are_unique(tmp_path: Path) -> None:
    files = ("a/cat.png", "b/cat.png", "b/cat.jpg", "b/CAT-2.png")
    sources = [write_picture(tmp_path / name) for name in files]
    names = [one.name for one in list_originals([*sources, tmp_path / "a"])]
    assert names == ["cat", "cat-2", "cat-3", "CAT-2-2", "cat-4"]


def test_a_packed_data_set_is_named_by_style_and_subject(packed: Path) -> None:
    pictures, found = load_dataset(packed, "test"), list_originals([packed])
    assert [one.subject for one in found] == list(pictures.subjects)
    assert [one.style for one in found] == [pictures.style_names[i] for i in pictures.styles.tolist()]
    assert found[3].name == f"{found[3].style}/{found[3].subject}"
    np.testing.assert_array_equal(found[3].read().pixels, pictures.images[3].permute(1, 2, 0).numpy())
    assert len(list_originals([packed], "all")) == 120


def test_unusable_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image, folder or data set"):
        list_originals([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="holds no image"):
        list_originals([tmp_path])
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (gone,) = list_originals([tmp_path])
    with pytest.raises(DataError, match=r"gone\.png' cannot be read as an image \(there is no such file\)"):
        gone.read()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8_are_listed_and_not_read(tmp_path: Path) -> None:
    """In a folder and by itself, and below a folder of such a name."""
    path = write_picture(tmp_path / os.fsdecode(b"fr\xe9re") / os.fsdecode(b"caf\xe9.png"))
    inside = write_picture(path.with_name("plain.png"))
    for found in (list_originals([path.parent]), list_originals([path, inside])):
        assert len(found) == 2
        for original in found:
            with pytest.raises(DataError, match=r"\(its name is not UTF-8\): replace or remove it"):
                original.read()


def test_opacity_turns_with_the_picture(tmp_path: Path) -> None:
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.dstack([np.zeros((4, 6, 3), np.uint8), alpha])).save(tmp_path / "a.png", exif=exif)
    cutout = read_cutout(tmp_path / "a.png")
    assert cutout.alpha is not None
    np.testing.assert_array_equal(cutout.alpha, np.rot90(alpha, -1))
    assert cutout.pixels.shape[:2] == cutout.alpha.shape


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "I;16", "1", "RGBA"])
def test_opaque_pictures_have_no_alpha(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (6, 4), (9, 9, 9, 255) if mode == "RGBA" else 0).save(tmp_path / "a.png")
    cutout = read_cutout(tmp_path / "a.png")
    assert cutout.alpha is None
    assert cutout.recoloured(cutout.pixels).mode == "RGB"


def test_new_colours_show_on_their_background_and_leave_no_rim_on_another() -> None:
    """A black disc with a soft edge, painted on white, composited on white again and on black."""
    distance = np.hypot(*np.mgrid[-15.5:16, -15.5:16])
    alpha = np.clip(np.rint((14 - distance) * 40), 0, 255).astype(np.uint8)
    share = alpha[..., None] / 255
    on_white = np.rint(255 * (1 - share)).astype(np.uint8).repeat(3, axis=2)
    painted = Cutout(pixels=on_white, alpha=alpha).recoloured(on_white)
    for ground, expected in (("white", on_white), ("black", 0)):
        shown = Image.alpha_composite(Image.new("RGBA", painted.size, ground), painted).convert("RGB")
        assert np.abs(np.asarray(shown).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("opacity", "level", "shown"), [(10, 0, 0), (0, 7, 7), (128, 255, 255), (255, 9, 9)])
def test_colours_of_one_opacity(opacity: int, level: int, shown: int) -> None:
    """Colours out of reach of a low opacity are clipped; where nothing is opaque they stay."""
    pixels = np.full((1, 1, 3), level, np.uint8)
    cutout = Cutout(pixels=pixels, alpha=np.full((1, 1), opacity, np.uint8))
    assert cutout.recoloured(pixels).getpixel((0, 0)) == (shown, shown, shown, opacity)
