"""Files that a style transfer goes on from: what is read is what was written, or it is damaged."""

import json
from pathlib import Path

import pytest
import torch

from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.files import (
    Damaged,
    Facts,
    Halted,
    Job,
    Notes,
    plain,
    read_job,
    read_notes,
    read_state,
    state_file,
    write_job,
    write_state,
)
from brushwork.training.style_transfer.trace import Trace

FACTS = Facts(preset="fast", config=plain(StylizeConfig(style_layers=("relu1_1",))), scene="0f")
ROW = {"evaluation": 1, "side": 16, "seconds": 0.5, "style": 1.0, "content": 0.0, "tv": 0.0, "total": 1.0}


def halted() -> Halted:
    return Halted(
        facts=FACTS, trace=[ROW], tensors={"image": torch.rand(1, 3, 4, 4), "number": torch.tensor(3)}
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    picture, job = tmp_path / "cat.png", Job(config=FACTS.config, precision="bf16")
    assert read_notes(picture) is read_state(picture) is read_job(tmp_path) is None
    Trace(rows=[ROW]).write(picture, FACTS, stopped="enough")
    assert read_notes(picture) == Notes(**vars(FACTS), trace=[ROW], stopped="enough")
    write_job(tmp_path, job)
    assert read_job(tmp_path) == job
    state = halted()
    write_state(picture, state)
    found = read_state(picture)
    assert found is not None
    assert (found.facts, found.trace) == (FACTS, [ROW])
    assert all(found.tensors[name].equal(x) for name, x in state.tensors.items())


def test_a_flipped_bit_and_a_cut_are_damage(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    write_state(picture, halted())
    path = state_file(picture)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for content in (bytes(flipped), whole[:-9], whole[:40], b""):
        path.write_bytes(content)
        with pytest.raises(Damaged, match=r"cat\.state\.safetensors' is damaged"):
            read_state(picture)


@pytest.mark.parametrize("change", [{"trace": 3}, {"config": []}, {"scene": None}, {"stopped": 1}])
def test_notes_of_another_kind_are_damage(tmp_path: Path, change: dict) -> None:
    picture = tmp_path / "cat.png"
    Trace(rows=[ROW]).write(picture, FACTS)
    notes = json.loads((tmp_path / "cat.json").read_text())
    (tmp_path / "cat.json").write_text(json.dumps({**notes, **change}))
    with pytest.raises(Damaged, match=r"cat\.json' is damaged"):
        read_notes(picture)
