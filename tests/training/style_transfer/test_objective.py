from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.pretrained.vgg import Vgg
from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.objective import MAX_SIDE, FeatureExtractor, Tile, split_into_tiles
from brushwork.training.style_transfer.transfer import Stylizer, TransferInputs

TAPS = ("relu1_1", "relu2_2", "relu3_1")


def part(x: Tensor, tile: Tile, stride: int) -> Tensor:
    """The positions of a tile in a map of the whole image."""
    (top, bottom), (left, right) = tile.rows, tile.columns
    return x[..., top // stride : bottom // stride, left // stride : right // stride]


@pytest.mark.parametrize("size", [(96, 64), (65, 131), (33, 31)])
def test_tiles_cover_an_image_once_with_the_features_of_the_whole(size: tuple[int, int]) -> None:
    network = Vgg.random("vgg16", TAPS)
    extractor = FeatureExtractor(network=network, style_layers=TAPS, content_layers=(), tile=32)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    whole, counts, tiles = network(image), torch.zeros(size), extractor.tiles(image)
    assert len(tiles) > 1
    for tile in tiles:
        part(counts, tile, 1).add_(1)
        for name, found in extractor(image, tile).items():
            expected = part(whole[name], tile, network.strides[name])
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (counts == 1).all()


def test_only_large_images_are_split() -> None:
    assert len(split_into_tiles(MAX_SIDE, MAX_SIDE, stride=16, reach=80)) == 1
    assert len(split_into_tiles(MAX_SIDE, MAX_SIDE + 1, stride=16, reach=80)) > 1


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_by_tiles_is_that_of_the_whole(style_loss: Any, masked: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    content, style = torch.randint(0, 256, (2, 3, 70, 50), generator=generator, dtype=torch.uint8)
    mask = (torch.arange(50) * 5).to(torch.uint8).expand(70, 50).contiguous()
    inputs = TransferInputs(content=content, styles=[style[:, :40]], masks=[mask] if masked else [])
    image = torch.rand(1, 3, 70, 50, generator=generator)
    config = StylizeConfig(
        backbone="random", style_layers=("relu1_1", "relu2_1"), content_layers=("relu1_2",),
        precision="fp32", style_loss=style_loss, tv_weight=0.1,
    )  # fmt: skip
    (losses, gradient), (tiled, by_tiles) = (
        Stylizer(inputs, replace(config, tile=tile)).objective(image) for tile in (0, 32)
    )
    for name, value in vars(losses).items():
        assert getattr(tiled, name) == pytest.approx(value, rel=1e-4)
    assert (by_tiles - gradient).abs().max() < 1e-3 * gradient.abs().max()
