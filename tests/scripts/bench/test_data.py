"""Candidates load the batches that their names say, on one thread."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.dataset import load_dataset
from brushwork.data.loader import Batch, Loader
from brushwork.scripts.bench.data import DataArguments, compare_batches, compare_decoding
from brushwork.scripts.bench.toy import toy_dataset

Loaded = list[tuple[Loader, int, Batch]]
"""Loader, first image number and content of every batch."""


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    log: Loaded = []
    batch_at = Loader.batch_at

    def logged(self: Loader, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        batch = batch_at(self, nimg, count, resolution=resolution)
        log.append((self, nimg, batch))
        return batch

    monkeypatch.setattr(Loader, "batch_at", logged)
    return log


def test_every_candidate_loads_the_batches_that_it_says(loaded: Loaded) -> None:
    args, toy = DataArguments(batch=5, batches=3, repeats=1), toy_dataset(styles=2, subjects=6, size=16)
    odd = replace(toy, images=toy.images[..., :15, :15])
    assert len(compare_batches(odd, args).timings.wall) == 3, "an odd size is not halved"
    found = compare_batches(toy, args)
    assert tuple(found.timings.wall) == ("as they are", "halved to 8 px", "flipped", "balanced")
    assert found.images == 15
    last = loaded[-12:]  # the round that counts, of 3 batches each
    assert [(nimg, len(batch.images)) for _, nimg, batch in last] == [(0, 5), (5, 5), (10, 5)] * 4
    firsts = [(batch.images.shape[-1], one.config.flip, one.config.balanced) for one, _, batch in last[::3]]
    assert firsts == [(16, False, False), (8, False, False), (16, True, False), (16, False, True)]


def test_decoding_loads_every_image_once(loaded: Loaded, packed: Path, tmp_path: Path) -> None:
    pictures = load_dataset(packed, "all")
    found = compare_decoding(packed, pictures, DataArguments(batch=50, repeats=1), tmp_path / "copies")
    assert any((tmp_path / "copies").iterdir())
    assert tuple(found.timings.wall) == ("batches from memory", "decoded at once", "batches, cache off")
    assert len(found.timings.results["decoded at once"]) == found.images == 120
    for last in (loaded[-6:-3], loaded[-3:]):
        rows = torch.cat([batch.indices for *_, batch in last])
        assert sorted(rows.tolist()) == list(range(120))
        assert last[-1][2].images.shape == (20, 3, 16, 16), "what is left over"
    assert [loaded[place][0].pictures is pictures for place in (-4, -1)] == [True, False]
