"""Encoders and classifier: what their outputs depend on, and what the architecture removes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.encoders import ContentEncoder, StyleClassifier, StyleEncoder, kl
from brushwork.models.errors import ModelError
from brushwork.models.feature_statistics import mean_and_std
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.layers import downsample2x
from brushwork.models.stage import Stage
from brushwork.models.synthesis import Content

from .conftest import NAMES

WIDTHS = {4: 8, 8: 8, 16: 4}


def images(resolution: int = 16, rows: int = 3) -> Tensor:
    return torch.rand(rows, 3, resolution, resolution) * 2 - 1


def assert_normalised(x: Tensor) -> None:
    mean, std = mean_and_std(x)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-2, rtol=0)


@pytest.fixture
def style_encoder() -> StyleEncoder:
    return StyleEncoder(WIDTHS, styles=3, w_dim=6)


def content_encoder(latent: int = 0, **options: Any) -> ContentEncoder:
    return ContentEncoder({8: 8, 16: 6, 32: 4}, blocks=1, latent=latent, **options)


def test_style_features_do_not_depend_on_positions(style_encoder: StyleEncoder) -> None:
    """An image of 8 px with shuffled pixels differs in positions alone."""
    x = images(8)
    whole = style_encoder.style_features(x, Stage(8))
    shuffled = x.flatten(2)[:, :, torch.randperm(64)].view_as(x)
    torch.testing.assert_close(style_encoder.style_features(shuffled, Stage(8)), whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(style_encoder.style_features(x * 0.5, Stage(8)), whole, atol=1e-2)
    codes = style_encoder(x[:1].expand(4, -1, -1, -1), torch.eye(4)[:, :3], Stage(8))
    assert torch.pdist(codes).min() > 1e-3, "the label counts, and may be missing"


def test_the_style_encoder_starts_from_a_classifier(style_encoder: StyleEncoder) -> None:
    """Both see the same maps; the summaries are divided by their root mean squares."""
    classifier, x = StyleClassifier(WIDTHS, styles=3), images()
    before = style_encoder.get_parameter("summaries.16.weight").clone()
    style_encoder.init_from(classifier, torch.tensor([2.0, 4.0]))
    ours, theirs = (list(network.feature_pyramid(x, Stage(16))) for network in (style_encoder, classifier))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(style_encoder.get_parameter("summaries.16.weight") * 4, before)


@pytest.mark.parametrize("stage", [Stage(8), Stage(16, 0.0), Stage(16, 0.5), Stage(16)])
@pytest.mark.parametrize("latent", [0, 2])
def test_content_features_are_normalised_and_fade_in(stage: Stage, latent: int) -> None:
    encoder, x = content_encoder(latent), images(stage.resolution)
    if stage.alpha == 0:
        before = encoder(downsample2x(x), Stage(8)).features
        torch.testing.assert_close(encoder(x, stage).features, before, rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match="4 px is below the 8 px"):
        encoder(images(4), Stage(4))
    for scale, shift in ((1, 0), (0.1, 0.7)):
        content = encoder(x * scale + shift, stage)
        assert content.features.shape == (3, 8, 8, 8)
        assert_normalised(content.features)
        assert (content.kl_divergence is not None) == bool(latent)


def test_the_bottleneck_is_noisy_only_with_noise() -> None:
    encoder, x = content_encoder(latent=2), images()
    torch.nn.init.zeros_(encoder.to_moments.weight)  # mean 0, variance 1: the prior itself
    mean, noisy = encoder(x, Stage(16)), encoder(x, Stage(16), lambda shape: torch.randn(3, *shape))
    assert mean.kl_divergence is not None
    assert mean.kl_divergence.count_nonzero() == mean.features.count_nonzero() == 0
    assert noisy.features.std() > 0.5
    shape = (2, 3, 4, 4)  # of N(2, 9) from N(0, 1): (4 + 9 - 1 - ln 9) / 2
    found = kl(torch.full(shape, 2.0), torch.full(shape, math.log(9)))
    torch.testing.assert_close(found, torch.full((2,), (12 - math.log(9)) / 2))


def test_details_of_every_finer_resolution_are_normalised() -> None:
    encoder = content_encoder(details=True)
    for size, finer in ((32, {32: 4, 16: 6}), (16, {16: 6}), (8, {})):
        details = encoder(images(size), Stage(size)).details
        assert {r: tuple(x.shape) for r, x in details.items()} == {r: (3, c, r, r) for r, c in finer.items()}
        for x in details.values():
            assert_normalised(x)


def test_gradients_reach_encoders_and_details_through_the_synthesis(config: GeneratorConfig) -> None:
    generator = Generator(replace(config, encoders=True, content_details=True), NAMES)
    x, stage = images(), Stage(16)
    content = generator.encoders.content(x, stage)
    codes = generator.encoders.style(x, torch.eye(3), stage)[:, None].expand(-1, generator.layers, -1)
    image = generator.synthesis(codes, stage, content=content)
    without = generator.synthesis(codes, stage, content=Content(features=content.features))
    assert not torch.allclose(without, image, atol=1e-3)
    image.square().sum().backward()
    for part in (generator.encoders.style, generator.encoders.content):
        grads = [p.grad for name, p in part.named_parameters() if not name.startswith("from_rgb.8")]
        assert all(g is not None and g.isfinite().all() for g in grads)
    assert all(p.grad is not None and p.grad.any() for p in generator.encoders.content.details.parameters())
    assert generator.synthesis.start.grad is None


def test_logits_are_sums_over_statistics_of_every_map() -> None:
    network, x = StyleClassifier(WIDTHS, styles=5), images()
    logits = torch.zeros(3, 5)
    for maps in network.maps(x, Stage(16)):
        statistics = torch.cat([maps.mean((2, 3)), (maps.var((2, 3)) + 1e-5).sqrt()], dim=1)
        logits = logits + network.scores[str(maps.shape[-1])](statistics)
    torch.testing.assert_close(network(x, Stage(16)), logits)
    assert network(images(8), Stage(8)).shape == (3, 5)


def test_maps_of_real_images_have_a_mean_square_of_one() -> None:
    network, x = StyleClassifier(WIDTHS, styles=5), images(rows=8)
    before = network(x, Stage(16))
    network.set_gains(x)
    assert [tuple(m.shape[1:]) for m in network.maps(x, Stage(16))] == [(4, 16, 16), (8, 8, 8)]
    for maps in network.maps(x, Stage(16)):
        assert maps.square().mean().item() == pytest.approx(1, rel=1e-4)
    assert network(x, Stage(16)).equal(before), "logits do not change"
    coarse = images(8)
    scaled = network.maps(coarse, Stage(8))[0] * network.gains[0]
    torch.testing.assert_close(scaled, next(network.feature_pyramid(coarse, Stage(8))))
