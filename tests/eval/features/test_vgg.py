"""VGG's taps as an extractor, with random weights: the published ones need a download."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from brushwork.eval.features.extract import Classifier, Extractor, MapExtractor
from brushwork.eval.features.resize import Precision
from brushwork.eval.features.vgg import TAPS, VggTaps
from brushwork.models.errors import ModelError
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg


def pictures(count: int, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def shallow(precision: Precision = "fp32") -> VggTaps:
    network = Vgg.random("vgg16", ("relu1_1", "conv2_1"), 0)
    return VggTaps(network, "shallow", "VGG16", precision=precision)


def test_is_an_extractor_of_vectors_and_maps() -> None:
    network, images = shallow(), pictures(19)
    assert isinstance(network, Extractor)
    assert isinstance(network, MapExtractor)
    assert not isinstance(network, Classifier)
    assert network.standardised
    features, maps = network(images), network.maps(images)
    assert features.shape == (19, network.dim) == (19, 2 * (64 + 128))
    assert [tuple(m.shape) for m in maps] == [(19, 64, 64, 64), (19, 128, 32, 32)]
    pooled = torch.cat([p for m in maps for p in (m.mean((2, 3)), m.std((2, 3), correction=0))], dim=1)
    torch.testing.assert_close(features, pooled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(images[17:18]), features[17:18], rtol=1e-4, atol=1e-4)


def test_maps_are_those_of_the_network_on_images_of_0_to_1() -> None:
    images = pictures(2, 64)  # the size of the protocol, so that nothing is resized
    expected = Vgg.random("vgg16", ["relu1_1", "conv2_1"], 0)(images.float() / 255)
    for found, tap in zip(shallow().maps(images), expected.values(), strict=True):
        torch.testing.assert_close(found, tap, rtol=1e-4, atol=1e-4)


def test_precision() -> None:
    network, rough = shallow(), shallow("bf16")
    assert rough.protocol == network.protocol.replace("float32", "bfloat16 autocast")
    expected = network(pictures(2))
    assert 1e-4 < float((rough(pictures(2)) - expected).norm() / expected.norm()) < 0.05


def test_control_has_random_weights() -> None:
    network = VggTaps(Vgg.random("vgg19", TAPS, 1), "vgg19", "words").control()
    assert network.dim == 2 * (64 + 128 + 256 + 512 + 512)
    assert network.name == "vgg19-random"
    for word in ("VGG19", "random seed 0", *TAPS, "64 px bilinear", "ImageNet", "float32"):
        assert word in network.protocol
    features = network(pictures(4))
    assert torch.equal(network.control()(pictures(4)), features)
    for block in features.split([2 * c for c in (64, 128, 256, 512, 512)], dim=1):
        assert 0.01 < block.std() < 10


def test_hed_has_its_own_weights_and_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Vgg.random("vgg16", ["conv5_3"], 5).state_dict()
    save_file(state, tmp_path / "hed.safetensors")
    monkeypatch.setattr(hed, "DIGEST", hed.digest(state)[:16])
    network = VggTaps.hed(tmp_path / "hed.safetensors")
    assert network.dim == 1920
    assert network.name == "hed-vgg16"
    assert network.protocol.startswith("HED-VGG16 (")
    images, taps = pictures(3, 64), ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]
    plain = Vgg("vgg16", taps, hed.MEAN, hed.STD).with_state(state)
    for found, tap in zip(network.maps(images), plain(images.float() / 255).values(), strict=True):
        torch.testing.assert_close(found, tap, rtol=1e-4, atol=0.05)
    assert (network.control().name, network.control().dim) == ("vgg16-random", 1920)
    with pytest.raises(ModelError, match="fetch hed-vgg16"):
        VggTaps.hed(tmp_path / "missing.safetensors")
