import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.errors import DataError
from brushwork.data.files import write_file
from brushwork.data.images import png_bytes, read_image
from brushwork.data.loader import Loader, load_dataset
from brushwork.data.split import SPLITS, split_of
from brushwork.scripts.bench.toy import toy_image, toy_subject, write_toy

CONFIG = PackConfig(resolution=16)
STYLES = ("00-filled", "01-outline", "02-gradient")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    write_toy(tmp_path / "toy", styles=3, subjects=16, size=32)
    return tmp_path / "toy"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_datasets_reads_the_rows_of_a_packed_folder_whatever_its_name(toy: Path, tmp_path: Path) -> None:
    import datasets

    (toy / "ATTRIBUTION.md").write_text("drawn by")
    out = tmp_path / 'a: "b" #c'
    report = pack(toy, out, CONFIG).report
    assert (report.packed, report.problems) == (48, ())
    assert (out / "ATTRIBUTION.md").read_text() == "drawn by"
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == set(SPLITS)
    packed = {}
    for split, part in loaded.items():
        assert part.features["style"].names == list(STYLES)
        assert {split_of(subject) for subject in part["subject"]} == {split}
        packed |= dict(zip(part["source"], part, strict=True))
    row = packed["01-outline/0003.png"]
    assert (row["style"], row["subject"]) == (1, "0003")
    means = toy_image(toy_subject(3), 1, 32).reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(row["image"]) - means).max() <= 0.5


def test_the_contact_sheet_shows_subjects_side_by_side(toy: Path, out: Path) -> None:
    (toy / "01-outline" / "0000.png").unlink()
    for path in (toy / "02-gradient").iterdir():
        path.rename(path.with_name(f"1{path.name[1:]}"))  # shares no subject, and shows its own
    pack(toy, out, CONFIG)
    sheet, packed = read_image(out / "contact_sheet.png"), load_dataset(out, "all")
    for image, style, subject in zip(packed.images, packed.styles.tolist(), packed.subjects, strict=True):
        column = int(subject) - (1 if style < 2 else 1000)
        if 0 <= column < 12:  # the first twelve of the fifteen shared subjects
            pixels = image.permute(1, 2, 0).numpy().repeat(4, 0).repeat(4, 1)
            top, left = sheet.shape[0] - (3 - style) * 66, sheet.shape[1] - (12 - column) * 66
            np.testing.assert_array_equal(sheet[top : top + 64, left : left + 64], pixels)


def test_unlabelled_pictures_have_style_minus_one(toy: Path, out: Path, tmp_path: Path) -> None:
    (toy / "02-gradient").rename(toy / "_unlabelled")
    pack(toy, out, CONFIG)
    pictures = load_dataset(out, "all")
    assert pictures.style_names == STYLES[:2]
    assert (pictures.styles == -1).sum() == 16
    report = pack(toy / "00-filled", tmp_path / "flat", CONFIG).report
    assert list(report.balance) == ["(no label)"]
    flat = load_dataset(tmp_path / "flat", "all")
    assert (flat.styles == -1).all()
    assert set(flat.subjects) == set(pictures.subjects)


def test_problems_are_reported_and_the_rest_is_packed(toy: Path, out: Path) -> None:
    style = toy / "00-filled"
    whole = (style / "0000.png").read_bytes()
    (style / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (style / "text.png").write_text("no image")
    first, second = (Image.fromarray(toy_image(toy_subject(n), 0, 32)) for n in (60, 61))
    first.save(style / "moving.gif", save_all=True, append_images=[second])
    (style / "gone.png").symlink_to("nowhere.png")
    (style / "tiny.png").write_bytes(png_bytes(np.zeros((3, 9, 3), np.uint8)))
    Image.open(style / "0001.png").save(style / "z-copy.bmp")
    shutil.copy(style / "0002.png", toy / "01-outline" / "mislabelled.png")
    (toy / "notes.txt").touch()
    report = pack(toy, out, CONFIG).report
    problems = json.loads((out / "report.json").read_text())["problems"]
    assert {(problem["kind"], problem["source"]) for problem in problems} >= {
        *(("unreadable", f"00-filled/{name}") for name in ("cut.jpg", "text.png")),
        ("animated", "00-filled/moving.gif"),
        ("inaccessible", "00-filled/gone.png"),
        ("too small", "00-filled/tiny.png"),
        ("duplicate", "00-filled/z-copy.bmp"),
        ("two labels", "01-outline/mislabelled.png"),
    }
    assert (report.found, report.packed) == (54, 50)
    assert report.ignored == (("notes.txt", "not an image by its suffix"),)
    text = (out / "report.md").read_text()
    assert all(name in text for name in ("cut.jpg", "notes.txt"))
    assert "1 inaccessible, 2 unreadable, 1 too small, 1 animated, 1 duplicate" in report.summary()


def test_names_cannot_break_the_tables_of_the_report(toy: Path, out: Path) -> None:
    (toy / "00-filled" / "z1\nline|pipe.png").write_text("no image")
    (toy / "00-filled" / "z2\n|`notes`.txt").touch()
    (toy / "02-gradient").rename(toy / "a|b")
    pack(toy, out, CONFIG)
    text = (out / "report.md").read_text().splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text if line.startswith("|")} == {4, 5}
    assert [sum(name in line for line in text) for name in ("z1", "z2")] == [1, 1]


def test_notes_on_the_collection(toy: Path, out: Path, tmp_path: Path) -> None:
    for path in sorted((toy / "01-outline").iterdir())[2:]:
        path.unlink()
    assert "'01-outline' only 2" in " ".join(pack(toy, out, CONFIG).report.notes)
    (tmp_path / "root").mkdir()
    toy.rename(tmp_path / "root" / "images")
    (note,) = pack(tmp_path / "root", tmp_path / "one", CONFIG).report.notes
    assert re.search(r"one style, 'images', in 3 folders: .*pack '.*root/images'", note)


def test_the_same_picture_in_both_splits_is_a_leak(toy: Path, out: Path) -> None:
    names = [f"name {n}" for n in range(40)]
    train, test = (next(name for name in names if split_of(name) == split) for split in SPLITS)
    for style, name in (("00-filled", test), ("01-outline", train)):
        shutil.copy(toy / "00-filled" / "0005.png", toy / style / f"{name}.png")
    (toy / "00-filled" / "0005.png").unlink()
    assert [(p.kind, p.source, p.other) for p in pack(toy, out, CONFIG).report.problems] == [
        ("two labels", f"01-outline/{train}.png", f"00-filled/{test}.png"),
        ("leak", f"00-filled/{test}.png", f"01-outline/{train}.png"),
    ]


def test_the_fingerprint_is_that_of_the_content(toy: Path, out: Path, tmp_path: Path) -> None:
    first = pack(toy, out, CONFIG)
    for file in ("dataset.json", "report.json", next((out / "data").iterdir()).relative_to(out)):
        (out / file).write_text("[]")
        assert pack(toy, out, CONFIG) == first, "a damaged data set is replaced by an equal one"
    assert load_dataset(out, "all").fingerprint == first.fingerprint
    assert pack(toy, tmp_path / "elsewhere", CONFIG).fingerprint == first.fingerprint
    (toy / "00-filled" / "0004.png").rename(toy / "00-filled" / "four.png")
    renamed = pack(toy, out, CONFIG).fingerprint
    shutil.copy(toy / "01-outline" / "0006.png", toy / "00-filled" / "0006.png")
    other = [pack(toy, out, config).fingerprint for config in (CONFIG, replace(CONFIG, test_fraction=0.5))]
    (toy / "02-gradient").rename(toy / "02-shaded")
    assert len({first.fingerprint, renamed, *other, pack(toy, out, CONFIG).fingerprint}) == 5


@pytest.mark.parametrize("entry", [".notes", "run/config.json", "data/a.parquet"])
def test_a_folder_with_other_content_is_not_replaced(toy: Path, out: Path, entry: str) -> None:
    mine = out / entry
    mine.parent.mkdir(parents=True)
    mine.touch()
    with pytest.raises(DataError, match="exists and is no packed data set"):
        pack(toy, out, CONFIG)
    shutil.rmtree(out)
    pack(toy, out, CONFIG)
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.touch()
    foreign = re.escape(entry if entry.startswith("data") else entry.split("/")[0])
    with pytest.raises(DataError, match=f"holds '{foreign}', which is no part of a packed data set"):
        pack(toy, out, PackConfig(resolution=8))
    assert mine.exists()
    assert load_dataset(out, "all").resolution == 16


def test_a_full_disk_loses_nothing(
    toy: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pack(toy, out, CONFIG).fingerprint

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    for place in (out, tmp_path / "new"):
        with pytest.raises(DataError, match="No space left on device"):
            pack(toy, place, PackConfig(resolution=8))
    assert load_dataset(out, "all").fingerprint == before
    assert {path.name for path in tmp_path.iterdir()} == {"toy", "out"}


def test_the_data_set_must_lie_outside_its_source(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(toy)
    for out in (toy, toy / "sub" / "out", tmp_path / "link" / "out"):
        with pytest.raises(DataError, match=r"would lie inside '.*toy', its source"):
            pack(toy, out, CONFIG)
    assert not (toy / "sub").exists()


@pytest.mark.parametrize("names", [("train",), ("train", "test"), ("Training", "validation", "noto")])
def test_splits_are_not_taken_for_styles(toy: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        shutil.copytree(toy, tmp_path / "splits" / name)
    with pytest.raises(DataError, match=r"are splits, not styles: put the folders of the styles"):
        pack(tmp_path / "splits", tmp_path / "out", CONFIG)


def test_the_first_unusable_file_of_a_style_is_named(toy: Path, out: Path) -> None:
    (toy / "zz").mkdir()
    for name in ("0003.png", "text.png"):
        (toy / "zz" / name).write_text("no image")
    (toy / "zz" / "A.png").symlink_to("nowhere.png")
    (toy / "00-filled" / "TEXT.png").write_text("no image")
    with pytest.raises(DataError, match=r"No image of 'zz' can be used, as 'zz/0003.png' \(its content"):
        pack(toy, out, CONFIG)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"resolution": 48}, "48 is no power of two.*try 64"), ({"resolution": 4}, "try 8"),
        ({"background": (0, 0, 300)}, "300"), ({"test_fraction": 1.5}, "1.5"), ({"min_size": 0}, "size 0"),
    ],
)  # fmt: skip
def test_impossible_settings_name_the_value(change: dict, why: str) -> None:
    with pytest.raises(DataError, match=why):
        replace(CONFIG, **change)


def save_cutouts(folder: Path, sizes: Sequence[tuple[int, int]], *, transparent: bool = True) -> None:
    """RGBA images of width and height, whose right half is transparent."""
    for number, (width, height) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 4), dtype=np.uint8)
        pixels[..., 3] = 255
        pixels[:, width // 2 :, 3] = 0 if transparent else 255
        write_file(folder / f"{number}.png", png_bytes(pixels))


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [("3:2", (16, 24)), ("2:3", (24, 16)), ("4:3", (16, 20)), ("auto", (16, 28)), ("4:1", (16, 64))],
)
def test_images_of_an_aspect(tmp_path: Path, out: Path, aspect: str, shape: tuple[int, int]) -> None:
    """The nearest quarter of the resolution; auto takes the median of images, turned upright."""
    save_cutouts(tmp_path / "in" / "ink", [(30, 40), (70, 40), (72, 40), (80, 20)])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.zeros((71, 40, 3), np.uint8)).save(tmp_path / "in" / "ink" / "turned.jpg", exif=exif)
    config = PackConfig(resolution=16, aspect=aspect, test_fraction=0.0)
    assert pack(tmp_path / "in", out, config).size == shape
    dataset = load_dataset(out)
    assert dataset.shape == (3, *shape)
    assert (dataset.resolution, len(dataset)) == (16, 5)


@pytest.mark.parametrize(
    ("sizes", "changes", "words"),
    [
        (
            [(48, 32)] * 7 + [(32, 48)] * 5,
            {"aspect": "auto"},
            "5 of 12 .* 24 x 16 px: pack tall and wide ones",
        ),
        (
            [(160, 16)] * 3,
            {"aspect": "auto"},
            "3 of 3 .* 64 x 16 px: cut longer ones into parts, or add --fit",
        ),
        ([(16, 32)] * 3, {}, "3 of 3 images lose more than a third .* 16 x 16 px: try --aspect auto"),
        ([(16, 32)] * 3, {"fit": "pad"}, ""),
        ([(48, 32)] * 3, {}, ""),
        ([(32, 32)] * 9 + [(16, 32)], {}, ""),
    ],
)
def test_a_crop_that_cuts_much_off_many_images_is_noted(
    tmp_path: Path, out: Path, sizes: list[tuple[int, int]], changes: dict, words: str
) -> None:
    save_cutouts(tmp_path / "in", sizes)
    noted = " ".join(pack(tmp_path / "in", out, replace(CONFIG, **changes)).report.notes)
    assert re.search(words, noted) if words else not noted


def test_kept_transparency(tmp_path: Path, out: Path) -> None:
    save_cutouts(tmp_path / "in" / "ink", [(16, 16)] * 3)
    save_cutouts(tmp_path / "in" / "oil", [(16, 16)] * 3, transparent=False)
    keep = PackConfig(resolution=16, alpha="keep", test_fraction=0.0)
    (note,) = pack(tmp_path / "in", out, keep).report.notes
    assert "No image of oil is transparent" in note
    dataset = load_dataset(out)
    assert dataset.shape == (4, 16, 16)
    assert dataset.images[:3, 3, :, 8:].max() == 0
    batch = Loader(dataset, seed=0).batch_at(0, 6)
    seen = batch.images[:, 3:] == -1
    assert seen.any()
    assert (batch.images[:, :3][seen.expand(-1, 3, -1, -1)] == -1).all(), "one colour where nothing is seen"
    opaque = batch.images[~seen.any(dim=-1).any(dim=-1).squeeze(1)]
    assert opaque.isclose(opaque.clamp(-1, 1)).all()
    (note,) = pack(tmp_path / "in" / "oil", tmp_path / "flat", keep).report.notes
    assert "No image is transparent" in note


@pytest.mark.parametrize(
    ("aspect", "words"),
    [("100:1", "100:1 is beyond 4:1"), ("wide", "'wide' is no ratio"), ("0:3", "'0:3' is no ratio")],
)
def test_impossible_aspects_are_named(aspect: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        PackConfig(resolution=16, aspect=aspect)
