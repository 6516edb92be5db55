import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.folder import list_pictures, scan_folder, walk
from brushwork.data.names import visible


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_styles_subjects_and_sources(tmp_path: Path) -> None:
    touch(tmp_path, "b/cat.png", "a/cat.JPG", "a/deep/dog.webp", "_unlabelled/x.tiff", ".cache/no.png")
    scan = scan_folder(tmp_path)
    assert scan.style_names == ("a", "b")
    assert [(f.source, f.style, f.subject) for f in scan.files] == [
        ("a/cat.JPG", 0, "cat"),
        ("a/deep/dog.webp", 0, "deep/dog"),
        ("b/cat.png", 1, "cat"),
        ("_unlabelled/x.tiff", -1, "x"),
    ]
    assert scan.ignored == ()


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.gif", "notes.txt")
    scan = scan_folder(tmp_path)
    assert scan.style_names == ()
    assert [(f.subject, f.style) for f in scan.files] == [("a", -1), ("b", -1)]
    assert [name for name, _ in scan.ignored] == ["notes.txt"]


def test_files_beside_and_among_the_styles_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/no.1.png", "a/notes.txt", "contact_sheet.png", "ATTRIBUTION.md", "a/.hidden.png")
    scan = scan_folder(tmp_path)
    assert [(f.source, f.subject) for f in scan.files] == [("a/no.1.png", "no.1")]
    assert {name for name, _ in scan.ignored} == {"a/notes.txt", "contact_sheet.png", "ATTRIBUTION.md"}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    assert [f.source for f in scan_folder(tmp_path).files] == ["a/x.png"]
    assert scan_folder(tmp_path).faults == (("a/again", "a link to a folder that was read already"),)


def test_films_and_postscript_are_no_pictures(tmp_path: Path) -> None:
    pictures = {f"a/x.{suffix}" for suffix in ("jfif", "JPE", "tga", "ppm", "jp2", "ico")}
    touch(tmp_path, *pictures, "a/x.pdf", "a/x.eps", "a/x.mpg", "a/x.h5", "a/x.svg")
    assert {file.source for file in scan_folder(tmp_path).files} == pictures


# Names


def test_two_spellings_of_a_name_are_one_style_and_one_subject(tmp_path: Path) -> None:
    touch(tmp_path, unicodedata.normalize("NFD", "Café/é.png"), "Café/ü.png", "ink/é.png")
    scan = scan_folder(tmp_path)
    assert scan.style_names == ("Café", "ink")
    assert sorted((f.style, f.subject) for f in scan.files) == [(0, "é"), (0, "ü"), (1, "é")]
    assert all(file.path.exists() for file in scan.files)


# Faults


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with one picture, and one entry of each kind that cannot be opened."""
    touch(tmp_path, "a/x.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "a" / "itself.png").symlink_to("itself.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "pipe.png")
    if sys.platform == "linux":
        (tmp_path / "a" / os.fsdecode(b"caf\xe9.png")).touch()
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_faults_are_listed_and_the_rest_is_found(odd: Path) -> None:
    scan = scan_folder(odd)
    assert [file.source for file in scan.files] == ["a/x.png"]
    faults = dict(scan.faults)
    assert faults["a/gone.png"] == "a link to nothing"
    assert "symbolic links" in faults["a/itself.png"]
    assert faults["a/pipe.png"] == faults["pipe.png"] == "no file, but a pipe, a socket or a device"
    if sys.platform == "linux":
        assert faults["a/caf\\udce9.png"] == "its name is not UTF-8"
    listed = {visible(entry.path.relative_to(odd).as_posix()): entry.fault for entry in list_pictures(odd)}
    assert listed == {"a/x.png": "", **faults}


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/x.png", "a/secret/y.png", "b/x.png")
    listdir = os.listdir

    def guarded(path: Path) -> list[str]:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", guarded)
    closed = ["secret"]
    assert scan_folder(tmp_path).faults == (("a/secret", "Permission denied"),)
    closed = ["b"]
    with pytest.raises(DataError, match=r"b' holds no picture that can be opened \(Permission denied\)"):
        scan_folder(tmp_path)


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """1,500 folders in each other, which Python's own recursive functions cannot remove."""
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    Path("x.png").touch()
    yield tmp_path
    Path("x.png").unlink()
    for _ in range(1500):
        os.chdir("..")
        os.rmdir("d")


def test_a_tree_of_any_depth_is_walked(deep: Path) -> None:
    entries = list(walk(deep))
    assert len(entries) == 1, "the picture, or the folder whose path is too long for the system"
    assert entries[0].path.name in ("x.png", "d")


@pytest.mark.parametrize(
    ("names", "folders", "why"),
    [
        (["_Unlabelled/x.png", "a/x.png"], [], "_Unlabelled' is taken for a style: rename it to _unlabelled"),
        (["_unlabeled/x.png", "a/x.png"], [], "rename it to _unlabelled"),
        (["a/x.png"], ["empty"], "empty' holds no picture"),
        (["a/x.png", "b/readme.txt"], [], "b' holds no picture"),
        (["Monet/x.png", "monet/y.png"], [], "'Monet' and 'monet'.*only by case"),
        (["readme.txt"], [], "holds no picture"),
        ([], [], "holds no picture"),
        *(
            ([f"{name}/x.png", "oil/x.png"], [], "^[^\\n]*rename its folder")
            for name in ("all", " ink", "in\nk")
        ),
    ],
)
def test_unusable_folders(tmp_path: Path, names: list[str], folders: list[str], why: str) -> None:
    touch(tmp_path, *names)
    for folder in folders:
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match=why):
        scan_folder(tmp_path)


def test_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "x.png")
    for name, why in (("nowhere", "The folder '.*nowhere' does not"), ("x.png", "'.*x.png' is a file, not")):
        with pytest.raises(DataError, match=f"^{why}"):
            scan_folder(tmp_path / name)
