import inspect
import subprocess
import sys
from contextlib import suppress

import pytest
import torch
from pydantic import ValidationError

import brushwork.models
from brushwork.models import load_generator, restyle, sample, style_weights
from brushwork.models.generator import Generator, GeneratorConfig, at_stage
from brushwork.models.modulation import AdaIN
from brushwork.models.stage import Stage, layer_count


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


def test_adain_eps_reaches_every_layer() -> None:
    config = GeneratorConfig(resolution=8, z_dim=4, w_dim=4, channel_base=16, channel_max=4, adain_eps=0.5)
    layers = [module for module in Generator(config, ("a",)).modules() if isinstance(module, AdaIN)]
    assert [layer.eps for layer in layers] == [0.5] * layer_count(8)


def test_a_resolution_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValidationError, match="a power of two: 32 or 64"):
        GeneratorConfig(resolution=48)


def test_the_face_explains_itself_and_is_imported_on_first_use() -> None:
    for function in (load_generator, restyle, sample, style_weights):
        assert f"{function.__name__}(" in (inspect.getdoc(function) or ""), "an example"
        assert getattr(brushwork.models, function.__name__) is function
    with pytest.raises(AttributeError, match="no attribute 'resample'"):
        _ = brushwork.models.resample  # type: ignore[attr-defined]
    code = "import sys, brushwork.models; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
