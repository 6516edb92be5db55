"""Feature maps against torchvision's own layers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from brushwork.models.errors import ModelError
from brushwork.models.pretrained import vgg
from brushwork.models.pretrained.vgg import Vgg, layer_names


@pytest.fixture
def reference() -> nn.Sequential:
    return make_layers(cfgs["D"][:9]).eval().requires_grad_(False)


@pytest.fixture
def published(reference: nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as torchvision publishes it, cut after the third stage, with its hash."""
    path = tmp_path / "vgg16.pth"
    state = {f"features.{name}": tensor for name, tensor in reference.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(vgg.PUBLISHED, "vgg16", replace(vgg.PUBLISHED["vgg16"], sha256_prefix=prefix))
    return path


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
def test_layer_names_are_in_torchvisions_order(arch: vgg.Architecture) -> None:
    kinds = {"conv": "Conv2d", "relu": "ReLU", "pool": "MaxPool2d"}
    layers = make_layers(cfgs[vgg.CONFIGURATIONS[arch]])
    assert [kinds[name[:4]] for name in layer_names(arch)] == [type(layer).__name__ for layer in layers]
    assert layer_names(arch)[5:8] == ["conv2_1", "relu2_1", "conv2_2"]


def test_taps_are_torchvisions(published: Path, reference: nn.Sequential) -> None:
    """Taps before an activation are not overwritten by it, and their order is that of the layers."""
    taps = ("relu3_1", "conv1_1", "relu1_1", "conv3_1", "pool1", "relu2_2")
    network = Vgg.from_weights("vgg16", taps, published)
    images = torch.rand(2, 3, 24, 20)
    found = network(images)
    assert list(found) == ["conv1_1", "relu1_1", "pool1", "relu2_2", "conv3_1", "relu3_1"]
    assert len(network.features) == 12
    shift, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - shift[:, None, None]) / scale[:, None, None]
    plain = nn.Sequential(*[nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in reference])
    for tap, maps in found.items():
        expected = plain[: layer_names("vgg16").index(tap) + 1](x)
        torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-6)
    for tap, maps in Vgg.from_weights("vgg16", taps, published).with_inputs_divided(8.0)(images).items():
        torch.testing.assert_close(maps * 8, found[tap], rtol=1e-4, atol=1e-5)


def test_random_is_frozen_seeded_and_keeps_its_scale() -> None:
    taps = [f"relu{stage}_1" for stage in range(1, 6)]
    before = torch.get_rng_state()
    network, again, other = (Vgg.random("vgg16", taps, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before), "the global generator is not used"
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    for tap, x in network(images).items():
        assert torch.equal(x, again(images)[tap])
        assert not torch.allclose(x, other(images)[tap], atol=0.01)
        assert 0.1 < x.square().mean().sqrt() < 10
    network(images)["relu2_1"].square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_mistakes_are_refused(published: Path) -> None:
    with pytest.raises(ModelError, match="no layer relu1_3, relu6_1"):
        Vgg("vgg16", ["relu1_1", "relu1_3", "relu6_1"])
    with pytest.raises(ModelError, match="no layer to tap"):
        Vgg("vgg19", [])
    with pytest.raises(ModelError, match=r"no features\.17\.weight"):
        Vgg.from_weights("vgg16", ["relu4_1"], published)
    with pytest.raises(ModelError, match=r"7x9 pixels are too small for relu4_1.*8 pixels"):
        Vgg.random("vgg16", ["relu4_1"])(torch.rand(1, 3, 9, 7))
