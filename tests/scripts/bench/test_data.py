"""What is timed is what the loader does, as much of it as is said, on one thread."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.errors import DataError
from brushwork.data.loader import Batch, Loader
from brushwork.data.sources.toy import toy_pictures
from brushwork.scripts.bench.data import Sizes, Source, Toy, batches, decoding, one_thread, source

SIZES = Sizes(batch=5, batches=3, repeats=2)
TOY = toy_pictures(styles=2, subjects=6, size=16)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Loader, int, Batch]]:
    """Loader, first number and content of every batch."""
    log: list[tuple[Loader, int, Batch]] = []
    batch_at = Loader.batch_at

    def logged(self: Loader, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        batch = batch_at(self, nimg, count, resolution=resolution)
        log.append((self, nimg, batch))
        return batch

    monkeypatch.setattr(Loader, "batch_at", logged)
    return log


def test_every_way_draws_the_batches_that_it_says(drawn: list[tuple[Loader, int, Batch]]) -> None:
    race = batches(TOY, replace(SIZES, repeats=1))
    assert race.timings.names == ("as they are", "halved to 8 px", "flipped", "moved", "balanced")
    assert race.pictures == 15
    last = drawn[-15:]  # the round that counts, of 3 batches each
    assert [nimg for _, nimg, _ in last] == [0, 5, 10] * 5
    assert {len(batch.images) for *_, batch in last} == {5}
    assert [last[place][2].images.shape[-1] for place in range(0, 15, 3)] == [16, 8, 16, 16, 16]
    configs = [last[place][0].config for place in range(0, 15, 3)]
    assert [config.flip for config in configs] == [False, False, True, False, False]
    assert [config.balanced for config in configs] == [False, False, False, False, True]
    moved = configs[3]
    assert min(moved.rotate, moved.scale, moved.shift, moved.crop) > 0
    assert [config.moves for config in configs] == [False, False, False, True, False]


def test_pictures_of_an_odd_side_are_not_halved() -> None:
    odd = replace(TOY, images=TOY.images[..., :15, :15])
    assert len(batches(odd, SIZES).timings.names) == 4


def test_decoding_takes_every_picture_once(drawn: list[tuple[Loader, int, Batch]]) -> None:
    with source(None, Toy(styles=2, subjects=6, resolution=16)) as origin:
        assert origin.copies is not None
        race = decoding(origin, TOY, replace(SIZES, repeats=1))
        assert any(origin.copies.iterdir()), "the copy is kept where it vanishes"
    assert not origin.path.exists()
    assert race.timings.names == ("batches from memory", "decoded at once", "batches, cache off")
    assert len(race.timings.results["decoded at once"]) == race.pictures == 12
    for last in (drawn[-3:], drawn[-6:-3]):
        rows = torch.cat([batch.indices for *_, batch in last])
        assert sorted(rows.tolist()) == list(range(12))
    stored, memory = drawn[-1][2], drawn[-4][2]
    assert stored.images.shape == memory.images.shape == (2, 3, 16, 16), "what is left over"
    assert drawn[-1][0].pictures is not TOY
    assert drawn[-4][0].pictures is TOY


def test_a_data_set_at_hand_is_taken_as_it_is(packed: Path, tmp_path: Path) -> None:
    with source(packed, Toy()) as origin:
        assert origin == Source(path=packed)
    with pytest.raises(DataError, match="does not exist"), source(tmp_path / "nowhere", Toy()):
        pass


def test_one_thread_while_it_lasts() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
