"""Restyling at any size and strength, with noise and statistics that do not depend on the tiles."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from brushwork.models import restyling
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.restyling import own_style_codes, reference_style_code, resized, restyle, to_float
from brushwork.models.sampling import render, seeded_normal, style_codes, to_uint8
from brushwork.models.stage import Stage, fade_reals
from brushwork.models.tiling import Tiling

from .conftest import NAMES, stirred

SIDE = 16
SIZES = [(16, 16), (32, 32), (9, 9), (7, 30), (40, 33), (1, 1)]
STAGES = [Stage(16), Stage(16, 0.5), Stage(8)]
SEEDS = torch.arange(3)


@pytest.fixture
def generator(config: GeneratorConfig) -> Generator:
    return stirred(Generator(replace(config, encoders=True), NAMES)).eval().requires_grad_(False)


def noise_images(height: int = SIDE, width: int = SIDE, rows: int = 3) -> Tensor:
    return torch.randint(0, 256, (rows, 3, height, width), dtype=torch.uint8)


def some_codes(generator: Generator, rows: int = 3) -> Tensor:
    return torch.randn(rows, generator.layers, 8)


def synthesised(generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor) -> Tensor:
    """Images of the trained resolution, restyled by the networks alone, in [-1, 1]."""
    stage = generator.trained_stage
    content = generator.encoders.content(fade_reals(to_float(images), stage.alpha), stage)
    return generator.synthesis(codes, stage, seeded_normal(seeds), content).clamp(-1, 1)


def test_levels_and_squares() -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert (to_float(levels).min(), to_float(levels).max()) == (-1, 1)
    images = to_float(noise_images(20, 32, rows=1))
    assert torch.equal(restyling.fitted(images, (10, 10)), resized(images[:, :, :, 6:26], (10, 10)))
    # an image and its small version, which is restyled unless a larger image is cut into tiles
    for size, small in (((8, 4), (16, 8)), ((7, 16), (7, 16)), ((64, 32), (16, 8)), ((1, 1000), (1, 16))):
        assert restyling.working_size(*size, (16, 16), "resized") == small
        assert restyling.working_size(*size, (16, 16), "tiled") == max(size, small)
    assert restyling.working_size(8, 8, (16, 24), "tiled") == (16, 16)
    assert restyling.working_size(20, 24, (16, 24), "tiled") == (20, 24)
    assert restyling.fitted(images, (10, 16)).shape[2:] == (10, 16)
    assert restyling.fitted(images[:, :, :1, :1], (8, 32)).shape[2:] == (8, 32), "one pixel"


@pytest.mark.parametrize("stage", STAGES)
def test_codes_of_images_are_those_of_the_encoders(generator: Generator, stage: Stage) -> None:
    """Images are cut to the largest square, at the trained stage."""
    generator.trained_stage = stage
    images = noise_images(stage.resolution, stage.resolution + 6)
    x, encoder = fade_reals(to_float(images)[:, :, :, 3:-3], stage.alpha), generator.encoders.style
    labels, none = torch.eye(3), torch.zeros(3, 3)
    torch.testing.assert_close(own_style_codes(generator, images), encoder(x, none, stage))
    torch.testing.assert_close(own_style_codes(generator, images, labels), encoder(x, labels, stage))
    mean = encoder.style_features(x, stage).mean(dim=0, keepdim=True)
    for label in (None, labels[1]):
        expected = encoder.head(mean, none[:1] if label is None else label[None])
        torch.testing.assert_close(reference_style_code(generator, images, label), expected)
    one = reference_style_code(generator, images[:1], labels[0])
    torch.testing.assert_close(one, encoder(x[:1], labels[:1], stage))


def test_layers_below_the_content_have_no_effect(generator: Generator) -> None:
    """The first layer with an effect is the first that a new image takes from the style code."""
    images, codes, first = noise_images(), some_codes(generator), restyling.content_layer(generator)
    plain = restyle(generator, images, codes, SEEDS)
    for layer in range(generator.layers):
        other = codes.clone()
        other[:, layer] += 1
        assert torch.equal(restyle(generator, images, other, SEEDS), plain) == (layer < first), layer
    code, latent = torch.randn(1, 8), style_codes(generator, torch.eye(3), SEEDS)
    mixed = restyling.codes_of_style_features(generator, code, latent)
    assert torch.equal(mixed[:, :first], latent[:, :first])
    assert (mixed[:, first:] == code).all()
    new = render(generator, mixed[[0, 1]], [0, 0])
    assert not torch.equal(new[0], new[1]), "new images vary by seed, with equal noise"


@pytest.mark.parametrize("columns", [4, 5])
def test_noise_agrees_where_tiles_overlap(columns: int) -> None:
    tiling = Tiling(height=40, width=48, size=(16, 4 * columns))
    tiles = tiling.tiles(2)
    normal = restyling.NoiseFields(torch.tensor([3, 5]), tiling, torch.device("cpu")).at(tiles)
    for r in (8, 16):
        size = (r, r * columns // 4)
        noise = normal((1, *size))
        whole = torch.full((2, *(length * r // 16 for length in tiling.extended)), torch.nan)
        for tile, values in zip(tiles, noise, strict=True):
            y, x = tile.top * r // 16, tile.left * r // 16
            target = whole[tile.image, y : y + size[0], x : x + size[1]]
            assert (target.isnan() | (target == values[0])).all()
            target[:] = values[0]
        assert not whole.isnan().any()
        assert whole.unique().numel() > 0.99 * whole.numel(), "nothing is repeated"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("mode", ["tiled", "resized"])
def test_an_image_of_the_trained_resolution_is_one_forward_pass(
    generator: Generator, stage: Stage, mode: restyling.Mode
) -> None:
    generator.trained_stage = stage
    images, codes = noise_images(stage.resolution, stage.resolution), some_codes(generator)
    expected = to_uint8(synthesised(generator, images, codes, SEEDS))
    assert torch.equal(restyle(generator, images, codes, SEEDS, mode=mode), expected)


def test_the_style_may_be_a_name_weights_images_or_codes(generator: Generator) -> None:
    images, references = noise_images(20, 12), noise_images(18, 30, rows=2)
    blend = torch.tensor([0, 0.5, 0.5])
    codes = restyling.content_style_codes(generator, images, blend.expand(3, -1), psi=0.7)
    expected = restyle(generator, images, codes)
    for style in ("ink=0.5+oil=0.5", blend, blend.expand(3, -1)):
        assert torch.equal(restyle(generator, images, style, psi=0.7), expected)
    assert torch.equal(restyle(generator, images, codes, [0, 0, 0]), expected)
    assert not torch.equal(restyle(generator, images, codes, [1, 2, 3]), expected)
    code = reference_style_code(generator, references).expand(3, generator.layers, 8)
    assert torch.equal(restyle(generator, images, references), restyle(generator, images, code))
    one, first = (restyle(generator, images, given) for given in (references[0], references[:1]))
    assert torch.equal(one, first)


@pytest.mark.parametrize("mode", ["tiled", "resized"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_is_kept_and_strength_0_is_the_image(
    generator: Generator, height: int, width: int, mode: restyling.Mode
) -> None:
    images, codes = noise_images(height, width), some_codes(generator)
    whole = restyle(generator, images, codes, SEEDS, mode=mode)
    assert whole.shape == images.shape
    again = restyle(generator, images, codes, SEEDS, mode=mode, batch=7)
    assert (again.int() - whole.int()).abs().max() <= 1, "whatever the batch, up to a rounding"
    alone = restyle(generator, images[1:2], codes[1:2], SEEDS[1:2], mode=mode)
    assert (alone.int() - whole[1:2].int()).abs().max() <= 1
    assert torch.equal(restyle(generator, images, codes, SEEDS, strength=0.0, mode=mode), images)
    if mode == "resized" and height == width:  # the small result is enlarged
        content = generator.encoders.content(resized(to_float(images), (SIDE, SIDE)), Stage(SIDE))
        expected = generator.synthesis(codes, Stage(SIDE), seeded_normal(SEEDS), content).clamp(-1, 1)
        assert torch.equal(whole, to_uint8(resized(expected, (height, width))))


def without_noise(generator: Generator) -> Generator:
    for name, value in generator.named_parameters():
        if name.endswith("strength"):
            value.zero_()
    return generator


def test_a_flat_part_stays_flat(generator: Generator) -> None:
    """Two flat halves of different faint textures, beside a busy one, are restyled alike: no tile amplifies
    its own texture."""
    images = torch.full((2, 3, 64, 128), 200, dtype=torch.uint8)
    images[..., :64] = noise_images(64, 64, rows=1)
    images[..., 64:] += torch.randint(0, 2, (2, 1, 64, 64), dtype=torch.uint8)
    codes = some_codes(without_noise(generator), 1).expand(2, -1, -1)

    def difference(images: Tensor, columns: slice = slice(None)) -> float:
        one, other = restyle(generator, images, codes).float()[..., columns]
        return (one - other).abs().mean().item()

    alone = difference(images[:, :, 16:32, 90:106])
    assert difference(images, slice(80, 120)) < 0.6 * alone


def test_smooth_ground_shows_no_lattice_of_tiles(generator: Generator) -> None:
    """Cells of half a tile have no more in common than chance gives; with zero padding at the edges of
    tiles it is several times as much."""
    cells, hop = 14, SIDE // 2
    down, across = torch.meshgrid(*[torch.linspace(0, 1, (cells + 2) * hop)] * 2, indexing="ij")
    images = torch.stack([60 + 120 * across, 80 + 100 * down, 150 - 60 * across * down])[None].round().byte()
    result = restyle(without_noise(generator), images, some_codes(generator, 1)).float()
    surroundings = F.avg_pool2d(result, hop + 1, stride=1, padding=hop // 2)
    fine = (result - surroundings)[0, :, hop:-hop, hop:-hop]
    common = rearrange(fine, "c (m h) (n w) -> (m n) c h w", h=hop, w=hop).mean(dim=0)
    assert common.std() < 2 * fine.std() / cells


def test_strength_moves_in_w_and_adds_the_error_of_reconstruction(generator: Generator) -> None:
    """The matrix holds one row for each style."""
    images, codes, own = noise_images(), torch.randn(2, 3, 6, 8), own_style_codes(generator, noise_images())
    for given, start in ((None, own_style_codes(generator, images)), (own, own)):
        start = start[:, None].expand_as(codes[0])
        error = to_float(images) - synthesised(generator, images, start, SEEDS)
        results = restyling.restyle_matrix(generator, images, codes, SEEDS, strength=0.25, own=given)
        for result, code in zip(results, codes, strict=True):
            between = synthesised(generator, images, torch.lerp(start, code, 0.25), SEEDS)
            assert torch.equal(result, to_uint8(between + 0.75 * error))
    larger = noise_images(20, 12)
    expected = torch.stack([restyle(generator, larger, code, SEEDS) for code in codes])
    assert torch.equal(restyling.restyle_matrix(generator, larger, codes, SEEDS), expected)


def test_mistakes_are_refused(generator: Generator, config: GeneratorConfig) -> None:
    images, codes = noise_images(), some_codes(generator)
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ModelError, match="choose from 0"):
            restyle(generator, images, codes, strength=strength)
    with pytest.raises(ModelError, match="2 seeds do not fit 3 images"):
        restyle(generator, images, codes, [1, 2])
    for style in ("ink", images, codes):
        with pytest.raises(ModelError, match="no encoders"):
            restyle(Generator(config, NAMES), images, style)
