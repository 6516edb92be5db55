from dataclasses import replace

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig, at_stage
from brushwork.models.modulation import AdaIN
from brushwork.models.synthesis import Stage, layer_count


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


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_adain_eps_must_be_a_number_above_0(value: float) -> None:
    with pytest.raises(ModelError, match=f"adain_eps is {value}; it must be a number above 0"):
        GeneratorConfig(adain_eps=value)


def test_adain_eps_reaches_every_layer() -> None:
    config = GeneratorConfig(resolution=8, z_dim=4, w_dim=4, channel_base=16, channel_max=4, adain_eps=0.5)
    layers = [module for module in Generator(config, ("a",)).modules() if isinstance(module, AdaIN)]
    assert [layer.eps for layer in layers] == [0.5] * layer_count(8)


@pytest.mark.parametrize("name", ["z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max"])
def test_sizes_below_one_are_named(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} is 0; it must be at least 1"):
        replace(GeneratorConfig(), **{name: 0})


def test_a_resolution_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ModelError, match="resolution 48"):
        GeneratorConfig(resolution=48)
