"""The classifier sees statistics and no place, at every stage that its trunk has."""

import pytest
import torch

from brushwork.models.classifier import StyleClassifier
from brushwork.models.encoders import StyleEncoder
from brushwork.models.stage import Stage

WIDTHS = {4: 8, 8: 8, 16: 6, 32: 4}


@pytest.fixture
def network() -> StyleClassifier:
    torch.manual_seed(0)
    return StyleClassifier(WIDTHS, styles=5)


def test_logits_and_maps_at_every_stage(network: StyleClassifier) -> None:
    for size in (8, 16, 32):
        images = torch.randn(2, 3, size, size)
        assert network(images, Stage(size)).shape == (2, 5)
        shapes = [tuple(x.shape) for x in network.maps(images, Stage(size))]
        assert shapes == [(2, WIDTHS[r], r, r) for r in (32, 16, 8) if r <= size]


def test_it_takes_the_statistics_of_every_map(network: StyleClassifier) -> None:
    images = torch.randn(2, 3, 16, 16)
    logits = torch.zeros(2, 5)
    for x in network.maps(images, Stage(16)):
        statistics = torch.cat([x.mean((2, 3)), (x.var((2, 3)) + 1e-5).sqrt()], dim=1)
        logits = logits + network.scores[str(x.shape[-1])](statistics)
    torch.testing.assert_close(network(images, Stage(16)), logits)


def test_maps_of_real_pictures_have_a_mean_square_of_one(network: StyleClassifier) -> None:
    images = torch.randn(8, 3, 32, 32)
    before = network(images, Stage(32))
    network.set_gains(images)
    for x in network.maps(images, Stage(32)):
        assert x.square().mean().item() == pytest.approx(1, rel=1e-4)
    assert network(images, Stage(32)).equal(before), "answers do not change"
    coarse = torch.randn(8, 3, 16, 16)
    plain = list(network.feature_pyramid(coarse, Stage(16)))
    for x, y, gain in zip(network.maps(coarse, Stage(16)), plain, network.gains[:2].flip(0), strict=True):
        torch.testing.assert_close(x * gain, y)


def test_its_trunk_is_the_style_encoders(network: StyleClassifier) -> None:
    encoder = StyleEncoder(WIDTHS, styles=5, w_dim=8).state_dict()
    shared = {name: tuple(v.shape) for name, v in network.state_dict().items() if name in encoder}
    assert shared == {
        name: tuple(v.shape) for name, v in encoder.items() if name.startswith(("from", "blocks"))
    }
