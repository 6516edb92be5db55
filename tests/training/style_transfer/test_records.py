"""Records and states: what is read is what was written, or the file is damaged."""

import json
from pathlib import Path

import pytest
import torch

from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.records import (
    Damaged,
    TransferRecord,
    config_json,
    read_checked,
    read_state,
    record_file,
    state_file,
    write_record,
    write_state,
)

ROW = {"evaluation": 1, "side": 16, "seconds": 0.5, "style": 1.0, "content": 0.0, "tv": 0.0, "total": 1.0}
CONFIG = config_json(StylizeConfig(style_layers=("relu1_1",)))
RECORD = TransferRecord(preset="fast", config=CONFIG, inputs="0f", trace=[ROW], stopped="enough")
STATE = {"image": torch.rand(1, 3, 4, 4), "number": torch.tensor(3)}


def test_records_and_states_are_read_as_written(tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    assert read_checked(record_file(image), TransferRecord) is read_state(image) is None
    write_record(image, RECORD)
    assert read_checked(record_file(image), TransferRecord) == RECORD
    write_state(image, RECORD, STATE)
    found = read_state(image)
    assert found is not None
    assert found[0] == RECORD
    assert all(found[1][name].equal(x) for name, x in STATE.items())


def test_a_flipped_bit_or_a_cut_damages_a_state(tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    write_state(image, RECORD, STATE)
    path = state_file(image)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for content in (bytes(flipped), whole[:-9], whole[:40], b""):
        path.write_bytes(content)
        with pytest.raises(Damaged, match=r"cat\.state\.safetensors' is damaged"):
            read_state(image)


@pytest.mark.parametrize("change", [{"trace": 3}, {"config": []}, {"inputs": None}, {"stopped": 1}])
def test_a_record_of_other_types_is_damaged(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "cat.json"
    path.write_text(json.dumps({**vars(RECORD), **change}))
    with pytest.raises(Damaged, match=r"cat\.json' is damaged"):
        read_checked(path, TransferRecord)
