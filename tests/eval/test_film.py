"""Walks of films, frame by frame, and that memory does not grow with them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from brushwork.eval import film
from brushwork.eval.film import (
    FilmConfig,
    Walk,
    codes_walk,
    direction_walk,
    drawn,
    moved_codes_walk,
    seeds_walk,
    styles_walk,
    write_walk,
)
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.latent.codes import Codes
from brushwork.models.latent.directions import find_directions
from brushwork.models.latent.walks import walk
from brushwork.models.sampling import render, style_codes

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
EYE = torch.eye(2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Generator(CONFIG, ("ink", "oil"))
        made.mapping.average.normal_()
        for name, parameter in made.named_parameters():
            if name.endswith("strength"):
                parameter.data.normal_(std=0.2)
    return made.eval().requires_grad_(False)


def frames_of(way: Walk, steps: int = 2, side: int = 16, *, loop: bool = True) -> list[np.ndarray]:
    return list(drawn(walk(way.stops, steps, loop=loop), way.draw, 6, side))


def beside(images: Tensor) -> np.ndarray:
    return np.concatenate([image.permute(1, 2, 0).numpy() for image in images], axis=1)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal up to one grey level: convolutions of another batch size round differently."""
    return one.shape == other.shape and bool((np.abs(one.astype(int) - other.astype(int)) <= 1).all())


def test_seeds_in_every_style_with_one_noise(generator: Generator) -> None:
    way = seeds_walk(generator, partial(style_codes, generator), EYE, torch.tensor([3, 8, 5]))
    a, b, c = (style_codes(generator, EYE, [seed] * 2) for seed in (3, 8, 5))
    stops = (a, (a + b) / 2, b, (b + c) / 2, c, (c + a) / 2)
    for frame, codes in zip(frames_of(way), stops, strict=True):
        assert alike(frame, beside(render(generator, codes, [3, 3])))


def test_styles_of_the_first_seeds_each_with_its_noise(generator: Generator) -> None:
    seeds = torch.arange(8)
    frames = frames_of(styles_walk(generator, partial(style_codes, generator), EYE, seeds), loop=False)
    assert len(frames) == 3
    ink = style_codes(generator, "ink", seeds[:6])
    assert alike(frames[0], beside(render(generator, ink, seeds[:6])))


def test_directions_move_seeds_and_codes(generator: Generator) -> None:
    (direction,) = find_directions(generator, "sefa:1")
    w = style_codes(generator, EYE, [4, 4])
    way = direction_walk(
        generator, direction, (-2.0, 2.0), partial(style_codes, generator), EYE, torch.tensor([4, 9])
    )
    middle = frames_of(way)[1]
    assert alike(middle, beside(render(generator, w, [4, 4])))
    codes = Codes(names=("a", "b"), w=w, styles=EYE)
    moved = frames_of(moved_codes_walk(generator, codes, direction, (-2.0, 2.0)))
    assert alike(moved[1], beside(render(generator, w, [0, 0])))
    assert not alike(moved[0], moved[2])
    through = frames_of(codes_walk(generator, codes), loop=False)
    assert alike(through[2], beside(render(generator, w[1:], [0])))


def test_frames_are_enlarged_by_whole_numbers(generator: Generator) -> None:
    small, large = (
        frames_of(seeds_walk(generator, partial(style_codes, generator), EYE, torch.tensor([3])), 1, side)[0]
        for side in (16, 50)
    )
    assert large.shape == (48, 96, 3)
    assert (large[::3, ::3] == small).all()


def test_a_long_film_holds_few_frames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Codes are made and images drawn only as the encoder asks for them."""
    ahead = 0

    def stops() -> Iterator[Tensor]:
        nonlocal ahead
        for _ in range(40):
            ahead += 1
            yield torch.zeros(1, 1, 1)

    def written(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
        for number, _ in enumerate(frames):
            assert ahead <= number // 5 + 4

    monkeypatch.setattr(film, "write_film", written)
    way = Walk(stops=stops(), count=40, draw=lambda w, _: torch.zeros(len(w), 3, 8, 8, dtype=torch.uint8))
    assert write_walk(tmp_path / "a.mp4", way, FilmConfig(frames=5), batch=8) == 200
