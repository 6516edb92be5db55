"""The real network from its wheel, and its control."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.features import efficientnet as module
from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.features.extract import Extractor, MapExtractor
from brushwork.eval.features.statistics import resized

CHANNELS = (24, 40, 80, 112, 320)


def pictures(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 48, 48), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(scope="module")
def trained() -> EfficientNetLite:
    return EfficientNetLite()


@pytest.fixture(scope="module")
def control(trained: EfficientNetLite) -> EfficientNetLite:
    return trained.control()


def test_is_an_extractor_of_vectors_and_maps(trained: EfficientNetLite) -> None:
    images = pictures(3)
    assert isinstance(trained, Extractor)
    assert isinstance(trained, MapExtractor)
    assert trained.standardised
    features, maps = trained(images), trained.maps(images)
    assert features.shape == (3, trained.dim) == (3, 1152)
    assert features.isfinite().all()
    assert tuple(m.shape[1] for m in maps) == CHANNELS
    pooled = torch.cat([p for m in maps for p in (m.mean((2, 3)), m.std((2, 3), correction=0))], dim=1)
    torch.testing.assert_close(features, pooled, rtol=1e-4, atol=1e-4)


def test_protocol_names_what_decides_the_values(trained: EfficientNetLite, control: EfficientNetLite) -> None:
    network = "EfficientNet-Lite0 (imagenet 57934424), 64 px bilinear without antialias, (x*255-127)/128"
    assert (trained.name, control.name) == ("efficientnet-lite0", "efficientnet-lite0-random")
    assert trained.protocol == f"{network}, mean+std over space of blocks 1,3,5,10,15, float32"
    assert trained.maps_protocol == f"{network}, blocks 1,3,5,10,15, float32"
    weights = "random seed 0, batch norm calibrated on noise"
    assert control.protocol == trained.protocol.replace("imagenet 57934424", weights)


def test_folding_changes_nothing() -> None:
    """Batch norm and padding inside the convolutions against the package's own layers."""
    x = resized(pictures(4), 64) / 128 - 1
    plain, folded = module._pretrained_network(), module._folded(module._pretrained_network())
    with torch.no_grad():
        expected = [block.clone() for block in module._tapped(plain, x)]
        found = list(module._tapped(folded, x))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_control_has_seeded_weights_of_its_own(trained: EfficientNetLite, control: EfficientNetLite) -> None:
    """Every tap separates images, on a scale near one down to the last block."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = EfficientNetLite(pretrained=False)
    assert torch.equal(torch.rand(3), expected), "the global random state is left alone"
    images = pictures(4)
    assert torch.equal(control(images), again(images))
    assert not torch.allclose(control(images), trained(images), atol=0.01)
    flat = torch.arange(0, 256, 8, dtype=torch.uint8)[:, None, None, None].expand(32, 3, 48, 48)
    features = control(torch.cat([pictures(32), flat]))
    for block in features.split([2 * c for c in CHANNELS], dim=1):
        assert 0.2 < block.std(dim=0).mean() < 5
