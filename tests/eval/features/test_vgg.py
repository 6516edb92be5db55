"""VGG's taps as an extractor, with random weights: the published ones need a download."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from brushwork.eval.features.extract import Classifier, Extractor, MapExtractor
from brushwork.eval.features.hed import HedTaps
from brushwork.eval.features.vgg import TAPS, VggTaps
from brushwork.models.errors import ModelError
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg


def pictures(count: int, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@lru_cache
def shallow(precision: str = "fp32", seed: int = 0, size: int = 64) -> VggTaps:
    taps = ("relu1_1", "conv2_1")
    if precision == "bf16":
        return VggTaps(taps=taps, pretrained=False, seed=seed, size=size, precision="bf16")
    return VggTaps(taps=taps, pretrained=False, seed=seed, size=size)


def test_is_an_extractor_of_vectors_and_maps() -> None:
    network = shallow()
    assert isinstance(network, Extractor)
    assert isinstance(network, MapExtractor)
    assert not isinstance(network, Classifier)
    assert network.standardised
    features, maps = network(pictures(19)), network.maps(pictures(19))
    assert features.shape == (19, network.dim) == (19, 2 * (64 + 128))
    assert [tuple(m.shape) for m in maps] == [(19, 64, 64, 64), (19, 128, 32, 32)]
    pooled = torch.cat([p for m in maps for p in (m.mean((2, 3)), m.std((2, 3), correction=0))], dim=1)
    torch.testing.assert_close(features, pooled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(pictures(19)[17:18]), features[17:18], rtol=1e-4, atol=1e-4)


def test_maps_are_those_of_the_network_on_pictures_of_0_to_1() -> None:
    images = pictures(2, 64)  # the size of the protocol, so that nothing is resized
    expected = Vgg.random("vgg16", ["relu1_1", "conv2_1"], 0)(images.float() / 255)
    for found, tap in zip(shallow().maps(images), expected.values(), strict=True):
        torch.testing.assert_close(found, tap, rtol=1e-4, atol=1e-4)


def test_default_taps_reach_the_last_stage() -> None:
    network = VggTaps("vgg19", pretrained=False, size=32)
    assert network.dim == 2 * (64 + 128 + 256 + 512 + 512)
    assert network.name == "vgg19-random"
    for word in ("VGG19", "random seed 0", *TAPS, "32 px bilinear", "ImageNet", "float32"):
        assert word in network.protocol
    features = network(pictures(4))
    for block in features.split([2 * c for c in (64, 128, 256, 512, 512)], dim=1):
        assert 0.01 < block.std() < 10


def test_protocols_and_controls() -> None:
    network = shallow()
    control = shallow("bf16", 3, 32).control()
    assert control.protocol == shallow("bf16", 0, 32).protocol
    assert torch.equal(control(pictures(1)), shallow("bf16", 0, 32)(pictures(1)))
    others = [shallow(seed=1), shallow(size=32), shallow("bf16")]
    assert len({n.protocol for n in (network, *others)} | {network.maps_protocol}) == 5
    expected, rough = network(pictures(2)), shallow("bf16")(pictures(2))
    assert 1e-4 < float((rough - expected).norm() / expected.norm()) < 0.05
    assert not torch.allclose(shallow(seed=1)(pictures(2)), expected, atol=0.01)


def test_mistakes_are_named() -> None:
    with pytest.raises(ModelError, match="too small for relu5_1"):
        VggTaps(pretrained=False, size=8)


def test_hed_has_its_own_weights_and_means_and_a_random_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Vgg.random("vgg16", ["conv5_3"], 5).state_dict()
    save_file(state, tmp_path / "hed.safetensors")
    monkeypatch.setattr(hed, "DIGEST", hed.digest(state)[:16])
    network = HedTaps(tmp_path / "hed.safetensors", taps=("conv1_2", "conv2_2"), size=32)
    assert isinstance(network, Extractor)
    assert network.name == "hed-vgg16"
    assert network.protocol.startswith("HED-VGG16 (")
    images = pictures(3)  # of the size of the protocol
    plain = Vgg("vgg16", ["conv1_2", "conv2_2"]).with_state(state).normalised_by(hed.MEAN, hed.STD)
    for found, tap in zip(network.maps(images), plain(images.float() / 255).values(), strict=True):
        torch.testing.assert_close(found, tap, rtol=1e-4, atol=1e-2)
    control = network.control()
    assert (control.name, control.dim, control.size) == ("vgg16-random", network.dim, 32)
    with pytest.raises(ModelError, match="fetch hed-vgg16"):
        HedTaps(tmp_path / "missing.safetensors")
