import os
import sys
import unicodedata
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.folder import list_images, scan_folder
from brushwork.data.names import visible


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_styles_subjects_and_sources(tmp_path: Path) -> None:
    touch(tmp_path, "b/cat.png", "a/cat.JPG", "a/deep/dog.webp", "_unlabelled/x.tiff", ".cache/no.png")
    touch(tmp_path, "a/no.1.png", "a/notes.txt", "a/.hidden.png", "beside.png", "ATTRIBUTION.md")
    touch(tmp_path, unicodedata.normalize("NFD", "é/ü.png"))
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    scan = scan_folder(tmp_path)
    assert scan.style_names == ("a", "b", "é")
    assert [(f.source, f.style, f.subject) for f in scan.files] == [
        ("a/cat.JPG", 0, "cat"), ("a/no.1.png", 0, "no.1"), ("a/deep/dog.webp", 0, "deep/dog"),
        ("b/cat.png", 1, "cat"), (unicodedata.normalize("NFD", "é/ü.png"), 2, "ü"),
        ("_unlabelled/x.tiff", -1, "x"),
    ]  # fmt: skip
    assert {name for name, _ in scan.ignored} == {"a/notes.txt", "beside.png", "ATTRIBUTION.md"}
    assert scan.faults == ()


def test_films_and_postscript_are_no_pictures(tmp_path: Path) -> None:
    images = {f"a/x.{suffix}" for suffix in ("jfif", "JPE", "tga", "ppm", "jp2", "ico")}
    touch(tmp_path, *images, "a/x.pdf", "a/x.eps", "a/x.mpg", "a/x.h5", "a/x.svg")
    assert {file.source for file in scan_folder(tmp_path).files} == images


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_faults_are_listed_and_the_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/x.png", "a/secret/y.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "a" / "itself.png").symlink_to("itself.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "pipe.png")
    if sys.platform == "linux":
        (tmp_path / "a" / os.fsdecode(b"caf\xe9.png")).touch()
    listdir = os.listdir

    def guarded(path: Path) -> list[str]:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", guarded)
    scan = scan_folder(tmp_path)
    assert [file.source for file in scan.files] == ["a/x.png"]
    faults = dict(scan.faults)
    assert faults["a/gone.png"] == "a link to nothing"
    assert faults["a/secret"] == "Permission denied"
    assert "symbolic links" in faults["a/itself.png"]
    assert faults["a/pipe.png"] == faults["pipe.png"] == "no file, but a pipe, a socket or a device"
    if sys.platform == "linux":
        assert faults["a/caf\\udce9.png"] == "its name is not UTF-8"
    found = {visible(path.relative_to(tmp_path).as_posix()) for path in list_images(tmp_path)}
    assert found == {"a/x.png", *faults}
    with pytest.raises(DataError, match=r"secret' cannot be opened \(Permission denied\)"):
        list_images(tmp_path / "a" / "secret")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["_Unlabelled/x.png", "a/x.png"], "_Unlabelled' is taken for a style: rename it to _unlabelled"),
        (["_unlabeled/x.png", "a/x.png"], "rename it to _unlabelled"),
        (["a/x.png", "b/readme.txt"], "b' holds no image that can be opened"),
        (["Monet/x.png", "monet/y.png"], "'Monet' and 'monet'.*only by case"),
        (["readme.txt"], "holds no image"),
        ([], "There is no folder"),
        *(([f"{name}/x.png", "oil/x.png"], "^[^\\n]*rename its folder") for name in ("all", " ink", "in\nk")),
    ],
)
def test_unusable_folders(tmp_path: Path, names: list[str], why: str) -> None:
    touch(tmp_path / "root", *names)
    with pytest.raises(DataError, match=why):
        scan_folder(tmp_path / "root")
