"""Pictures that are drawn when they are wanted, and their keys."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from brushwork.eval.sources import Samples, Stored

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def test_every_style_gets_the_same_seeds() -> None:
    asked: list[tuple[int, int]] = []

    def spy(styles: Tensor, seeds: Tensor) -> Tensor:
        assert styles.shape == (len(seeds), 3)
        assert styles.dtype == torch.float32
        assert seeds.dtype == torch.int64
        asked.extend(zip(styles.argmax(1).tolist(), seeds.tolist(), strict=True))
        return torch.zeros(len(seeds), 3, 4, 4, dtype=torch.uint8)

    source = Samples(sampler=spy, count=3, per_style=5, seed=100)
    for indices in torch.arange(15).split(4):
        source.take(indices)
    assert asked == [(style, seed) for style in range(3) for seed in range(100, 105)]
    assert source.styles.tolist() == [style for style, _ in asked]


def test_a_picture_may_be_drawn_again_alone(world: World) -> None:
    source = world.samples(5, seed=3)
    whole = source.take(torch.arange(15))
    assert source.take(torch.tensor([11, 2])).equal(whole[[11, 2]])


def test_keys_of_samples_say_all_that_decides_them(world: World) -> None:
    def key(identity: str | None = "weights", per_style: int = 5, seed: int = 0, stop: int = 4) -> str | None:
        return world.samples(per_style, seed, identity).key(0, stop)

    keys = [key(), key("others"), key(per_style=6), key(seed=1), key(stop=5)]
    assert len(set(keys)) == 5
    assert key() == keys[0]
    assert key(None) is None  # nothing is known of the sampler: nothing may be kept


def test_keys_of_pictures_are_their_content(world: World) -> None:
    stored = world.pictures(0, 3)
    relabelled = Stored(images=stored.images, styles=stored.styles.flip(0))
    assert stored.key(0, 4) == relabelled.key(0, 4)
    assert stored.key(0, 4) != stored.key(1, 5)
