import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from brushwork.models import snapshot
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.options import resolve_device
from brushwork.models.snapshot import HEADER, find_snapshot, generator_bytes, load_generator, snapshot_header
from brushwork.models.stage import Stage

from .conftest import Trap


@pytest.fixture
def saved(tmp_path: Path, generator: Generator) -> Path:
    path = tmp_path / "run" / "snapshots" / "generator-000000100.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(generator_bytes(generator, stage=Stage(16, 0.25), notes={"nimg": 100, "data": "toy"}))
    return path


def test_a_snapshot_comes_back_bit_for_bit(saved: Path, generator: Generator) -> None:
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loaded = load_generator(saved)
    assert snapshot_header(saved)["notes"] == {"nimg": 100, "data": "toy"}
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert (loaded.config, loaded.style_names) == (generator.config, generator.style_names)
    assert loaded.trained_stage == Stage(16, 0.25)
    ours, theirs = dict(generator.state_dict()), dict(loaded.state_dict())
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0)
    assert ours["mapping.average"].any(), "the averages, too"


def test_a_run_folder_names_its_newest_snapshot(saved: Path, generator: Generator) -> None:
    newer = saved.with_name("generator-000002000.safetensors")
    newer.write_bytes(generator_bytes(generator, stage=Stage(16), notes={}))
    assert find_snapshot(saved.parent.parent) == find_snapshot(saved.parent) == newer
    assert find_snapshot(saved) == saved
    with pytest.raises(ModelError, match=r"holds no snapshots.*train it first"):
        find_snapshot(saved.parent.parent.parent)


@pytest.mark.parametrize("source", ["nowhere", "./no/where", "/no/where", "runs/x/y.safetensors", "runs/x"])
def test_local_paths_are_not_looked_up_on_the_hub(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snapshot, "hf_hub_download", None)
    with pytest.raises(ModelError, match=f"{source} does not exist"):
        find_snapshot(source)


def test_owner_and_name_are_a_hub_repository(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: str) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snapshot, "hf_hub_download", lambda *_: str(saved))
    assert load_generator("owner/name").trained_stage == Stage(16, 0.25)
    monkeypatch.setattr(snapshot, "hf_hub_download", offline)
    with pytest.raises(ModelError, match=r"owner/name is no folder here, and .* could not be fetched"):
        load_generator("owner/name")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path, sprung = tmp_path / "generator.safetensors", tmp_path / "sprung"
    content = pickle.dumps(Trap(sprung))
    pickle.loads(content)
    sprung.unlink()  # the trap works
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is no readable snapshot"):
        load_generator(path)
    assert not sprung.exists()


def test_every_flipped_bit_and_a_missing_end_is_detected(saved: Path) -> None:
    whole, source = saved.read_bytes(), random.Random(0)
    for share in (0.0, 0.01, 0.999):
        saved.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModelError, match="is no readable snapshot"):
            load_generator(saved)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        saved.write_bytes(damaged)
        with pytest.raises(ModelError, match=str(saved)):
            load_generator(saved)


def rewrite(saved: Path, fields: dict[str, Any]) -> None:
    """Writes the snapshot with other fields of the generator, without a digest, as version 0.1 did."""
    header, tensors = snapshot_header(saved), load_file(saved)
    del header["sha256"]
    header["generator"] |= fields
    save_file(tensors, saved, metadata={HEADER: json.dumps(header)})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, None),
        ({"attention": [], "style_resolutions": [], "content_erased": False}, None),
        ({"colour_depth": 12}, "of another version of brushwork: this one does not support colour_depth"),
        ({"content_erased": True, "attention": [8]}, "support attention, content_erased"),
        # Terabytes, which are not allocated:
        ({"channel_base": 2**24, "channel_max": 2**16}, "does not fit its own header"),
    ],
)
def test_fields_of_other_versions_are_refused_unless_they_change_nothing(
    saved: Path, generator: Generator, fields: dict[str, Any], sentence: str | None
) -> None:
    rewrite(saved, fields)
    if sentence is None:
        assert load_generator(saved).config == generator.config
    else:
        with pytest.raises(ModelError, match=sentence):
            load_generator(saved)


def test_style_at_chosen_resolutions_stays_there(saved: Path) -> None:
    rewrite(saved, {"style_resolutions": [8]})
    synthesis, w = load_generator(saved).synthesis, torch.randn(2, 6, 8)
    image = synthesis(w, Stage(16))
    for layer in range(6):
        other = w.clone()
        other[:, layer] += 1
        assert torch.equal(synthesis(other, Stage(16)), image) == (layer not in (2, 3)), layer


@pytest.mark.parametrize("header", ["", "{", "[]", "{}", '{"generator": {}, "styles": 3, "stage": []}', None])
def test_a_damaged_header_is_refused(saved: Path, header: str | None) -> None:
    metadata = {} if header is None else {HEADER: header}
    save_file({"weight": torch.zeros(2)}, saved, metadata=metadata)
    with pytest.raises(ModelError, match=str(saved)):
        load_generator(saved)


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_name_is_a_device_of_this_machine(saved: Path, monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert resolve_device("auto") == torch.device("cuda" if gpus else "cpu")
    for index, name in enumerate(("cuda", "cuda:1", "cuda:2", "cpu:5", "meta")):
        if index < gpus:
            assert resolve_device(name) == torch.device(name)
        else:
            with pytest.raises(ModelError, match=rf"no device '{name}' \({gpus} CUDA GPUs\)"):
                load_generator(saved, device=name)
