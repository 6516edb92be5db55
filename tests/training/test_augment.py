import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.training.augment import AugmentConfig, augment, cut_out, jitter, translate
from brushwork.training.rng import BatchRNG

KINDS = ("colour", "translation", "cutout")


def rng(seed: int = 0, rows: int = 4) -> BatchRNG:
    return BatchRNG(seed, rows=range(rows))


def images(rows: int = 4, size: int = 8) -> Tensor:
    return torch.randn(rows, 3, size, size)


def test_all_off_is_the_identity_and_draws_nothing() -> None:
    x, source = images(), rng()
    assert augment(x, AugmentConfig(), source) is x
    assert torch.equal(source.normal(), rng().normal())


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), KINDS])
def test_each_kind_changes_every_image_by_its_own_draws(kinds: tuple[str, ...]) -> None:
    strengths: dict[str, Any] = dict.fromkeys(kinds, 0.5)
    x, config = images(), AugmentConfig(**strengths)
    changed = augment(x, config, rng())
    half = augment(x[2:], config, BatchRNG(0, rows=range(2, 4)))
    assert torch.allclose(half, changed[2:], atol=1e-6)
    assert not torch.equal(changed, augment(x, config, rng(1)))
    assert not torch.equal(changed, x)


@pytest.mark.parametrize(
    ("change", "numbers", "strength"), [(jitter, 3, 1.0), (translate, 2, 0.25), (cut_out, 2, 0.5)]
)
def test_each_kind_can_be_differentiated_twice(
    change: Callable[..., Tensor], numbers: int, strength: float
) -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    u = torch.rand(2, numbers, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: change(x, u, strength), (x,))
    assert torch.autograd.gradgradcheck(lambda x: change(x, u, strength).square(), (x,))


def test_colour_at_the_ends_of_its_range() -> None:
    x = images(1)
    assert torch.allclose(jitter(x, torch.full((1, 3), 0.5), 1.0), x, atol=1e-6), "the middle changes nothing"
    brighter = jitter(x, torch.tensor([[1.0, 0.5, 0.5]]), 1.0)
    assert torch.allclose(brighter, x + 0.5, atol=1e-6)
    grey = jitter(x, torch.tensor([[0.5, 0.0, 0.5]]), 1.0)
    assert torch.allclose(grey, x.mean(dim=1, keepdim=True).expand_as(x), atol=1e-6)
    flat = jitter(x, torch.tensor([[0.5, 0.5, 0.0]]), 1.0)
    assert torch.allclose(flat, (x + x.mean()) / 2, atol=1e-6)
    assert torch.allclose(jitter(x, torch.tensor([[1.0, 0.5, 0.5]]), 0.2), x + 0.1, atol=1e-6)


def test_pictures_move_by_whole_pixels_within_reach() -> None:
    x = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, -1, -1)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    for i, j in itertools.product(range(5), repeat=2):
        for inside in (0.02, 0.98):  # a fifth of the draws for each shift of -2 to 2 pixels
            moved = translate(x, (torch.tensor([[i, j]]) + inside) / 5, 0.25)
            assert torch.equal(moved, padded[..., i : i + 8, j : j + 8])
    assert torch.equal(translate(x, torch.rand(1, 2), 0.01), x), "less than half a pixel is none"


def test_a_cutout_is_a_square_clipped_at_the_border_with_a_uniform_centre() -> None:
    x = torch.ones(1, 3, 16, 16)
    central, corner = x.clone(), x.clone()
    central[..., 4:12, 4:12] = 0
    corner[..., :4, :4] = 0
    assert torch.equal(cut_out(x, torch.full((1, 2), 0.5), 0.5), central)
    assert torch.equal(cut_out(x, torch.zeros(1, 2), 0.5), corner)
    covered = 1 - cut_out(torch.ones(400, 3, 16, 16), torch.rand(400, 2), 0.5)[:, 0].mean(dim=0)
    # Inside, a pixel is covered where the centre falls within a square of a quarter of the image.
    assert abs(covered[4:12, 4:12].mean() - 0.25) < 0.03
    assert abs(covered[0, 0] - 0.0705) < 0.05
