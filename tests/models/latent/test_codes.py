"""Codes of images: their file, their images and edits of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.latent.codes import Codes, codes_bytes, concatenated, load_codes, render_codes
from brushwork.models.latent.walks import eased, mixed, walk
from brushwork.models.sampling import render, style_codes

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
STYLES = ("ink", "oil", "wash")
SIZES = [(side, side) for side in (4, 4, 8, 8, 16, 16)]
"""Of the noise maps."""


@pytest.fixture
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Generator(CONFIG, STYLES)
        made.mapping.average[:2].normal_()
        for name, parameter in made.named_parameters():
            if name.endswith("strength"):
                parameter.data.normal_(std=0.2)
    return made.eval().requires_grad_(False)


@pytest.fixture
def codes(generator: Generator) -> Codes:
    w = style_codes(generator, "oil", [1, 2, 3])
    return Codes(names=("a", "b", "c"), w=w, styles=torch.eye(3)[[1, 1, 1]], weights="abc")


def test_images_are_those_of_the_codes_with_the_noise_of_seed_zero(
    generator: Generator, codes: Codes
) -> None:
    expected = render(generator, codes.w, [0, 0, 0])
    assert torch.equal(render_codes(generator, codes), expected)
    assert (render_codes(generator, codes, batch=2).int() - expected.int()).abs().max() <= 1
    other = replace(codes, noise=tuple(torch.zeros(3, 1, *size) for size in SIZES))
    assert not torch.equal(render_codes(generator, other), expected)


def test_a_file_holds_all(generator: Generator, codes: Codes, tmp_path: Path) -> None:
    maps = tuple(torch.randn(3, 1, *size) for size in (*SIZES, *SIZES))
    (tmp_path / "codes.safetensors").write_bytes(codes_bytes(replace(codes, noise=maps), STYLES))
    found = load_codes(tmp_path / "codes.safetensors", generator)
    assert (found.names, found.weights) == (codes.names, "abc")
    assert torch.equal(found.w, codes.w)
    assert torch.equal(found.styles, codes.styles)
    for own, layer in zip(found.noise, maps, strict=True):
        assert torch.equal(own, layer), "in the order of the layers"
    both = concatenated([found.take(torch.tensor([2])), found.take(torch.tensor([0, 1]))])
    assert both.names == ("c", "a", "b")
    assert torch.equal(both.noise[11], maps[11][[2, 0, 1]])


def test_another_style_is_the_way_between_the_averages(generator: Generator, codes: Codes) -> None:
    ink, oil = torch.eye(3)[:2]
    assert torch.equal(codes.in_style(generator, oil), codes.w)
    average = generator.mapping.average
    assert torch.allclose(codes.in_style(generator, ink) - codes.w, (average[0] - average[1]).expand(3, 6, 8))
    with pytest.raises(ModelError, match="wash has no average code"):
        codes.in_style(generator, torch.eye(3)[2])


@pytest.mark.parametrize("content", [b"", b"no file of codes", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_holds_no_codes_is_refused(generator: Generator, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.safetensors cannot be read .*give codes\.safetensors"):
        load_codes(tmp_path / "x.safetensors", generator)


def test_codes_of_another_generator_are_refused(generator: Generator, codes: Codes, tmp_path: Path) -> None:
    (tmp_path / "codes.safetensors").write_bytes(codes_bytes(codes, STYLES))
    for other in (Generator(replace(CONFIG, w_dim=16), STYLES), Generator(CONFIG, ("ink", "oil", "pen"))):
        with pytest.raises(ModelError, match="take the run that made them"):
            load_codes(tmp_path / "codes.safetensors", other)


# Walks
def test_a_walk_is_closed_and_meets_every_stop() -> None:
    stops = torch.tensor([0.0, 1.0, 5.0])[:, None, None, None]
    assert [float(code) for code in walk(stops, 2)] == [0, 0.5, 1, 3, 5, 2.5]
    assert [float(code) for code in walk(stops, 2, loop=False)] == [0, 0.5, 1, 3, 5]
    smooth = [float(code) for code in walk(stops[:2], 4, easing="smooth", loop=False)]
    assert smooth == pytest.approx([0, 0.146447, 0.5, 0.853553, 1], abs=1e-6)
    assert eased(0.25, "linear") == 0.25


def test_mixed_codes_are_coarse_below_and_fine_above() -> None:
    coarse, fine = torch.zeros(2, 4, 1), torch.arange(3.0)[:, None, None].expand(3, 4, 1) + 1
    found = mixed(coarse, fine, 3)
    assert found.shape == (2, 3, 4, 1)
    assert found[1, 2, :, 0].tolist() == [0, 0, 0, 3]
