from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.training.augment import AugmentConfig, augment, cut_out, jitter, translate
from brushwork.training.rng import BatchRNG

ALL = AugmentConfig(colour=1.0, translation=0.25, cutout=0.5)
KINDS = ("colour", "translation", "cutout")


def rng(seed: int = 0, rows: int = 4) -> BatchRNG:
    return BatchRNG(seed, rows=range(rows))


def images(rows: int = 4, size: int = 8) -> Tensor:
    return torch.randn(rows, 3, size, size)


def test_all_off_is_the_identity_and_draws_nothing() -> None:
    x, source = images(), rng()
    assert augment(x, AugmentConfig(), source) is x
    assert torch.equal(source.normal(), rng().normal())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_pictures_and_the_same_draws_change_them_alike(kind: str) -> None:
    x, one_kind = images(), replace(AugmentConfig(), **{kind: getattr(ALL, kind)})
    once = augment(x, one_kind, rng())
    assert torch.equal(once, augment(x, one_kind, rng()))
    assert not torch.equal(once, augment(x, one_kind, rng(1)))
    assert not torch.equal(once, x)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_differentiated_twice(kind: str) -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    u = torch.rand(2, 3, dtype=torch.float64)
    function = {
        "colour": lambda x: jitter(x, u, 1.0),
        "translation": lambda x: translate(x, u[:, :2], 0.25),
        "cutout": lambda x: cut_out(x, u[:, :2], 0.5),
    }[kind]
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(lambda x: function(x).square(), (x,))


def test_rows_of_a_batch_are_changed_each_by_its_own_draws() -> None:
    x = images()
    half = augment(x[2:], ALL, BatchRNG(0, rows=range(2, 4)))
    assert torch.allclose(half, augment(x, ALL, rng())[2:], atol=1e-6)


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
    x, seen = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, -1, -1), set()
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    candidates = {
        (i, j): padded[..., 2 + i : 10 + i, 2 + j : 10 + j] for i in range(-2, 3) for j in range(-2, 3)
    }
    for number in torch.rand(300, 2):
        moved = translate(x, number[None], 0.25)
        match = [shift for shift, candidate in candidates.items() if torch.equal(moved, candidate)]
        assert len(match) == 1, "a whole shift of at most a quarter of 8 pixels, borders replicated"
        seen.add(match[0])
    assert seen == set(candidates), "all of them occur"
    assert torch.equal(translate(x, torch.full((1, 2), 0.5), 0.25), x), "the middle changes nothing"
    assert torch.equal(translate(x, torch.rand(1, 2), 0.01), x), "less than half a pixel is none"


def test_a_central_cutout_has_the_area_of_its_share_squared() -> None:
    x = torch.ones(1, 3, 16, 16)
    cut = cut_out(x, torch.full((1, 2), 0.5), 0.5)
    assert int((cut == 0).sum()) == 3 * 8 * 8
    assert cut[..., 4:12, 4:12].abs().max() == 0
    assert int((cut == 1).sum()) == 3 * (16 * 16 - 8 * 8)


def test_a_cutout_is_clipped_at_the_border_and_its_centre_is_uniform() -> None:
    cut = cut_out(torch.ones(1, 3, 16, 16), torch.zeros(1, 2), 0.5)
    assert int((cut[0, 0] == 0).sum()) == 4 * 4
    covered = 1 - cut_out(torch.ones(400, 3, 16, 16), torch.rand(400, 2), 0.5)[:, 0].mean(dim=0)
    # Inside, a pixel is covered where the centre falls within a square of a quarter of the image.
    assert abs(covered[4:12, 4:12].mean() - 0.25) < 0.03
    assert abs(covered[0, 0] - 0.0705) < 0.05
