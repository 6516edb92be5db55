from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from brushwork.data.dataset import ImageDataset, StoredDataset
from brushwork.data.errors import DataError
from brushwork.data.loader import MEMORY_SHARE, Batch, Cache, Loader, LoaderConfig, load_dataset, open_dataset
from brushwork.scripts.bench.toy import toy_dataset

CONFIGS = [
    LoaderConfig(), LoaderConfig(paired=True), LoaderConfig(flip=True), LoaderConfig(balanced=True),
    LoaderConfig(balanced=True, flip=True),
]  # fmt: skip
TOY = toy_dataset(styles=3, subjects=7, size=16)


def equal(a: Batch, b: Batch, part: slice) -> bool:
    return all(torch.equal(value, getattr(b, name)[part]) for name, value in vars(a).items())


@pytest.mark.parametrize("config", CONFIGS)
def test_picture_number_n_is_the_same_in_any_batch_and_any_process(config: LoaderConfig) -> None:
    whole = Loader(TOY, config, seed=3).batch_at(0, 60)
    used = Loader(TOY, config, seed=3)
    used.batch_at(1000, 30)
    for start, count in [(0, 1), (17, 1), (20, 3), (5, 40), (59, 1)]:
        for loader in (Loader(TOY, config, seed=3), used):
            assert equal(loader.batch_at(start, count), whole, slice(start, start + count))
    for seed in (1, -5):
        assert not torch.equal(Loader(TOY, config, seed=seed).batch_at(0, 60).indices, whole.indices)


def test_every_epoch_shows_every_picture_once_in_another_order() -> None:
    loader = Loader(TOY, seed=0)
    epochs = [loader.batch_at(21 * e, 21).indices for e in range(4)]
    assert all(sorted(epoch.tolist()) == list(range(21)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4


def test_balanced_streams_show_every_style_equally() -> None:
    styles = torch.tensor([0] * 2 + [1] * 12 + [-1] * 7)
    loader = Loader(replace(TOY, styles=styles), LoaderConfig(balanced=True), seed=1)
    rows = loader.indices_at(0, 3 * 84)
    assert np.bincount(rows).tolist() == [42] * 2 + [7] * 12 + [12] * 7
    blocks = styles[rows].reshape(84, 3).tolist()
    assert all(sorted(block) == [-1, 0, 1] for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_values_labels_and_range() -> None:
    dataset = replace(TOY, styles=torch.where(TOY.styles == 2, -1, TOY.styles))
    batch = Loader(dataset, seed=0).batch_at(0, 21)
    assert batch.images.dtype == torch.float32
    assert batch.images.max() == 1, "the paper of most toy styles is white"
    torch.testing.assert_close((batch.images + 1) * 127.5, dataset.images[batch.indices].float())
    assert torch.equal(batch.styles, (dataset.styles[batch.indices, None] == torch.arange(3)).float())


def test_lower_resolutions_are_area_averages() -> None:
    loader = Loader(TOY, seed=0)
    full, half = loader.batch_at(5, 6), loader.batch_at(5, 6, resolution=4)
    means = full.images.reshape(6, 3, 4, 4, 4, 4).mean(dim=(3, 5))
    torch.testing.assert_close(half.images, means)
    for resolution in (32, 12):
        with pytest.raises(DataError, match=f"Resolution {resolution} cannot.*16"):
            loader.batch_at(0, 1, resolution=resolution)


def test_flips_are_exact_and_take_half() -> None:
    flipped = Loader(TOY, LoaderConfig(flip=True), seed=0).batch_at(0, 400)
    plain = Loader(TOY, seed=0).batch_at(0, 400)
    same, mirrored = ((flipped.images == x).flatten(1).all(1) for x in (plain.images, plain.images.flip(-1)))
    assert (same | mirrored).all()
    assert 150 < int((mirrored & ~same).sum()) < 250


def test_a_data_set_stays_on_the_disk_where_it_would_fill_the_memory(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_dataset(packed, "all").images.numel()

    def opened(memory: float, cache: Cache = "auto", processes: int = 1) -> type:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=memory))
        return type(open_dataset(packed, "all", cache))

    assert opened(whole / MEMORY_SHARE + 1) is ImageDataset
    assert opened(whole / MEMORY_SHARE - 1) is StoredDataset
    assert opened(whole / MEMORY_SHARE + 1, processes=2) is StoredDataset
    assert opened(1, "memory") is ImageDataset


@pytest.mark.parametrize("config", CONFIGS)
def test_without_a_cache_the_same_pictures_come_from_the_disk(
    packed: Path, config: LoaderConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    stored = open_dataset(packed, "all", "off")
    lazy = Loader(stored, replace(config, cache="off"), seed=2).batch_at(50, 33)
    cached = Loader(load_dataset(packed, "all"), config, seed=2).batch_at(50, 33)
    assert equal(lazy, cached, slice(None))
