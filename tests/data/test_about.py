"""`dataset.json`, read back."""

import json
from pathlib import Path

import pytest

from brushwork.data.about import FORMAT, About, describe
from brushwork.data.errors import DataError

WHOLE = {
    "format": FORMAT, "name": "toy", "styles": ["a", "b"], "resolution": 16, "fingerprint": "f",
    "recipe": "r", "background": [255, 255, 255], "counts": {"train": 3, "test": 1}, "fit": "crop",
}  # fmt: skip


def write(folder: Path, content: object) -> Path:
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_what_pack_wrote_is_read(tmp_path: Path) -> None:
    assert describe(write(tmp_path, WHOLE)) == About(
        format=FORMAT, name="toy", styles=("a", "b"), resolution=16, fingerprint="f", recipe="r",
        background=(255, 255, 255), counts={"train": 3, "test": 1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"styles": ["a", 1]}, "styles.1"), ({"styles": ["a", "a"]}, "two styles have one name"),
        ({"resolution": "16"}, "resolution"), ({"background": [0, 0, 256]}, "background.2"),
        ({"counts": {"train": 3}}, "no counts of train and test"),
        ({"counts": {"train": 3, "test": -1}}, "counts.test"),
        ({"format": "another"}, "format"), ({"fingerprint": None}, "fingerprint"),
    ],
)  # fmt: skip
def test_every_entry_is_checked(tmp_path: Path, change: dict, why: str) -> None:
    with pytest.raises(DataError, match=rf"is damaged \(dataset.json.*{why}.*\): pack it again"):
        describe(write(tmp_path, WHOLE | change))


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere' does not exist: make it with `brushwork pack"):
        describe(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is no packed data set .*: make one with"):
        describe(tmp_path)
    for content in ([], None, {}):
        with pytest.raises(DataError, match="is damaged"):
            describe(write(tmp_path, content))
