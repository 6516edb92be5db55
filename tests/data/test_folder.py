from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_styles_subjects_and_sources(tmp_path: Path) -> None:
    touch(tmp_path, "b/cat.png", "a/cat.JPG", "a/deep/dog.webp", "_unlabelled/x.tiff", ".cache/no.png")
    scan = scan_folder(tmp_path)
    assert scan.style_names == ("a", "b")
    assert [(f.source, f.style, f.subject) for f in scan.found] == [
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
    assert [(f.subject, f.style) for f in scan.found] == [("a", -1), ("b", -1)]
    assert [name for name, _ in scan.ignored] == ["notes.txt"]


def test_files_beside_and_among_the_styles_are_named_as_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "a/notes.txt", "contact_sheet.png", "ATTRIBUTION.md", "a/.hidden.png")
    scan = scan_folder(tmp_path)
    assert [f.source for f in scan.found] == ["a/x.png"]
    assert {name for name, _ in scan.ignored} == {"a/notes.txt", "contact_sheet.png", "ATTRIBUTION.md"}


def test_dots_in_a_stem_belong_to_the_subject(tmp_path: Path) -> None:
    touch(tmp_path, "a/no.1.png", "a/no.2.png")
    assert [f.subject for f in scan_folder(tmp_path).found] == ["no.1", "no.2"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    assert [f.source for f in scan_folder(tmp_path).found] == ["a/x.png"]


@pytest.mark.parametrize(
    ("names", "folders", "why"),
    [
        (["a/x.png"], ["empty"], "empty' holds no picture"),
        (["a/x.png", "b/readme.txt"], [], "b' holds no picture"),
        (["Monet/x.png", "monet/y.png"], [], "'Monet' and 'monet'.*only by case"),
        (["readme.txt"], [], "holds no picture"),
        ([], [], "holds no picture"),
    ],
)
def test_unusable_folders(tmp_path: Path, names: list[str], folders: list[str], why: str) -> None:
    touch(tmp_path, *names)
    for folder in folders:
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match=why):
        scan_folder(tmp_path)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere' does not exist"):
        scan_folder(tmp_path / "nowhere")
