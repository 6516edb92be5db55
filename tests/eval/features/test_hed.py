"""HED-VGG16's taps as an extractor, with random weights: the published ones need a download."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from brushwork.eval.features.extractors import TAPS, HedVgg
from brushwork.models.errors import ModelError
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.vgg import Vgg

IMAGES = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
"""Of the size of the protocol, so that nothing is resized."""


def test_weights_and_means_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Vgg.random("vgg16", ["conv5_3"], 5).state_dict()
    save_file(state, tmp_path / "hed.safetensors")
    monkeypatch.setattr(hed, "DIGEST", hed.digest(state)[:16])
    network = HedVgg(tmp_path / "hed.safetensors")
    assert (network.name, network.dim) == ("hed-vgg16", 1920)
    assert network.protocol.startswith("HED-VGG16 (")
    assert "64 px bilinear without antialias, Caffe's means, mean+std" in network.protocol
    plain = Vgg("vgg16", TAPS, hed.MEAN, hed.STD).with_state(state)
    for found, tap in zip(network.maps(IMAGES), plain(IMAGES.float() / 255).values(), strict=True):
        torch.testing.assert_close(found, tap, rtol=1e-4, atol=0.05)
    with pytest.raises(ModelError, match="fetch hed-vgg16"):
        HedVgg(tmp_path / "missing.safetensors")


def test_control_has_seeded_random_weights() -> None:
    network = HedVgg(pretrained=False)
    assert network.name == "vgg16-random"
    for word in ("VGG16 (random seed 0)", *TAPS, "64 px bilinear", "ImageNet", "float32"):
        assert word in network.protocol
    features = network(IMAGES)
    assert features.shape == (3, network.dim)
    assert torch.equal(network.control()(IMAGES), features)
    for block in features.split([2 * c for c in (64, 128, 256, 512)], dim=1):
        assert 0.01 < block.std() < 10
