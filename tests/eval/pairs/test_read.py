"""A manifest lists pairs, and every mistake in it is one sentence."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from brushwork.eval.errors import EvalError
from brushwork.eval.pairs.read import read_pairs


def save(path: Path, level: int, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)


def levels(images: torch.Tensor | None) -> list[int]:
    assert images is not None
    assert images.shape[1:] == (3, 4, 4)
    return images[:, 0, 0, 0].tolist()


def refused(sentence: str, manifest: Path) -> None:
    with pytest.raises(EvalError, match=sentence) as error:
        read_pairs(manifest)
    assert "\n" not in str(error.value)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Outputs whose alphabetical order is not that of their contents."""
    for name, level in {"made/z": 10, "made/y": 20, "raw/cat": 11, "raw/dog": 21, "real/cat": 12}.items():
        save(tmp_path / f"{name}.png", level)
    path = tmp_path / "pairs.csv"
    path.write_text("output,content,style\nmade/z.png,raw/cat.png,ink\nmade/y.png,raw/dog.png,oil\n")
    return path


def test_a_manifest_of_a_spreadsheet_with_all_columns(manifest: Path) -> None:
    text = (
        "style, subject ,output,content,reference,note\r\n"
        'ink,"a, cat",made/z.png, raw/cat.png ,real/cat.png,good\r\n'
        f"oil,,made/y.png,{manifest.parent / 'raw' / 'dog.png'},real/cat.png,\r\n"
    )
    manifest.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pairs = read_pairs(manifest)
    assert (pairs.styles, pairs.subjects) == (("ink", "oil"), ("a, cat", "dog"))
    images = (pairs.outputs, pairs.contents, pairs.references)
    assert [levels(part) for part in images] == [[10, 20], [11, 21], [12, 12]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n", "lists 0 pairs"),
        ("\nmade/z.png,raw/cat.png,\n", "line 2: the style is empty"),
        ("\nmade/z.png\n", "line 2: the content is empty"),
        ("\nmade/z.png,raw/cat.png,ink,oil\n", "line 2: there are more values"),
        (f"\n{'x' * 300}.png,raw/cat.png,ink\n", "line 2: '.*' does not"),
        (",reference\nmade/z.png,raw/cat.png,ink,real/no.png\n", "line 2: '.*no.png' does not exist"),
        (
            ",reference\nmade/z.png,raw/cat.png,ink,real/cat.png\nmade/y.png,raw/cat.png,ink,\n",
            "line 3: .* no re",
        ),
        ("\nmade/z.png,pairs.csv,ink\n", "line 2: .*cannot be read as an image"),
        ('\n"made/z.png,raw/cat.png,ink\n', "is no CSV"),
    ],
)
def test_mistakes_of_a_manifest_are_named(manifest: Path, text: str, sentence: str) -> None:
    manifest.write_text(f"output,content,style{text}", encoding="utf-8")
    refused(sentence, manifest)


def test_pairs_that_cannot_be_read_are_named_and_the_others_are_read(manifest: Path) -> None:
    (manifest.parent / "made" / "cut.png").write_bytes((manifest.parent / "made" / "z.png").read_bytes()[:50])
    rows = ["made/cut.png,raw/dog.png,ink", "made/z.png,raw/cat.png,oil", "made/x.png,raw/cat.png,ink"]
    manifest.write_text("\n".join(["output,content,style", *rows]), encoding="utf-8")
    found = read_pairs(manifest)
    assert (len(found), found.styles, found.subjects, found.references) == (1, ("oil",), ("cat",), None)
    cut, gone = found.broken
    assert re.search("line 2: .* cannot be read as an image", cut)
    assert re.search("line 4: .*x.png' does not exist", gone)


def test_files_that_are_no_manifest_are_refused(manifest: Path) -> None:
    refused("does not exist", manifest.with_name("absent.csv"))
    refused("does not exist", manifest.parent)
    refused("no CSV in UTF-8", manifest.parent / "made" / "z.png")
    manifest.write_text("")
    refused("has no column 'output', 'content', 'style' .*gives none", manifest)


@pytest.mark.parametrize("which", ["made/y", "raw/dog", "raw/cat"])
def test_other_sizes_are_named(manifest: Path, which: str) -> None:
    save(manifest.parent / f"{which}.png", 0, (4, 5))
    refused(r"has an image of 4x5 pixels, and the first output has 4x4", manifest)
