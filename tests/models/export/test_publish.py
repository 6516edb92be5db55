"""Published generators: other programs draw the same images from the same seeds."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.export import publish
from brushwork.models.export.graphs import graphs_of, noise_shapes
from brushwork.models.export.portable import Normal, png_bytes, to_uint8
from brushwork.models.export.publish import published_files, require_same
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.sampling import render, style_codes
from brushwork.models.sampling import to_uint8 as theirs
from brushwork.models.stage import Stage

CONFIG = GeneratorConfig(resolution=8, z_dim=16, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
SHAPES = {
    "modulated, wide and transparent": replace(CONFIG, modulation="modulated", base_width=6, channels=4),
    "encoders": replace(CONFIG, encoders=True, content_details=True),
}

Published = tuple[Generator, Path]


def made(config: GeneratorConfig) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config, ("ink", "oil"))
        generator.mapping.average.normal_(std=0.3)
        for name, parameter in generator.named_parameters():
            if name.endswith("strength"):
                parameter.data.normal_(std=0.2)
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=SHAPES)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Published:
    generator = made(SHAPES[request.param])
    folder = tmp_path_factory.mktemp("published")
    for name, content in published_files(generator).items():
        (folder / name).write_bytes(content)
    return generator, folder


def script(folder: Path) -> ModuleType:
    """The folder's own program."""
    spec = importlib.util.spec_from_file_location("generate", folder / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seeds_give_the_images_of_sample(published: Published) -> None:
    generator, folder = published
    seeds = [5, 2**32 - 1, 7]
    program = script(folder).Published(folder)
    for style, psi in (("oil", 1.0), ("ink=0.3+oil=0.7", 0.6)):
        expected = style_codes(generator, style, seeds, psi=psi)
        codes = program.codes(style, seeds, psi)
        assert np.abs(codes - expected.numpy()).max() < 1e-5
        images = render(generator, expected, seeds).permute(0, 2, 3, 1).numpy()
        assert np.abs(program.images(codes, seeds).astype(int) - images.astype(int)).max() <= 1
    assert {path.name for path in folder.glob("*.onnx")} == {f"{name}.onnx" for name in graphs_of(generator)}


def test_the_numbers_of_a_seed_are_those_of_pytorch() -> None:
    theirs, ours = torch.Generator().manual_seed(77), Normal(77)
    for count in (16, 24, 512, 100):
        expected = torch.randn(count, generator=theirs).numpy()
        assert np.abs(ours(count) - expected).max() < 1e-6


def test_transparent_images_and_png_files(tmp_path: Path) -> None:
    images = torch.rand(2, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours, expected = to_uint8(images.numpy()), theirs(images).numpy()
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    from PIL import Image

    for pixels in (ours[0].transpose(1, 2, 0), ours[0, :3].transpose(1, 2, 0)):
        (tmp_path / "a.png").write_bytes(png_bytes(np.ascontiguousarray(pixels)))
        with Image.open(tmp_path / "a.png") as image:
            assert (np.array(image) == pixels).all()


def test_noise_is_that_of_the_trained_stage() -> None:
    generator = made(replace(CONFIG, encoders=True))
    assert noise_shapes(generator) == [(1, 4, 4), (1, 4, 4), (1, 8, 8), (1, 8, 8)]
    assert noise_shapes(generator, restyled=True) == [(1, 8, 8)]
    generator = made(replace(CONFIG, resolution=16))
    generator.trained_stage = Stage(8)
    assert len(noise_shapes(generator)) == 4


def test_what_cannot_be_published_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="of 8 numbers cannot be repeated"):
        published_files(made(replace(CONFIG, z_dim=8)))
    generator = made(CONFIG)
    graph = graphs_of(generator)["mapping"]
    content = publish.onnx_bytes(graph)
    assert require_same("mapping", graph, content) < 1e-5
    generator.mapping.average += 1
    with pytest.raises(ModelError, match="the graph mapping differs from PyTorch"):
        require_same("mapping", graph, content)
