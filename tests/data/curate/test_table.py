"""Labels from a table: styles, blends and nothing; and its mistakes, each in a sentence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.curate.table import parse_weights
from brushwork.data.errors import DataError
from brushwork.data.files import write_file
from brushwork.data.images import png_bytes
from brushwork.data.loader import Loader, load_dataset, stored_dataset

CONFIG = PackConfig(resolution=8, test_fraction=0.0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b/c.png", "d.png", "e.png", "f.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        write_file(tmp_path / "images" / name, png_bytes(pixels))
    return tmp_path / "images"


ROWS = {"a.png": "ink", "b/c.png": "oil=0.25+ink=0.75", "d.png": "", "f.png": "oil"}


def csv_of(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_styles_blends_and_nothing(images: Path, tmp_path: Path, kind: str) -> None:
    if kind == "csv":
        lines = ["file_name,artist,style", *(f"{name},x,{style}" for name, style in ROWS.items())]
    else:
        blend = {"b/c.png": {"oil": 1, "ink": 3}}
        lines = [json.dumps({"file": name, "label": style}) for name, style in (ROWS | blend).items()]
    table = csv_of(tmp_path / f"labels.{kind}", "\n".join(lines))
    report = pack(images, tmp_path / "out", CONFIG, table).report
    assert report.ignored == (("e.png", f"not in labels.{kind}"),)
    dataset, stored = load_dataset(tmp_path / "out"), stored_dataset(tmp_path / "out")
    assert dataset.style_names == ("ink", "oil")
    expected = {"a": [1.0, 0.0], "b/c": [0.75, 0.25], "d": [0.0, 0.0], "f": [0.0, 1.0]}
    for each in (dataset, stored, dataset.subset(torch.tensor([2, 0, 3, 1]))):
        batch = Loader(each, seed=0).batch_at(0, 4)
        found = [each.subjects[row] for row in batch.indices.tolist()]
        assert dict(zip(found, batch.styles.tolist(), strict=True)) == expected
    assert dict(zip(dataset.subjects, dataset.styles.tolist(), strict=True)) == {
        "a": 0, "b/c": 0, "d": -1, "f": 1
    }  # fmt: skip


def test_a_hidden_or_guessed_label_replaces_the_blend(images: Path, tmp_path: Path) -> None:
    table = csv_of(tmp_path / "labels.csv", "file_name,style\na.png,ink+wax\nd.png,\ne.png,wax\n")
    pack(images, tmp_path / "out", CONFIG, table)
    dataset = load_dataset(tmp_path / "out")

    def seen(styles: list[int]) -> list[list[float]]:
        batch = Loader(replace(dataset, styles=torch.tensor(styles)), seed=0).batch_at(0, 3)
        return batch.styles[batch.indices.argsort()].tolist()

    assert dataset.styles.tolist() == [0, -1, 1]
    assert seen([0, -1, 1]) == [[0.5, 0.5], [0, 0], [0, 1]]
    assert seen([-1, 1, 0]) == [[0, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file_name,style\na.png,ink\nz.png,ink\n", r"names 'z\.png', which is not in"),
        ("file_name,style\na.png,ink\nd.png,ink\na.png,oil\n", r"names 'a\.png' in lines 2 and 4"),
        ("name,style\na.png,ink\n", "no column file_name, only name, style"),
        ("file_name,artist\na.png,ink\n", "no column style, only file_name, artist"),
        ("file_name,style\na.png,ink=much\n", "Line 2 .* the weight 'much' of 'ink'"),
        ("file_name,style\na.png,ink=-1+oil=2\n", "the weight '-1' of 'ink', which is no number above 0"),
        ("file_name,style\na.png,all\n", "Line 2 .* 'all', which no command can select"),
        ('file_name,style\na.png,"ink,oil"\n', "Line 2 .* 'ink,oil', which no command can select"),
        ("file_name,style\na.png,=ink\n", "Line 2 .* the weight 'ink' of ''"),
        ("file_name,style\na.png,ink+\n", "Line 2 .* a weight without a style in 'ink\\+'"),
        ("file_name,style\n", "names no image"),
        ("file_name,style\na.png,ink=2+oil=1\n", "No image is mainly 'oil'"),
    ],
)
def test_mistakes_are_named(images: Path, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        pack(images, tmp_path / "out", CONFIG, csv_of(tmp_path / "labels.csv", text))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.txt", "a", "labels.txt' is no table"),
        ("gone.csv", "", "gone.csv' cannot be read"),
        ("broken.jsonl", '\n{"file', "Line 2 of '.*broken.jsonl' is no JSON"),
        ("list.jsonl", '["a.png", "ink"]', "Line 1 of '.*list.jsonl' is no object"),
        (
            "index.jsonl",
            '\n{"file": "a.png", "style": 0}',
            "Line 2 .* the style 0, no text: write its name in q",
        ),
        ("list.jsonl", '{"file": "a.png", "style": ["ink", true]}', "Line 1 .* the style true, no text"),
        ("latin.csv", "file_name,style\na.png,t\xe9\n", "latin.csv' is not in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(
    images: Path, tmp_path: Path, name: str, text: str, words: str
) -> None:
    if text:
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        pack(images, tmp_path / "out", CONFIG, tmp_path / name)


def test_semicolons_separate_as_a_spreadsheet_writes_them(images: Path, tmp_path: Path) -> None:
    table = csv_of(tmp_path / "labels.csv", "file_name;style\na.png;ink\nd.png;oil\n")
    assert pack(images, tmp_path / "out", CONFIG, table).report.packed == 2


def test_weights_are_divided_by_their_sum() -> None:
    assert parse_weights(["ink", "oil"]) == {"ink": 0.5, "oil": 0.5}
    assert parse_weights("ink=3+oil=1") == {"ink": 0.75, "oil": 0.25}
    assert parse_weights(None) == {}
