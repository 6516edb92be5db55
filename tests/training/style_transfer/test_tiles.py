"""Tiles cover a picture once, and their maps are those of the whole."""

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.vgg import Vgg
from brushwork.training.style_transfer.tiles import WHOLE, tiles_of

TAPS = ("relu1_1", "relu2_2", "relu3_1")


@pytest.mark.parametrize("size", [(96, 64), (65, 130), (33, 31)])
def test_every_pixel_counts_once(size: tuple[int, int]) -> None:
    counts = torch.zeros(size)
    for tile in tiles_of(*size, stride=4, reach=9, side=32):
        tile.of_whole(counts, 1).add_(1)
    assert (counts == 1).all()


@pytest.mark.parametrize("size", [(96, 64), (65, 131), (70, 33)])
def test_maps_of_tiles_are_those_of_the_whole(size: tuple[int, int]) -> None:
    network = Vgg.random("vgg16", TAPS)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    whole = network(image)
    tiles = tiles_of(*size, stride=4, reach=network.reach, side=32)
    assert len(tiles) > 1
    for tile in tiles:
        part = network(tile.seen(image))
        for name, stride in network.strides.items():
            expected = tile.of_whole(whole[name], stride)
            torch.testing.assert_close(tile.within(part[name], stride), expected, atol=1e-4, rtol=1e-4)


def test_less_reach_would_not_do() -> None:
    network = Vgg.random("vgg16", TAPS)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole = network(image)["relu3_1"]
    tile = tiles_of(64, 64, stride=4, reach=4, side=32)[0]
    part = tile.within(network(tile.seen(image))["relu3_1"], 4)
    assert (part - tile.of_whole(whole, 4)).abs().max() > 1e-3


def test_small_pictures_are_one_tile_and_large_ones_many() -> None:
    assert len(tiles_of(WHOLE, WHOLE, stride=16, reach=80)) == 1
    assert len(tiles_of(WHOLE, WHOLE + 1, stride=16, reach=80)) > 1
    assert len(tiles_of(2000, 2000, stride=32, reach=None)) == 1


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(ModelError, match="tiles of 24 pixels do not fit"):
        tiles_of(64, 64, stride=16, reach=80, side=24)
    with pytest.raises(ModelError, match="sees too far around"):
        tiles_of(64, 64, stride=16, reach=None, side=32)
