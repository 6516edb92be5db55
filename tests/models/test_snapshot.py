import json
import pickle
import random
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from brushwork.models import snapshot
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.snapshot import HEADER, find_snapshot, generator_bytes, load_generator, snapshot_header
from brushwork.models.stage import Stage


@pytest.fixture
def saved(tmp_path: Path, generator: Generator) -> Path:
    path = tmp_path / "run" / "snapshots" / "generator-000000100.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(generator_bytes(generator, stage=Stage(16, 0.25), notes={"nimg": 100, "data": "toy"}))
    return path


# Round trip
def test_a_snapshot_comes_back_bit_for_bit(saved: Path, generator: Generator) -> None:
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    header, loaded = snapshot_header(saved), load_generator(saved)
    assert header["notes"] == {"nimg": 100, "data": "toy"}
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert (loaded.config, loaded.style_names) == (generator.config, generator.style_names)
    assert loaded.trained_stage == Stage(16, 0.25)
    ours, theirs = generator.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert ours["mapping.average"].any(), "the averages, too"
    z, styles = torch.randn(2, 8), torch.eye(3)[:2]
    assert torch.equal(loaded(z, styles), generator(z, styles, Stage(16, 0.25)))


# Finding
def test_a_run_folder_names_its_newest_snapshot(saved: Path, generator: Generator) -> None:
    newer = saved.with_name("generator-000002000.safetensors")
    newer.write_bytes(generator_bytes(generator, stage=Stage(16), notes={}))
    assert find_snapshot(saved.parent.parent) == newer
    assert find_snapshot(saved.parent) == newer
    assert find_snapshot(saved) == saved
    with pytest.raises(ModelError, match=r"holds no snapshot .*train it first"):
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snapshot, "hf_hub_download", lambda repository, file: str(saved))
    assert load_generator("owner/name").trained_stage == Stage(16, 0.25)


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(repository: str, file: str) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(snapshot, "hf_hub_download", download)
    with pytest.raises(ModelError, match=r"owner/name is no folder here, and .* could not be fetched"):
        load_generator("owner/name")


# Damage
@pytest.mark.parametrize("share", [0.0, 0.01, 0.999])
def test_a_truncated_snapshot_is_one_sentence(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="is no readable snapshot"):
        load_generator(saved)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trap, sprung = tmp_path / "generator.safetensors", tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (sprung,)

    pickle.loads(pickle.dumps(Trap()))
    assert sprung.exists(), "the trap works"
    sprung.unlink()
    for write in (lambda: trap.write_bytes(pickle.dumps(Trap())), lambda: torch.save(Trap(), trap)):
        write()
        with pytest.raises(ModelError, match="is no readable snapshot"):
            load_generator(trap)
    assert not sprung.exists()


def test_every_flipped_bit_is_detected(saved: Path) -> None:
    whole, source = saved.read_bytes(), random.Random(0)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        saved.write_bytes(damaged)
        with pytest.raises(ModelError, match=str(saved)):
            load_generator(saved)


def test_snapshots_without_a_digest_are_of_an_older_version(saved: Path, generator: Generator) -> None:
    header = snapshot_header(saved)
    del header["sha256"]
    save_file(generator.state_dict(), saved, metadata={HEADER: json.dumps(header)})
    assert load_generator(saved).trained_stage == Stage(16, 0.25)


def test_a_header_that_asks_for_more_than_the_file_holds_takes_no_memory(saved: Path) -> None:
    header = snapshot_header(saved)
    header["generator"] |= {"channel_base": 2**24, "channel_max": 2**16}  # terabytes
    save_file({"weight": torch.zeros(2)}, saved, metadata={HEADER: json.dumps(header)})
    with pytest.raises(ModelError, match="does not fit its own header"):
        load_generator(saved)
    save_file({"weight": torch.zeros(2)}, saved)
    with pytest.raises(ModelError, match="not of a brushwork generator"):
        load_generator(saved)


@pytest.mark.parametrize("header", ["", "{", "[]", "{}", '{"generator": {}, "styles": 3, "stage": []}'])
def test_a_damaged_header_is_refused(saved: Path, header: str) -> None:
    save_file({"weight": torch.zeros(2)}, saved, metadata={HEADER: header})
    with pytest.raises(ModelError, match=str(saved)):
        load_generator(saved)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("colour_depth", 12, r"newer brushwork \(it sets colour_depth\)"),
        ("content_erased", True, "erases style from content codes, which brushwork no longer supports"),
        ("attention", [8], "has attention layers, which brushwork no longer supports"),
        ("attention", [], None),
        ("encoder_attention", [16], "has attention layers"),
        ("style_resolutions", [], None),
    ],
)
def test_fields_of_other_versions_are_refused_unless_they_change_nothing(
    saved: Path, generator: Generator, field: str, value: object, sentence: str | None
) -> None:
    header = snapshot_header(saved)
    header["generator"][field] = value
    del header["sha256"]
    save_file(generator.state_dict(), saved, metadata={HEADER: json.dumps(header)})
    if sentence is None:
        assert load_generator(saved).config == generator.config
    else:
        with pytest.raises(ModelError, match=sentence):
            load_generator(saved)


def test_an_impossible_device_is_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match="unknown device 'foo'"):
        load_generator(saved, device="foo")
