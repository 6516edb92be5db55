import pytest
import torch
from pydantic import ValidationError

from brushwork.models.generator import Generator, GeneratorConfig, at_stage
from brushwork.models.modulation import AdaIN
from brushwork.models.stage import Stage, layer_count


def test_one_code_serves_all_layers(generator: Generator) -> None:
    z, styles = torch.randn(2, 8), torch.eye(3)[:2]
    w = generator.mapping(z, styles)
    assert generator.layers == 6
    codes = w[:, None].expand(-1, 6, -1)
    assert torch.equal(generator(z, styles, Stage(16)), generator.synthesis(codes, Stage(16)))


def test_without_a_stage_it_draws_at_the_one_it_was_trained_to(generator: Generator) -> None:
    z, styles = torch.randn(2, 8), torch.eye(3)[:2]
    assert generator(z, styles).shape == (2, 3, 16, 16)
    generator.trained_stage = Stage(8, 0.5)
    assert torch.equal(generator(z, styles), generator(z, styles, Stage(8, 0.5)))


def test_it_is_at_another_stage_for_the_time_of_a_block(generator: Generator) -> None:
    def cut_short() -> None:
        with at_stage(generator, Stage(8, 0.5)):
            assert generator.trained_stage == Stage(8, 0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert generator.trained_stage == Stage(16)


def test_the_style_changes_the_picture(generator: Generator) -> None:
    z = torch.randn(1, 8).expand(4, -1)
    styles = torch.cat([torch.eye(3), torch.zeros(1, 3)])
    pictures = generator(z, styles).flatten(1)
    assert (torch.cdist(pictures, pictures) + torch.eye(4) > 1e-2).all(), "four styles, four pictures"


def test_a_generator_without_styles_draws_the_unlabelled(config: GeneratorConfig) -> None:
    assert Generator(config, ())(torch.randn(2, 8), torch.zeros(2, 0)).shape == (2, 3, 16, 16)


def test_outputs_are_float32_and_of_moderate_size_at_the_start(config: GeneratorConfig) -> None:
    generator = Generator(config, ("a", "b"))
    with torch.autocast("cpu", torch.bfloat16):
        pictures = generator(torch.randn(16, 8), torch.eye(2)[[0, 1] * 8])
    assert pictures.dtype == torch.float32
    assert 0.2 < pictures.std() < 5


def test_adain_eps_reaches_every_layer() -> None:
    config = GeneratorConfig(resolution=8, z_dim=4, w_dim=4, channel_base=16, channel_max=4, adain_eps=0.5)
    layers = [module for module in Generator(config, ("a",)).modules() if isinstance(module, AdaIN)]
    assert [layer.eps for layer in layers] == [0.5] * layer_count(8)


def test_a_resolution_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValidationError, match="a power of two: 32 or 64"):
        GeneratorConfig(resolution=48)
