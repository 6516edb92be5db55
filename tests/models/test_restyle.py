"""Pictures redrawn: at any size, by strength, with noise that knows of no squares; and new ones alike."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.restyle import (
    Mode,
    NoiseFields,
    codes_like,
    codes_of_style_features,
    content_codes,
    content_layer,
    own_style_codes,
    resized,
    restyle,
    restyle_matrix,
    squared,
    to_float,
    working_size,
)
from brushwork.models.sampling import render, seeded_normal, style_codes, to_uint8
from brushwork.models.stage import Stage, fade_reals
from brushwork.models.tiling import ContinuedEdges, Place, Tiling, tiled

SIDE = 16
SIZES = [(16, 16), (9, 9), (4, 16), (7, 30), (40, 33), (1, 1)]


@pytest.fixture
def generator(config: GeneratorConfig) -> Generator:
    """With encoders, and with noise, gates and averages at work as after training."""
    shape = GeneratorConfig(
        resolution=SIDE, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
    )
    made = Generator(shape, ("chalk", "ink", "oil"))
    with torch.no_grad():
        for name, value in (*made.named_parameters(), *made.named_buffers()):
            if not value.any() or name.endswith("average"):
                value.copy_(torch.randn_like(value) * 0.3)
    return made.eval().requires_grad_(False)


def pictures(height: int = SIDE, width: int = SIDE, rows: int = 3) -> Tensor:
    return torch.randint(0, 256, (rows, 3, height, width), dtype=torch.uint8)


def some_codes(generator: Generator, rows: int = 3) -> Tensor:
    return torch.randn(rows, generator.layers, 8)


def synthesised(generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor) -> Tensor:
    """What a picture of the trained resolution becomes, without any of the machinery, in [-1, 1]."""
    stage = generator.trained_stage
    content = generator.encoders.content(fade_reals(to_float(images), stage.alpha), stage)
    return generator.synthesis(codes, stage, seeded_normal(seeds), content).clamp(-1, 1)


# Pixels
def test_every_level_survives() -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_float(levels).min() == -1
    assert to_float(levels).max() == 1


@pytest.mark.parametrize(
    ("size", "tiled", "whole"),
    [
        ((16, 16), (16, 16), (16, 16)),
        ((8, 4), (16, 8), (16, 8)),
        ((7, 16), (7, 16), (7, 16)),
        ((64, 32), (64, 32), (16, 8)),
        ((1, 1000), (1, 1000), (1, 16)),
    ],
)
def test_the_size_of_the_work(size: tuple[int, int], tiled: tuple[int, int], whole: tuple[int, int]) -> None:
    assert working_size(*size, 16, "tiled") == tiled
    assert working_size(*size, 16, "resized") == whole


def test_the_largest_square_in_the_middle() -> None:
    images = to_float(pictures(20, 32, rows=1))
    assert torch.equal(squared(images, 20), images[:, :, :, 6:26])
    assert torch.equal(squared(images, 10), resized(images[:, :, :, 6:26], (10, 10)))


# Codes
@pytest.mark.parametrize("stage", [Stage(16), Stage(16, 0.5), Stage(8)])
def test_the_style_of_pictures(generator: Generator, stage: Stage) -> None:
    generator.trained_stage = stage
    images, none, ink = pictures(stage.resolution, stage.resolution), torch.zeros(3), torch.eye(3)[1]
    one, several = codes_like(generator, images[:1], none), codes_like(generator, images, none)
    seen = fade_reals(to_float(images), stage.alpha)
    torch.testing.assert_close(one, generator.encoders.style(seen[:1], none[None], stage))
    torch.testing.assert_close(several, generator.encoders.style.mean_code(seen, none, stage))
    assert not torch.allclose(one, several, atol=1e-3)
    assert not torch.allclose(codes_like(generator, images[:1], ink), one, atol=1e-3)
    labels = torch.stack([none, ink, none])
    own = own_style_codes(generator, images, labels)
    torch.testing.assert_close(own[:1], one)
    torch.testing.assert_close(own[1:2], codes_like(generator, images[1:2], ink))
    torch.testing.assert_close(
        own_style_codes(generator, images)[1:2], codes_like(generator, images[1:2], none)
    )


@pytest.mark.parametrize("stage", [Stage(16), Stage(16, 0.5), Stage(8)])
def test_the_content_of_pictures_of_any_shape(generator: Generator, stage: Stage) -> None:
    generator.trained_stage = stage
    images = pictures(stage.resolution, stage.resolution + 6)
    square = to_float(images)[:, :, :, 3:-3]
    expected = generator.encoders.content(fade_reals(square, stage.alpha), stage).features
    (found,) = content_codes(generator, images)
    torch.testing.assert_close(found, expected)


def test_layers_below_the_content_are_not_of_the_picture(generator: Generator) -> None:
    """The first layer that counts in redrawing is the first that a new picture takes from the code."""
    images, codes, seeds = pictures(), some_codes(generator), torch.arange(3)
    first = content_layer(generator)
    drawn = restyle(generator, images, codes, seeds)
    for layer in range(generator.layers):
        other = codes.clone()
        other[:, layer] += 1
        same = torch.equal(restyle(generator, images, other, seeds), drawn)
        assert same == (layer < first), layer
    style_features, styles, seeds = torch.randn(1, 8), torch.eye(3), torch.arange(3)
    mixed = codes_of_style_features(generator, style_features, styles, seeds, psi=0.5)
    assert torch.equal(mixed[:, :first], style_codes(generator, seeds, styles, psi=0.5)[:, :first])
    assert (mixed[:, first:] == style_features).all()
    assert (
        codes_of_style_features(generator, style_features, styles, seeds, layer=0) == style_features
    ).all()
    with pytest.raises(ModelError, match="layer 6"):
        codes_of_style_features(generator, style_features, styles, seeds, layer=6)


def test_new_pictures_alike_vary_by_seed(generator: Generator) -> None:
    style_features, seeds = torch.randn(1, 8), torch.arange(3)
    codes = codes_of_style_features(generator, style_features, torch.zeros(3, 3), seeds)
    drawn = render(generator, codes, torch.zeros(3, dtype=torch.int64))
    assert not torch.equal(drawn[0], drawn[1]), "with equal noise"


# Noise
def test_noise_of_one_square_is_that_of_its_seed() -> None:
    seeds = torch.tensor([4, 9])
    fields = NoiseFields(seeds, Tiling(height=10, width=SIDE, side=SIDE), torch.device("cpu"))
    plain = seeded_normal(seeds)
    expected = [plain((1, r, r)) for r in (8, 8, 16)]
    for _ in range(2):
        normal = fields.at([Place(picture=n, top=0, left=0) for n in (0, 1)])
        assert all(torch.equal(normal((1, x.shape[-1], x.shape[-1])), x) for x in expected)
    assert torch.equal(fields.at([Place(picture=1, top=0, left=0)])((1, 8, 8)), expected[0][1:])


def test_noise_agrees_where_squares_overlap() -> None:
    tiling = Tiling(height=40, width=48, side=SIDE)
    fields = NoiseFields(torch.tensor([3, 5]), tiling, torch.device("cpu"))
    places = tiling.places(2)
    normal = fields.at(places)
    for r in (4, 8, 16):
        noise = normal((1, r, r))
        seen = torch.full((2, *(length * r // SIDE for length in tiling.extended)), torch.nan)
        for place, square in zip(places, noise, strict=True):
            y, x = place.top * r // SIDE, place.left * r // SIDE
            target = seen[place.picture, y : y + r, x : x + r]
            known = ~target.isnan()
            assert torch.equal(target[known], square[0][known])
            target[:] = square[0]
        assert not seen.isnan().any()
        assert seen.unique().numel() > 0.99 * seen.numel(), "nothing is repeated"
        assert abs(seen.std() - 1) < 0.2


# Pictures
@pytest.mark.parametrize("stage", [Stage(16), Stage(16, 0.5), Stage(8)])
def test_a_picture_of_the_trained_resolution_is_drawn_at_one_go(generator: Generator, stage: Stage) -> None:
    generator.trained_stage = stage
    images, codes, seeds = (
        pictures(stage.resolution, stage.resolution),
        some_codes(generator),
        torch.arange(3),
    )
    expected = to_uint8(synthesised(generator, images, codes, seeds))
    assert torch.equal(restyle(generator, images, codes, seeds, mode="tiled"), expected)
    assert torch.equal(restyle(generator, images, codes, seeds, mode="resized"), expected)


@pytest.mark.parametrize("mode", ["tiled", "resized"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_comes_back_as_it_was(generator: Generator, height: int, width: int, mode: Mode) -> None:
    images, seeds = pictures(height, width), torch.arange(3)
    codes = some_codes(generator)
    drawn = restyle(generator, images, codes, seeds, mode=mode)
    assert drawn.shape == images.shape
    for batch in (7, 200):  # whatever is drawn at once, up to a rounding
        again = restyle(generator, images, codes, seeds, mode=mode, batch=batch)
        assert (again.int() - drawn.int()).abs().max() <= 1
    alone = restyle(generator, images[1:2], codes[1:2], seeds[1:2], mode=mode)
    assert (alone.int() - drawn[1:2].int()).abs().max() <= 1


def test_resized_is_the_small_drawing_enlarged(generator: Generator) -> None:
    images, codes, seeds = (
        pictures(32, 32, rows=1),
        some_codes(generator, 1),
        torch.zeros(1, dtype=torch.int64),
    )
    small = resized(to_float(images), (16, 16))
    content = generator.encoders.content(small, Stage(16))
    drawn = generator.synthesis(codes, Stage(16), seeded_normal(seeds), content).clamp(-1, 1)
    whole = restyle(generator, images, codes, seeds, mode="resized")
    assert torch.equal(whole, to_uint8(resized(drawn, (32, 32))))


def without_noise(generator: Generator) -> Generator:
    for name, value in generator.named_parameters():
        if name.endswith("strength"):
            value.zero_()
    return generator


def test_equal_squares_are_drawn_equally(generator: Generator) -> None:
    """A pattern that repeats itself every half square, and is its own reflection, makes all squares one."""
    corner = torch.randint(0, 256, (1, 3, 5, 5), dtype=torch.uint8)
    to_and_fro = torch.tensor([0, 1, 2, 3, 4, 3, 2, 1])
    pattern = corner[:, :, to_and_fro][:, :, :, to_and_fro]
    images = pattern.repeat(1, 1, 6, 6)[:, :, :41, :41]
    codes, seeds = some_codes(without_noise(generator), 1), torch.zeros(1, dtype=torch.int64)
    tiling = Tiling(height=41, width=41, side=SIDE)
    square = tiling.extend(images)[:, :, :SIDE, :SIDE]
    with ContinuedEdges():
        drawn = synthesised(generator, square, codes, seeds)
    expected = tiled(images, lambda x, _: drawn.expand(len(x), -1, -1, -1), side=SIDE)
    found = restyle(generator, images, codes, seeds).int()
    assert (found - to_uint8(expected).int()).abs().max() <= 1
    assert found.float().std() > 1


def test_an_empty_part_stays_empty(generator: Generator) -> None:
    """Beside a busy half, one with hardly any contrast, in one texture or another: no square for itself blows
    it up to a drawing, so the one is drawn as the other is."""
    images = torch.full((2, 3, 64, 128), 200, dtype=torch.uint8)
    images[..., :64] = pictures(64, 64, rows=1)
    images[..., 64:] += torch.randint(0, 2, (2, 1, 64, 64), dtype=torch.uint8)
    codes = some_codes(without_noise(generator), 1).expand(2, -1, -1)
    seeds = torch.zeros(2, dtype=torch.int64)

    def difference(images: Tensor) -> float:
        one, other = restyle(generator, images, codes, seeds).float()
        return (one - other).abs().mean().item()

    alone = difference(images[:, :, 16:32, 90:106])
    one, other = restyle(generator, images, codes, seeds).float()[..., 80:120]
    assert (one - other).abs().mean().item() < 0.6 * alone


def test_smooth_ground_shows_no_lattice_of_squares(generator: Generator) -> None:
    """What all cells of half a square have in common is what the mean of as many unlike ones would have by
    chance; with zeros beyond the squares' edges it is several times as much."""
    cells, hop = 14, SIDE // 2
    down, across = torch.meshgrid(*[torch.linspace(0, 1, (cells + 2) * hop)] * 2, indexing="ij")
    images = torch.stack([60 + 120 * across, 80 + 100 * down, 150 - 60 * across * down])[None].round().byte()
    codes, seeds = some_codes(without_noise(generator), 1), torch.zeros(1, dtype=torch.int64)
    drawn = restyle(generator, images, codes, seeds).float()
    surroundings = F.avg_pool2d(drawn, hop + 1, stride=1, padding=hop // 2)
    fine = (drawn - surroundings)[0, :, hop:-hop, hop:-hop]
    common = rearrange(fine, "c (m h) (n w) -> (m n) c h w", h=hop, w=hop).mean(dim=0)
    chance = fine.std() / cells
    assert common.std() < 2 * chance


@pytest.mark.parametrize(("height", "strength"), [(20, 1.0), (SIDE, 0.3)])
def test_rows_of_the_matrix(generator: Generator, height: int, strength: float) -> None:
    images, seeds, codes = (
        pictures(height, SIDE, rows=2),
        torch.arange(2),
        torch.randn(2, 2, generator.layers, 8),
    )
    matrix = restyle_matrix(generator, images, codes, seeds, strength=strength)
    for row, own in zip(matrix, codes, strict=True):
        assert torch.equal(row, restyle(generator, images, own, seeds, strength=strength))
    assert not torch.equal(matrix[0], matrix[1])


# Strength
@pytest.mark.parametrize("mode", ["tiled", "resized"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_without_strength_the_picture_itself(
    generator: Generator, height: int, width: int, mode: Mode
) -> None:
    images = pictures(height, width)
    drawn = restyle(generator, images, some_codes(generator), torch.arange(3), strength=0.0, mode=mode)
    assert torch.equal(drawn, images)


def test_strength_is_a_way_in_w_and_what_rebuilding_misses(generator: Generator) -> None:
    images, codes, seeds = pictures(), some_codes(generator), torch.arange(3)
    own = own_style_codes(generator, images)
    start = own[:, None].expand_as(codes)
    way = synthesised(generator, images, torch.lerp(start, codes, 0.25), seeds)
    missed = to_float(images) - synthesised(generator, images, start, seeds)
    drawn = restyle(generator, images, codes, seeds, strength=0.25)
    assert torch.equal(drawn, to_uint8(way + 0.75 * missed))
    assert torch.equal(restyle(generator, images, codes, seeds, strength=0.25, own=own), drawn)
    other = restyle(generator, images, codes, seeds, strength=0.25, own=own.flip(0))
    assert not torch.equal(other, drawn)


def test_strength_is_a_steady_way(generator: Generator) -> None:
    """No jump at either end, and the farther the more."""
    images, codes, seeds = pictures(), some_codes(generator), torch.arange(3)
    drawn = [
        restyle(generator, images, codes, seeds, strength=strength).float()
        for strength in (0.0, 1e-3, 0.5, 1 - 1e-3, 1.0)
    ]
    gaps = [float((image - images.float()).abs().mean()) for image in drawn]
    assert gaps == sorted(gaps)
    assert gaps[1] < 1 < gaps[2]
    assert (drawn[3] - drawn[4]).abs().mean() < 1


# Mistakes
def test_mistakes(generator: Generator, config: GeneratorConfig) -> None:
    images, codes, seeds = pictures(), some_codes(generator), torch.arange(3)
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ModelError, match="choose from 0"):
            restyle(generator, images, codes, seeds, strength=strength)
    plain = Generator(config, ("chalk", "ink", "oil"))
    with pytest.raises(ModelError, match="no encoders"):
        restyle(plain, images, codes, seeds)
    with pytest.raises(ModelError, match="no encoders"):
        codes_like(plain, images, torch.zeros(3))
