"""Features of many images, in parts, from the cache, and by several processes; and standardising."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.features import extract as module
from brushwork.eval.features.extract import Extraction, FeatureCache, Standardiser, extract, in_parts
from brushwork.eval.processes import Processes
from brushwork.eval.sources import Stored

from ..conftest import Colours


def pictures(count: int) -> Stored:
    images = torch.randint(0, 256, (count, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
    return Stored(images=images, styles=torch.zeros(count, dtype=torch.int64))


def test_features_come_in_order_and_images_are_generated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 6)
    monkeypatch.setattr(module, "BATCH", 4)
    drawn: list[int] = []

    class Counted(Stored):
        def take(self, indices: Tensor) -> Tensor:
            drawn.append(len(indices))
            return super().take(indices)

    source, extractor = Counted(images=pictures(15).images, styles=pictures(15).styles), Colours()
    found, again = extract([extractor, Colours("another")], source)
    assert found.equal(Colours()(source.images))
    assert found.equal(again)
    assert extractor.seen == drawn == [4, 2, 4, 2, 3]


def test_an_interrupted_run_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 4)
    source, cache = pictures(12), FeatureCache(tmp_path)

    class Cut(Colours):
        def __call__(self, images: Tensor) -> Tensor:
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        extract([Cut()], source, Extraction(cache=cache))
    whole = Colours()
    (found,) = extract([whole], source, Extraction(cache=cache))
    assert whole.seen == [4]  # two parts of three lay there
    assert found.equal(Colours()(source.images))
    again = Colours()
    assert extract([again], source, Extraction(cache=cache))[0].equal(found)
    assert again.seen == []


def test_the_parts_of_two_processes_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes every other part."""
    monkeypatch.setattr(module, "PART", 4)
    source, made = pictures(18), {}

    class Gathering(Processes):
        def gather(self, mine: dict) -> dict:
            made.update(mine)
            return made if self.rank else {start: [torch.zeros(0, 8)] for start in range(0, 18, 4)}

    first, second = Colours(), Colours()
    extract([first], source, Extraction(processes=Gathering(rank=0, count=2)))
    (found,) = extract([second], source, Extraction(processes=Gathering(rank=1, count=2)))
    assert found.equal(Colours()(source.images))
    assert (sum(first.seen), sum(second.seen)) == (10, 8)


def test_parts_in_order_in_float32_without_gradients() -> None:
    weight = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    images, seen = pictures(7).images, []

    def network(part: Tensor) -> Iterator[Tensor]:
        seen.append(len(part))
        yield F.linear(part.float().mean(dim=(2, 3)), weight)
        yield part[:, :1].double()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        means, first = in_parts(network, images, torch.device("cpu"), 3)
    assert seen == [3, 3, 1]
    assert not means.requires_grad
    torch.testing.assert_close(means, images.float().mean(dim=(2, 3)) @ weight.detach().T, rtol=1e-5, atol=0)
    assert torch.equal(first, images[:, :1].float())


@pytest.fixture
def settings() -> Iterator[None]:
    cudnn, cuda = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, cuda


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("allowed", [True, False])
def test_no_tf32_and_settings_are_restored(allowed: bool) -> None:
    """GPUs use TF32 for convolutions by default."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    inside = []

    def network(part: Tensor) -> tuple[Tensor, ...]:
        convolutions = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
        inside.append((convolutions.fp32_precision, torch.backends.cuda.matmul.fp32_precision))
        if len(inside) == 2:
            raise RuntimeError("stop")
        return (part.float(),)

    with pytest.raises(RuntimeError, match="stop"):
        in_parts(network, pictures(2).images, torch.device("cpu"), 1)
    assert inside == [("ieee", "ieee")] * 2
    assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.backends.cuda.matmul.allow_tf32 is allowed


def test_standardised_columns() -> None:
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1.0, 100.0, 3.0, 0.0, 1e-4])
    features = torch.randn(500, 5, generator=generator) * scales + torch.tensor([7.0, 7.0, 7.0, 7.0, 0.0])
    standardiser = Standardiser.fit(features)
    found = standardiser(features)
    assert torch.allclose(found.mean(0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(found.std(0, correction=0), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]), atol=1e-5)
    assert standardiser.left_out == 2
    alive = standardiser(features + torch.tensor([0.0, 0.0, 0.0, 9.0, 9.0]))
    assert torch.equal(alive, found), "a channel that is dead on the reference says nothing"


def test_cache_is_keyed_by_pictures_and_protocol(tmp_path: Path) -> None:
    cache, features = FeatureCache(tmp_path), torch.randn(5, 8)
    cache.put(Colours(), "key", features)
    found = cache.get(Colours(), "key", 5)
    assert found is not None
    assert found.equal(features)
    assert cache.get(Colours(), "another", 5) is None
    assert cache.get(Colours("resized otherwise"), "key", 5) is None
    assert cache.get(Colours(), "key", 4) is None
    assert cache.get(Colours(), None, 5) is None


@pytest.mark.parametrize("damage", ["cut", "altered", "empty"])
def test_a_damaged_file_counts_as_absent(tmp_path: Path, damage: str) -> None:
    cache, features = FeatureCache(tmp_path), torch.randn(5, 8)
    cache.put(Colours(), "key", features)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    altered = bytes([*whole[:-3], whole[-3] ^ 255, *whole[-2:]])
    path.write_bytes({"cut": whole[:-20], "altered": altered, "empty": b""}[damage])
    assert cache.get(Colours(), "key", 5) is None
    cache.put(Colours(), "key", features)
    assert cache.get(Colours(), "key", 5) is not None


def test_a_cache_without_a_folder_or_in_a_file_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for cache in (FeatureCache(None), FeatureCache(tmp_path / "file")):
        cache.put(Colours(), "key", torch.randn(5, 8))
        assert cache.get(Colours(), "key", 5) is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_cache_removes_the_least_recently_used(tmp_path: Path) -> None:
    cache, features = FeatureCache(tmp_path), torch.randn(5, 8)
    for moment, key in enumerate("abc"):
        cache.put(Colours(), key, features)
        for written in tmp_path.iterdir():
            os.utime(written, (moment, min(moment, written.stat().st_mtime)))
    cache.limit = sum(written.stat().st_size for written in tmp_path.iterdir())
    assert cache.get(Colours(), "a", 5) is not None, "used again, so b is the oldest now"
    cache.put(Colours(), "d", features)
    assert [key for key in "abcd" if cache.get(Colours(), key, 5) is not None] == ["a", "c", "d"]
