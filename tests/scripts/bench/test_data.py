"""Candidates load the batches that their names say, on one thread."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.loader import Batch, Loader
from brushwork.scripts.bench import data as data_benchmark
from brushwork.scripts.bench.data import DataArguments, _pack_toy, compare_batches, compare_decoding
from brushwork.scripts.bench.toy import toy_dataset

ARGS = DataArguments(batch=5, batches=3, repeats=1)
TOY = toy_dataset(styles=2, subjects=6, size=16)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Loader, int, Batch]]:
    """Loader, first image number and content of every batch."""
    log: list[tuple[Loader, int, Batch]] = []
    batch_at = Loader.batch_at

    def logged(self: Loader, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        batch = batch_at(self, nimg, count, resolution=resolution)
        log.append((self, nimg, batch))
        return batch

    monkeypatch.setattr(Loader, "batch_at", logged)
    return log


def test_every_candidate_loads_the_batches_that_it_says(loaded: list[tuple[Loader, int, Batch]]) -> None:
    odd = replace(TOY, images=TOY.images[..., :15, :15])
    assert len(compare_batches(odd, ARGS).timings.wall) == 3, "an odd size is not halved"
    found = compare_batches(TOY, ARGS)
    assert tuple(found.timings.wall) == ("as they are", "halved to 8 px", "flipped", "balanced")
    assert found.images == 15
    last = loaded[-12:]  # the round that counts, of 3 batches each
    assert [nimg for _, nimg, _ in last] == [0, 5, 10] * 4
    assert {len(batch.images) for *_, batch in last} == {5}
    firsts = [(loader.config, batch.images.shape[-1]) for loader, _, batch in last[::3]]
    assert [(side, config.flip, config.balanced) for config, side in firsts] == [
        (16, False, False), (8, False, False), (16, True, False), (16, False, True),
    ]  # fmt: skip


def test_decoding_loads_every_image_once(
    monkeypatch: pytest.MonkeyPatch, loaded: list[tuple[Loader, int, Batch]], tmp_path: Path
) -> None:
    for name, value in (("STYLES", 2), ("SUBJECTS", 6), ("RESOLUTION", 16)):
        monkeypatch.setattr(data_benchmark, f"TOY_{name}", value)
    found = compare_decoding(_pack_toy(tmp_path), TOY, ARGS, tmp_path / "copies")
    assert any((tmp_path / "copies").iterdir())
    assert tuple(found.timings.wall) == ("batches from memory", "decoded at once", "batches, cache off")
    assert len(found.timings.results["decoded at once"]) == found.images == 12
    for last in (loaded[-3:], loaded[-6:-3]):
        rows = torch.cat([batch.indices for *_, batch in last])
        assert sorted(rows.tolist()) == list(range(12))
    stored, memory = loaded[-1][2], loaded[-4][2]
    assert stored.images.shape == memory.images.shape == (2, 3, 16, 16), "what is left over"
    assert loaded[-1][0].pictures is not TOY
    assert loaded[-4][0].pictures is TOY
