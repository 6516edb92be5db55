"""The doors that take pictures: what passes them, and what by construction cannot."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.encoders import ContentEncoder, StyleEncoder, normal_divergence
from brushwork.models.errors import ModelError
from brushwork.models.feature_statistics import mean_and_std
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.layers import downsample2x
from brushwork.models.stage import Stage
from brushwork.models.synthesis import Content

WIDTHS = {4: 8, 8: 8, 16: 4}
STAGES = [Stage(8), Stage(16, 0.0), Stage(16, 0.5), Stage(16)]


def images(resolution: int = 16, rows: int = 3) -> Tensor:
    return torch.rand(rows, 3, resolution, resolution) * 2 - 1


@pytest.fixture
def style_encoder() -> StyleEncoder:
    torch.manual_seed(0)
    return StyleEncoder(WIDTHS, styles=3, w_dim=6)


def content_encoder(latent: int = 0, lowest: int = 8) -> ContentEncoder:
    torch.manual_seed(0)
    return ContentEncoder({r: c for r, c in WIDTHS.items() if r >= lowest}, blocks=1, latent=latent)


# Style
@pytest.mark.parametrize("stage", STAGES)
def test_a_code_for_every_picture_at_every_stage(style_encoder: StyleEncoder, stage: Stage) -> None:
    w = style_encoder(images(stage.resolution), torch.eye(3), stage)
    assert w.shape == (3, 6)
    assert w.isfinite().all()


def test_looks_do_not_say_where(style_encoder: StyleEncoder) -> None:
    """At the resolution where they are taken, a picture whose pixels are shuffled differs in place alone."""
    x = images(8)
    whole = style_encoder.style_features(x, Stage(8))
    shuffled = x.flatten(2)[:, :, torch.randperm(64)].view_as(x)
    torch.testing.assert_close(style_encoder.style_features(shuffled, Stage(8)), whole, rtol=1e-4, atol=1e-5)
    other = style_encoder.style_features(x * 0.5, Stage(8))
    assert not torch.allclose(other, whole, atol=1e-2)


def test_another_trunk_is_taken_over_at_the_size_of_ones_own(style_encoder: StyleEncoder) -> None:
    x, before = images(), style_encoder.summaries["16"].get_parameter("weight").clone()
    other = StyleEncoder(WIDTHS, styles=3, w_dim=6)
    gains = torch.tensor([2.0, 4.0])
    style_encoder.init_from(other, gains)
    torch.testing.assert_close(
        style_encoder.lowest_features(x, Stage(16)), other.lowest_features(x, Stage(16))
    )
    assert not style_encoder.summaries["16"].get_parameter("weight").equal(before)
    ours, theirs = style_encoder.state_dict(), other.state_dict()
    for r, gain in (("8", 2.0), ("16", 4.0)):
        name = f"summaries.{r}.weight"
        torch.testing.assert_close(ours[name] * gain, theirs[name])


def test_several_pictures_make_one_code(style_encoder: StyleEncoder) -> None:
    x, style = images(), torch.tensor([0.0, 1.0, 0.0])
    one = style_encoder.mean_code(x[:1], style, Stage(16))
    torch.testing.assert_close(one, style_encoder(x[:1], style[None], Stage(16)))
    several = style_encoder.mean_code(x, style, Stage(16))
    torch.testing.assert_close(style_encoder.mean_code(x.flip(0), style, Stage(16)), several)
    torch.testing.assert_close(style_encoder.mean_code(torch.cat([x, x]), style, Stage(16)), several)
    assert not torch.allclose(several, one)


def test_the_label_counts_and_may_be_missing(style_encoder: StyleEncoder) -> None:
    x = images(rows=1)
    labels = torch.cat([torch.eye(3), torch.zeros(1, 3)])
    codes = torch.cat([style_encoder(x, label[None], Stage(16)) for label in labels])
    assert torch.pdist(codes).min() > 1e-3


def test_the_cost_of_the_head_is_that_of_a_row(style_encoder: StyleEncoder) -> None:
    many = StyleEncoder(WIDTHS, styles=1000, w_dim=6)
    extra = sum(p.numel() for p in many.parameters()) - sum(p.numel() for p in style_encoder.parameters())
    assert extra == 997 * 6


# Content
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("latent", [0, 2])
def test_start_features_at_every_stage(stage: Stage, latent: int) -> None:
    content = content_encoder(latent)(images(stage.resolution), stage)
    assert content.features.shape == (3, 8, 8, 8)
    assert (content.divergence is not None) == bool(latent)


@pytest.mark.parametrize("latent", [0, 2])
def test_statistics_do_not_pass(latent: int) -> None:
    """Whatever the picture: mean 0 and deviation 1 in every channel."""
    for x in (images(), images() * 0.1 + 0.7):
        mean, std = mean_and_std(content_encoder(latent)(x, Stage(16)).features)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
        torch.testing.assert_close(std, torch.ones_like(std), atol=1e-2, rtol=0)


def test_content_follows_the_place() -> None:
    encoder, x = content_encoder(), images(8)
    features = encoder(x, Stage(8)).features
    mirrored = encoder(x.flip(3), Stage(8)).features
    assert not torch.allclose(mirrored, features, atol=1e-2)
    assert features.var(dim=(2, 3)).min() > 0.5


def test_fading_in_starts_from_the_stage_before() -> None:
    encoder, x = content_encoder(), images()
    fading = encoder(x, Stage(16, 0.0)).features
    torch.testing.assert_close(fading, encoder(downsample2x(x), Stage(8)).features, rtol=1e-4, atol=1e-4)


def test_the_bottleneck_is_noisy_only_if_asked() -> None:
    encoder, x = content_encoder(latent=2), images()
    torch.nn.init.zeros_(encoder.to_moments.weight)  # mean 0, variance 1: the prior itself
    mean, noisy = encoder(x, Stage(16)), encoder(x, Stage(16), lambda shape: torch.randn(3, *shape))
    assert mean.divergence is not None
    assert mean.divergence.abs().max() == 0
    assert mean.features.abs().max() == 0
    assert noisy.features.std() > 0.5


def test_divergence_in_closed_form() -> None:
    """Of N(2, 9) from N(0, 1): (4 + 9 - 1 - ln 9) / 2."""
    shape = (2, 3, 4, 4)
    found = normal_divergence(torch.full(shape, 2.0), torch.full(shape, math.log(9)))
    torch.testing.assert_close(found, torch.full((2,), (12 - math.log(9)) / 2))


def test_a_stage_below_the_door_is_a_mistake() -> None:
    with pytest.raises(ModelError, match="8 px is below the 16 px"):
        content_encoder(lowest=16)(images(8), Stage(8))


# In the generator
@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=6, w_dim=6, mapping_layers=2, channel_base=64, channel_max=8, encoders=True
    )
    return Generator(config, ("a", "b", "c"))


@pytest.mark.parametrize("stage", STAGES)
def test_the_synthesis_starts_at_either_door(generator: Generator, stage: Stage) -> None:
    content = generator.encoders.content(images(stage.resolution), stage)
    w = torch.randn(3, generator.layers, 6)
    drawn = generator.synthesis(w, stage, content=content)
    assert drawn.shape == (3, 3, stage.resolution, stage.resolution)
    other = generator.synthesis(w, stage, content=Content(features=content.features.flip(0)))
    assert not torch.allclose(other, drawn, atol=1e-3)
    assert not torch.allclose(generator.synthesis(w.flip(0), stage, content=content), drawn, atol=1e-3)


def test_layers_below_the_content_are_without_effect(generator: Generator) -> None:
    """Content at 8 px enters in the second half of that block: the layers 0, 1 (4 px) and 2 are passed by."""
    content, w = Content(features=torch.randn(3, 8, 8, 8)), torch.randn(3, generator.layers, 6)
    drawn = generator.synthesis(w, Stage(16), content=content)
    for layer in range(generator.layers):
        changed = w.clone()
        changed[:, layer] += 1
        same = torch.equal(generator.synthesis(changed, Stage(16), content=content), drawn)
        assert same == (layer < 3), layer


def test_gradients_reach_encoders_through_the_synthesis(generator: Generator) -> None:
    x, stage = images(), Stage(16)
    w = generator.encoders.style(x, torch.eye(3), stage)
    content: Content = generator.encoders.content(x, stage)
    codes = w[:, None].expand(-1, generator.layers, -1)
    generator.synthesis(codes, stage, content=content).square().sum().backward()
    for part in (generator.style_encoder, generator.content_encoder):
        assert part is not None
        grads = [p.grad for name, p in part.named_parameters() if not name.startswith("from_rgb.8")]
        assert all(g is not None and g.isfinite().all() for g in grads)
    assert generator.synthesis.start.grad is None


def test_a_generator_without_encoders_says_so() -> None:
    config = GeneratorConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=16, channel_max=4)
    with pytest.raises(ModelError, match="no encoders"):
        _ = Generator(config, ("a",)).encoders
    with pytest.raises(ModelError, match="content_resolution is 32, above resolution 16"):
        GeneratorConfig(resolution=16, content_resolution=32)


# Details
def detailed(**changes: Any) -> ContentEncoder:
    return ContentEncoder({8: 8, 16: 6, 32: 4}, blocks=1, details=True, **changes)


def test_details_of_every_finer_resolution_are_normalised() -> None:
    encoder = detailed()
    for size, finer in ((32, (32, 16)), (16, (16,)), (8, ())):
        content = encoder(images(size), Stage(size))
        assert {r: tuple(x.shape[1:]) for r, x in content.details.items()} == {
            r: ({16: 6, 32: 4}[r], r, r) for r in finer
        }
        for x in content.details.values():
            mean, std = mean_and_std(x)
            torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
            torch.testing.assert_close(std, torch.ones_like(std), atol=1e-2, rtol=0)


def test_details_reach_the_picture_and_gradients_reach_them() -> None:
    shape = GeneratorConfig(
        resolution=16, z_dim=6, w_dim=6, mapping_layers=1, channel_base=128, channel_max=8, encoders=True,
        content_details=True,
    )  # fmt: skip
    generator = Generator(shape, ("a", "b"))
    x, w = images(16), torch.randn(3, generator.layers, 6)
    content = generator.encoders.content(x, Stage(16))
    drawn = generator.synthesis(w, Stage(16), content=content)
    without = Content(features=content.features)
    assert not torch.allclose(generator.synthesis(w, Stage(16), content=without), drawn, atol=1e-3)
    drawn.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in generator.encoders.content.details.parameters())


def test_details_and_a_bottleneck_exclude_each_other() -> None:
    with pytest.raises(ModelError, match="content_details bypasses the bottleneck"):
        GeneratorConfig(content_details=True, content_vae_channels=4)


# Attention and style at chosen resolutions
def test_encoders_attend_where_they_are_told_to() -> None:
    shape = GeneratorConfig(
        resolution=16, z_dim=6, w_dim=6, channel_base=128, channel_max=8, encoders=True,
        encoder_attention=(16,),
    )  # fmt: skip
    encoders = Generator(shape, ("a", "b")).encoders
    for encoder in (encoders.style, encoders.content):
        attending = [type(block.attention).__name__ for block in encoder.blocks.values()]
        assert attending == ["SelfAttention"]


@pytest.mark.parametrize("modulation", ["adain", "modulated"])
def test_style_enters_at_the_chosen_resolutions_alone(modulation: Any) -> None:
    shape = GeneratorConfig(
        resolution=16,
        z_dim=6,
        w_dim=6,
        channel_base=128,
        channel_max=8,
        style_resolutions=(8,),
        modulation=modulation,
    )
    generator = Generator(shape, ("a", "b"))
    w = torch.randn(3, generator.layers, 6)
    drawn = generator.synthesis(w, Stage(16))
    for layer in range(generator.layers):
        changed = w.clone()
        changed[:, layer] += 1
        same = torch.equal(generator.synthesis(changed, Stage(16)), drawn)
        assert same == (layer not in (2, 3)), layer


@pytest.mark.parametrize("name", ["attention", "style_resolutions", "encoder_attention"])
def test_resolutions_that_there_are_not_are_named(name: str) -> None:
    wrong: dict[str, Any] = {name: (64,)}
    with pytest.raises(ModelError, match=f"{name} names resolution 64: choose from 4, 8, 16, 32"):
        GeneratorConfig(**wrong)
