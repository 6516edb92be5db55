import errno
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from brushwork.data import parquet as parquet_module
from brushwork.data.curate import prepare as prepare_module
from brushwork.data.curate.duplicates import near_duplicates, near_pairs, print_of
from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.curate.report import balance_table
from brushwork.data.errors import DataError
from brushwork.data.images import png_bytes, read_image
from brushwork.data.loader import load_pictures
from brushwork.data.parquet import Row, ShardWriter, arrow_schema, shards
from brushwork.data.sources.toy import toy_image, toy_subject, write_toy
from brushwork.data.split import SPLITS, Split, split_of

CONFIG = PackConfig(resolution=16)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    write_toy(tmp_path / "toy", styles=3, subjects=16, size=32)
    return tmp_path / "toy"


def kinds(report: dict) -> set[tuple[str, str]]:
    return {(p["kind"], p["source"]) for p in report["problems"]}


def report_of(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def test_a_packed_folder_reads_back_row_by_row(toy: Path, tmp_path: Path) -> None:
    packed = pack(toy, tmp_path / "out", CONFIG)
    assert packed.report.packed == 48
    assert packed.report.problems == ()
    rows = []
    for split in SPLITS:
        table = pq.read_table(shards(tmp_path / "out", split)[0]).to_pylist()
        assert {split_of(row["subject"]) for row in table} == {split}
        rows += table
    row = next(row for row in rows if row["source"] == "01-outline/0003.png")
    assert (row["style"], row["subject"]) == (1, "0003")
    source = toy_image(toy_subject(3), 1, 32)
    means = source.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(read_image(row["image"]["bytes"]) - means).max() <= 0.5


def test_datasets_reads_images_and_class_names(toy: Path, tmp_path: Path) -> None:
    import datasets

    pack(toy, tmp_path / "out", CONFIG)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    train = loaded["train"]
    assert train.features["style"].names == ["00-filled", "01-outline", "02-gradient"]
    assert train[0]["image"].size == (16, 16)


def test_everything_wrong_is_reported_and_the_rest_is_packed(toy: Path, tmp_path: Path) -> None:
    style = toy / "00-filled"
    whole = (style / "0000.png").read_bytes()
    (style / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (style / "text.png").write_text("no picture")
    (style / "tiny.png").write_bytes(png_bytes(np.zeros((1, 1, 3), np.uint8)))
    Image.open(style / "0001.png").save(style / "z-copy.bmp")
    shutil.copy(style / "0002.png", toy / "01-outline" / "mislabelled.png")
    (toy / "notes.txt").touch()
    packed = pack(toy, tmp_path / "out", CONFIG)
    report = report_of(tmp_path / "out")
    assert {
        ("unreadable", "00-filled/cut.jpg"),
        ("unreadable", "00-filled/text.png"),
        ("too small", "00-filled/tiny.png"),
        ("duplicate", "00-filled/z-copy.bmp"),
        ("two labels", "01-outline/mislabelled.png"),
    } <= kinds(report)
    assert report["found"] == 53
    assert report["packed"] == 49
    assert report["ignored"] == [["notes.txt", "not a picture by its suffix"]]
    sources = {row["source"] for split in SPLITS for row in read_rows(tmp_path / "out", split)}
    assert "00-filled/0001.png" in sources
    assert "00-filled/z-copy.bmp" not in sources
    text = (tmp_path / "out" / "report.md").read_text()
    assert "cut.jpg" in text
    assert "notes.txt" in text
    assert "2 unreadable, 1 too small, 1 duplicate" in packed.report.summary()


def read_rows(out: Path, split: Split) -> list[dict]:
    return [row for shard in shards(out, split) for row in pq.read_table(shard).to_pylist()]


def test_what_is_changed_or_suspicious_is_counted(toy: Path, tmp_path: Path) -> None:
    style = toy / "00-filled"
    wide = np.concatenate([toy_image(toy_subject(n), 0, 32) for n in (50, 51)], axis=1)
    (style / "wide.png").write_bytes(png_bytes(wide))
    frames = [Image.fromarray(toy_image(toy_subject(n), 0, 32)) for n in (60, 61)]
    frames[0].save(style / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(toy_image(toy_subject(62), 0, 32)).save(style / "colours.png", icc_profile=b"junk")
    (style / "gone.png").symlink_to("nowhere.png")
    (toy / "01-outline" / "0003.png").rename(toy / "01-outline" / "cafe\u0301.png")
    (style / "0003.png").rename(style / "CAFÉ.png")
    packed = pack(toy, tmp_path / "out", CONFIG)
    assert {
        ("animated", "00-filled/moving.gif"),
        ("bad profile", "00-filled/colours.png"),
        ("inaccessible", "00-filled/gone.png"),
        ("case", "01-outline/cafe\u0301.png"),
    } == kinds(report_of(tmp_path / "out"))
    notes = " ".join(packed.report.notes)
    assert "a quarter of their area to the middle square: 1, most of all" in notes
    assert "'00-filled/wide.png' (50%). --fit pad" in notes
    assert "one spelling of their letters (Unicode NFC): 1." in notes
    said = packed.report.summary()
    assert "1 inaccessible, 1 animated, 1 bad profile, 1 case, 2 notes." in said
    assert said.count("\nNote: ") == 2
    subjects = {row["subject"] for split in SPLITS for row in read_rows(tmp_path / "out", split)}
    assert {"café", "CAFÉ"} <= subjects


def test_a_name_cannot_break_the_tables_of_the_report(toy: Path, tmp_path: Path) -> None:
    (toy / "00-filled" / "z1\nline|pipe.png").write_text("no picture")
    (toy / "00-filled" / "z2\n|`notes`.txt").touch()
    (toy / "02-gradient").rename(toy / "a|b")
    report = pack(toy, tmp_path / "out", CONFIG).report
    text = (tmp_path / "out" / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3, 4, 5}
    assert sum("z1" in line for line in text.splitlines()) == 1
    assert sum("z2" in line for line in text.splitlines()) == 1
    assert balance_table(report.balance).count("\n") == 5


@pytest.mark.parametrize("names", [("train",), ("train", "test"), ("Training", "validation", "noto")])
def test_splits_are_not_taken_for_styles(toy: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        shutil.copytree(toy, tmp_path / "splits" / name)
    with pytest.raises(DataError, match=r"are splits, not styles: put the folders of the styles"):
        pack(tmp_path / "splits", tmp_path / "out", CONFIG)


def test_folders_below_the_only_style_are_noted(toy: Path, tmp_path: Path) -> None:
    toy.rename(tmp_path / "images")
    (tmp_path / "root").mkdir()
    (tmp_path / "images").rename(tmp_path / "root" / "images")
    (note,) = pack(tmp_path / "root", tmp_path / "out", CONFIG).report.notes
    assert re.search(r"one style, 'images', in 3 folders: .*pack '.*root/images'", note)


def test_colours_are_converted_before_pixels_are_compared(toy: Path, tmp_path: Path) -> None:
    """The same numbers in two colour spaces are two pictures."""
    style = toy / "00-filled"
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = content.index(b"rXYZ") + 4, content.index(b"gXYZ") + 4
    content[red : red + 8], content[green : green + 8] = content[green : green + 8], content[red : red + 8]
    with Image.open(style / "0000.png") as image:
        image.save(style / "swapped.png", icc_profile=bytes(content))
    packed = pack(toy, tmp_path / "out", replace(CONFIG, near_bits=-1))
    assert packed.report.problems == ()
    (note,) = packed.report.notes
    assert note.startswith("Pictures that were converted to sRGB, by their colour profile: sRGB")


def test_large_pictures_are_prepared_one_at_a_time(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "LARGE", 16)
    monkeypatch.setattr(prepare_module.os, "cpu_count", lambda: 4)
    running, most, decode = [], [], prepare_module.decode

    def watched(*given: object, **options: object) -> object:
        running.append(1)
        most.append(len(running))
        time.sleep(0.002)
        found = decode(*given, **options)  # pyright: ignore[reportArgumentType]
        running.pop()
        return found

    monkeypatch.setattr(prepare_module, "decode", watched)
    pack(toy, tmp_path / "out", CONFIG)
    assert len(most) == 48
    assert set(most) == {1}


@pytest.mark.parametrize("damage", ["report.json", "dataset.json", "shard"])
def test_a_damaged_data_set_is_packed_again(toy: Path, tmp_path: Path, damage: str) -> None:
    first = pack(toy, tmp_path / "out", CONFIG)
    file = shards(tmp_path / "out", "train")[0] if damage == "shard" else tmp_path / "out" / damage
    file.write_text("[]")
    again = pack(toy, tmp_path / "out", CONFIG)
    assert again.fresh
    assert again.report == first.report
    assert load_pictures(tmp_path / "out", "all").fingerprint == first.fingerprint


def test_the_name_of_a_data_set_cannot_break_its_card(toy: Path, tmp_path: Path) -> None:
    import datasets

    pack(toy, tmp_path / 'a: "b" #c', CONFIG)
    loaded = datasets.load_dataset(str(tmp_path / 'a: "b" #c'), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}


def test_strict_fails_after_the_report_and_leaves_no_data_set(toy: Path, tmp_path: Path) -> None:
    (toy / "00-filled" / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"found 1: .*out\.report\.md"):
        pack(toy, tmp_path / "out", replace(CONFIG, strict=True))
    assert not (tmp_path / "out").exists()
    assert "text.png" in (tmp_path / "out.report.md").read_text()
    assert leftovers(tmp_path) == []


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_kept_duplicates_stay_and_leaks_between_the_splits_are_named(toy: Path, tmp_path: Path) -> None:
    names = [f"name {n}" for n in range(40)]
    train = next(name for name in names if split_of(name) == "train")
    test = next(name for name in names if split_of(name) == "test")
    for name in (train, test):
        shutil.copy(toy / "00-filled" / "0005.png", toy / "00-filled" / f"{name}.png")
    (toy / "00-filled" / "0005.png").unlink()
    pack(toy, tmp_path / "out", replace(CONFIG, duplicates="keep"))
    report = report_of(tmp_path / "out")
    assert report["packed"] == report["found"]
    assert ("leak", f"00-filled/{test}.png") in kinds(report)
    pack(toy, tmp_path / "out", CONFIG)
    assert "leak" not in {kind for kind, _ in kinds(report_of(tmp_path / "out"))}


def test_near_duplicates_count_within_a_style_only() -> None:
    picture = toy_image(toy_subject(0), 0, 64)
    touched = picture.copy()
    touched[:2, :2] = 250
    others = [toy_image(toy_subject(n), 0, 64) for n in range(1, 6)]
    prints = [
        print_of(array, source=str(i), style=style, split="train", sha256=str(i))
        for i, (array, style) in enumerate(
            [(picture, 0), (touched, 0), (touched, 1), *((other, 0) for other in others)]
        )
    ]
    assert [(p.source, p.other) for p in near_duplicates(prints)] == [("1", "0")]
    leaking = [replace(prints[0], split="test"), prints[1]]
    assert [(p.kind, p.source, p.other) for p in near_duplicates(leaking)][1] == ("leak", "0", "1")


def test_colours_must_agree_for_near_duplicates() -> None:
    red = np.full((64, 64, 3), 255, np.uint8)
    red[16:40, 20:50] = (200, 0, 0)
    blue = red.copy()
    blue[16:40, 20:50] = (0, 20, 210)
    prints = [
        print_of(a, source="", style=0, split="train", sha256=str(i)) for i, a in enumerate([red, blue])
    ]
    assert list(near_pairs(prints, bits=64)) == []
    assert near_duplicates(prints, bits=-1) == []


def test_blocks_find_the_pairs_that_counting_bits_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushwork.data.curate.duplicates.BLOCK", 7)
    rng = np.random.default_rng(0)
    base = print_of(np.zeros((8, 8, 3), np.uint8), source="", style=0, split="train", sha256="")
    hashes = [int(h) for h in rng.integers(0, 2**8, 40)]
    prints = [replace(base, hash64=h << 40) for h in hashes]
    expected = {
        (i, j, (hashes[i] ^ hashes[j]).bit_count())
        for j in range(40)
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= 2
    }
    assert set(near_pairs(prints, bits=2)) == expected


def test_an_identical_call_does_nothing_and_any_change_packs_again(toy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = pack(toy, out, CONFIG)
    again = pack(toy, out, CONFIG)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.report == first.report
    assert again.fingerprint == first.fingerprint
    elsewhere = pack(toy, tmp_path / "elsewhere", CONFIG)
    assert elsewhere.fingerprint == first.fingerprint, "the fingerprint is of the content, not of the place"
    (toy / "00-filled" / "0004.png").unlink()
    changed = pack(toy, out, CONFIG)
    assert changed.fresh
    assert changed.fingerprint != first.fingerprint
    assert changed.report.packed == 47
    (toy / "00-filled" / "0005.png").rename(toy / "00-filled" / "five.png")
    assert pack(toy, out, CONFIG).fresh, "a subject was renamed"
    (toy / "00-filled" / "0006.png").write_bytes((toy / "01-outline" / "0006.png").read_bytes())
    assert ("two labels", "01-outline/0006.png") in kinds(pack(toy, out, CONFIG).report.as_dict())
    assert pack(toy, out, PackConfig(resolution=32)).fresh
    assert leftovers(tmp_path) == []


def test_a_full_disk_loses_nothing(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    before = pack(toy, out, CONFIG).fingerprint

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parquet_module.pq.ParquetWriter, "write_table", full)
    for place in (out, tmp_path / "new"):
        with pytest.raises(DataError, match="No space left on device"):
            pack(toy, place, PackConfig(resolution=8))
    assert load_pictures(out, "all").fingerprint == before
    assert not (tmp_path / "new").exists()
    assert leftovers(tmp_path) == []


def test_other_peoples_folders_are_not_overwritten(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(DataError, match="is no packed data set"):
        pack(toy, tmp_path / "mine", CONFIG)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_a_style_without_one_usable_picture_is_an_error(toy: Path, tmp_path: Path) -> None:
    (toy / "zz").mkdir()
    (toy / "zz" / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"'zz'.*zz/text.png"):
        pack(toy, tmp_path / "out", CONFIG)


def test_unlabelled_pictures_carry_minus_one(toy: Path, tmp_path: Path) -> None:
    (toy / "02-gradient").rename(toy / "_unlabelled")
    pack(toy, tmp_path / "out", CONFIG)
    pictures = load_pictures(tmp_path / "out", "all")
    assert pictures.style_names == ("00-filled", "01-outline")
    assert (pictures.styles == -1).sum() == 16
    flat = pack(toy / "00-filled", tmp_path / "flat", CONFIG)
    assert list(flat.report.balance) == ["(no label)"]
    assert (load_pictures(tmp_path / "flat", "all").styles == -1).all()


def test_the_attribution_travels_along(toy: Path, tmp_path: Path) -> None:
    (toy / "ATTRIBUTION.md").write_text("drawn by")
    pack(toy, tmp_path / "out", CONFIG)
    assert (tmp_path / "out" / "ATTRIBUTION.md").read_text() == "drawn by"


def test_skewed_styles_and_empty_splits_are_noted(toy: Path, tmp_path: Path) -> None:
    for path in sorted((toy / "01-outline").iterdir())[2:]:
        path.unlink()
    notes = " ".join(pack(toy, tmp_path / "out", CONFIG).report.notes)
    assert "'01-outline' only 2" in notes


def test_large_sets_are_cut_into_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "SHARD_BYTES", 100)
    (tmp_path / "data").mkdir()
    with ShardWriter(directory=tmp_path / "data", split="train", schema=arrow_schema(["a"])) as writer:
        for n in range(10):
            writer.add(Row(png=bytes(40), style=0, subject=str(n), source="", sha256=""))
    assert [shard.name for shard in shards(tmp_path, "train")] == [
        f"train-{i:05}-of-00004.parquet" for i in range(4)
    ]
    assert [row["subject"] for row in read_rows(tmp_path, "train")] == [str(n) for n in range(10)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"resolution": 48}, "48 is no power of two.*try 64"),
        ({"resolution": 4}, "4 is no power of two"),
        ({"background": (0, 0, 300)}, "300"),
        ({"test_fraction": 1.5}, "1.5"),
        ({"min_size": 0}, "min_size 0"),
        ({"near_bits": 99}, "near_bits 99"),
    ],
)
def test_impossible_settings_name_the_value(change: dict, why: str) -> None:
    with pytest.raises(DataError, match=why):
        replace(CONFIG, **change)
