import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.dataset import describe, load_dataset, stored_dataset
from brushwork.data.errors import DataError
from brushwork.data.images import png_bytes
from brushwork.scripts.bench.toy import toy_dataset

Change = Callable[[str, list], Path]


@pytest.fixture
def changed(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Copies the data set with other first values in a column of the training rows, or without the column."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)

    def change(name: str, values: list | None) -> Path:
        copy = shutil.copytree(packed, tmp_path / "copy")
        shard = next((copy / "data").glob("train-*"))
        table = pq.read_table(shard)
        field, place = table.schema.field(name), table.schema.get_field_index(name)
        if values is None:
            table = table.remove_column(place)
        else:
            column = values + table[name].to_pylist()[len(values) :]
            table = table.set_column(place, field, pa.array(column, type=field.type))
        pq.write_table(table, shard)
        return copy

    return change


def png(*shape: int) -> dict:
    return {"bytes": png_bytes(np.zeros(shape, np.uint8))}


def write_about(folder: Path, content: object) -> Path:
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"styles": ["a", 1]}, "styles.1"),
        ({"resolution": "16"}, "resolution"),
        ({"counts": {"train": 3}}, "no counts of train and test"),
        ({"counts": {"train": 3, "test": -1}}, "counts.test"),
        ({"format": "another"}, "format"), ({"fingerprint": None}, "fingerprint"),
    ],
)  # fmt: skip
def test_every_entry_of_dataset_json_is_checked(packed: Path, tmp_path: Path, change: dict, why: str) -> None:
    about = json.loads((packed / "dataset.json").read_text())
    with pytest.raises(DataError, match=rf"is damaged \(dataset.json.*{why}.*\): pack it again"):
        describe(write_about(tmp_path, about | change))


def test_splits_add_up_and_hold_the_packed_pictures(packed: Path) -> None:
    train, test, both = (load_dataset(packed, split) for split in ("train", "test", "all"))
    assert len(train) + len(test) == len(both) == 120
    assert set(train.subjects).isdisjoint(test.subjects)
    assert train.fingerprint == test.fingerprint == describe(packed).fingerprint
    toy = toy_dataset(styles=3, subjects=40, size=16)
    rows = {(int(s), n): image for s, n, image in zip(toy.styles, toy.subjects, toy.images, strict=True)}
    for style, subject, image in zip(both.styles, both.subjects, both.images, strict=True):
        assert torch.equal(image, rows[int(style), subject])


def test_unusable_data_sets(packed: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no packed data set .*: make one with"):
        load_dataset(tmp_path)
    for content in ([], None, {}):
        with pytest.raises(DataError, match="is damaged"):
            describe(write_about(tmp_path, content))
    with pytest.raises(DataError, match="'validation' is unknown"):
        load_dataset(packed, "validation")  # pyright: ignore[reportArgumentType]
    copy = shutil.copytree(packed, tmp_path / "copy")
    next((copy / "data").glob("test-*")).unlink()
    for open_split in (load_dataset, stored_dataset):
        with pytest.raises(DataError, match=r"damaged \(it holds 0 of the \d+ images of its test split\)"):
            open_split(copy, "test")
    (shard,) = (copy / "data").iterdir()
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match="damaged"):
        load_dataset(copy, "train")
    pack(pictures, tmp_path / "no test", PackConfig(resolution=16, test_fraction=0))
    with pytest.raises(DataError, match=r"test split.*is empty"):
        load_dataset(tmp_path / "no test", "test")


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        *(("style", [style], "a row without subject, or of no known style") for style in (99, -2, None)),
        ("subject", [None], "a row without subject"),
        ("image", [None], "an image that cannot be decoded"),
        ("image", [{"bytes": b"no image"}], "an image that cannot be decoded"),
        ("image", [png(12, 20, 3)], "RGB of 20 x 12 px, where RGB of 16 x 16 is due"),
        ("image", [png(16, 16)], "L of 16 x 16 px, where RGB"),
        ("style", None, "it has no column style"),
    ],
)
def test_rows_that_pack_never_writes_are_refused(changed: Change, name: str, values: list, why: str) -> None:
    copy = changed(name, values)
    for read in (load_dataset, lambda path: stored_dataset(path).take(torch.tensor([1, 0]))):
        with pytest.raises(DataError, match=rf"damaged \(.*{why}.*\): pack it again"):
            read(copy)


def test_parts_of_a_split_are_the_same_in_memory_and_on_the_disk(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    loaded, stored, rows = load_dataset(packed), stored_dataset(packed), torch.tensor([7, 2, 30])
    for part in (loaded.subset(rows), stored.subset(rows)):
        assert torch.equal(part.take(torch.tensor([2, 0])), loaded.images[[30, 7]])
        assert torch.equal(part.styles, loaded.styles[rows])
        assert part.subjects == tuple(loaded.subjects[row] for row in rows)
        assert (len(part), part.resolution) == (3, 16)
