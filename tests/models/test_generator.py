import copy
import inspect
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import brushwork.models
from brushwork.models import load_generator, restyle, sample, style_weights
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig, at_stage
from brushwork.models.modulation import AdaIN
from brushwork.models.restyling import to_float
from brushwork.models.sampling import seeded_normal, to_uint8
from brushwork.models.stage import Stage, layer_count

from .conftest import stirred


def test_one_code_serves_all_layers_at_the_trained_stage(generator: Generator) -> None:
    z, styles = torch.randn(1, 8).expand(4, -1), torch.cat([torch.eye(3), torch.zeros(1, 3)])
    codes = generator.mapping(z, styles)[:, None].expand(-1, 6, -1)
    with suppress(KeyboardInterrupt), at_stage(generator, Stage(8, 0.5)):
        assert torch.equal(generator(z, styles), generator.synthesis(codes, Stage(8, 0.5)))
        raise KeyboardInterrupt
    images = generator(z, styles)
    assert torch.equal(images, generator.synthesis(codes, Stage(16))), "at_stage restores the stage"
    assert torch.equal(generator(z, styles, Stage(8)), generator.synthesis(codes, Stage(8)))
    assert torch.pdist(images.flatten(1)).min() > 1e-2, "four styles, four images"


def test_images_are_float32_and_of_moderate_size_before_training(config: GeneratorConfig) -> None:
    for names in (("a", "b"), ()):
        generator, styles = Generator(config, names), torch.eye(2)[[0, 1] * 8, : len(names)]
        with torch.autocast("cpu", torch.bfloat16):
            images = generator(torch.randn(16, 8), styles)
        assert images.dtype == torch.float32
        assert 0.2 < images.std() < 5


def test_adain_eps_reaches_every_layer(config: GeneratorConfig) -> None:
    modules = Generator(replace(config, adain_eps=0.5), ("a",)).modules()
    assert [layer.eps for layer in modules if isinstance(layer, AdaIN)] == [0.5] * layer_count(16)


def test_noise_can_be_taken_away(generator: Generator) -> None:
    """Half the strength is half the noise: what a first layer adds, and none leaves what the code decides."""
    noisy = stirred(copy.deepcopy(generator))
    quiet = copy.deepcopy(noisy).scale_noise(0.0)

    def drawn(generator: Generator, *, noise: bool) -> torch.Tensor:
        normal = seeded_normal(torch.tensor([1])) if noise else None
        return generator.synthesis(torch.ones(1, 6, 8), Stage(16), normal)

    assert torch.equal(drawn(quiet, noise=True), drawn(noisy, noise=False))
    assert not torch.equal(drawn(noisy, noise=True), drawn(noisy, noise=False))
    strengths = [copy.deepcopy(noisy).scale_noise(0.5).state_dict(), noisy.state_dict()]
    for name in strengths[1]:
        share = 0.5 if "noise" in name else 1.0
        torch.testing.assert_close(strengths[0][name], share * strengths[1][name])


def test_images_of_any_shape_with_transparency(config: GeneratorConfig) -> None:
    """16 x 24 pixels, sampled, restyled in tiles, and scored."""
    shape = replace(config, base_width=6, channels=4, encoders=True)
    generator = stirred(Generator(shape, ("chalk", "ink"))).eval()
    images = sample(generator, "ink", range(3))
    assert images.shape == (3, 4, 16, 24)
    for size in ((16, 24), (30, 20)):
        contents = torch.randint(0, 256, (2, 4, *size), dtype=torch.uint8)
        assert restyle(generator, contents, "ink").shape == contents.shape
        assert restyle(generator, contents, images[:1]).shape == contents.shape
        with pytest.raises(ModelError, match="images of 3 channels for a generator of 4: convert them to"):
            restyle(generator, contents[:, :3], "ink")
    discriminator = Discriminator(DiscriminatorConfig(), resolution=16, styles=2, base=(4, 6), inputs=4)
    for stage in (Stage(8), Stage(16, 0.5)):
        drawn = generator(torch.randn(2, 8), torch.eye(2), stage)
        assert discriminator(drawn, torch.eye(2), stage).shape == (2,)


def test_colours_are_multiplied_by_the_transparency_and_divided_again() -> None:
    straight = torch.randint(0, 256, (2, 4, 5, 7), dtype=torch.uint8)
    straight[:, 3] = torch.randint(1, 256, (2, 5, 7))
    assert torch.equal(to_uint8(to_float(straight)), straight)
    straight[:, 3] = 0
    assert (to_float(straight)[:, :3] == -1).all(), "one colour where nothing is seen"
    assert not to_uint8(to_float(straight)).any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base_height": 5, "base_width": 6}, "set the lesser to 4"),
        ({"resolution": 48}, "a power of two: 32 or 64"),
        ({"content_resolution": 32}, "content_resolution is 32, above resolution 16"),
        ({"content_details": True, "content_vae_channels": 4}, "content_details bypasses the bottleneck"),
    ],
)
def test_impossible_options_are_refused(
    config: GeneratorConfig, options: dict[str, Any], sentence: str
) -> None:
    GeneratorConfig(resolution=8, content_resolution=8)
    with pytest.raises((ModelError, ValidationError), match=sentence):
        replace(config, **options)


def test_the_face_explains_itself_and_is_imported_on_first_use() -> None:
    for function in (load_generator, restyle, sample, style_weights):
        assert f"{function.__name__}(" in (inspect.getdoc(function) or ""), "an example"
        assert getattr(brushwork.models, function.__name__) is function
    with pytest.raises(AttributeError, match="no attribute 'resample'"):
        _ = brushwork.models.resample  # type: ignore[attr-defined]
    code = "import sys, brushwork.models; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
