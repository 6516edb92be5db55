import math

import pytest
import torch
from torch import Tensor

from brushwork.training.ada import Kind, Moves, augment_adaptively, next_p, rotate_colours, warp
from brushwork.training.rng import BatchRNG

KINDS: tuple[Kind, ...] = ("flip", "turn", "shift", "geometry", "colour")


def rng(start: int = 0, count: int = 8) -> BatchRNG:
    return BatchRNG(7, rows=range(start, start + count))


def moved(images: Tensor, move: str, *values: float) -> Tensor:
    moves = Moves(len(images), images.device)
    getattr(moves, move)(*(torch.full((len(images),), float(value)) for value in values))
    return warp(images, moves)


# The probability


def test_p_rises_by_one_in_the_given_images_while_the_discriminator_overfits_and_falls_otherwise() -> None:
    def after(p: float, overfitting: float, steps: int) -> float:
        for _ in range(steps):
            p = next_p(p, overfitting, target=0.6, images=16, kimg=1.28)
        return p

    assert after(0.0, 0.9, 40) == pytest.approx(0.5)
    assert after(0.5, 0.1, 20) == pytest.approx(0.25)
    assert (after(0.5, 0.1, 200), after(0.5, 0.9, 200)) == (0.0, 0.8)


# All changes


@pytest.mark.parametrize("kind", KINDS)
def test_p_0_is_the_identity_bit_for_bit_and_p_1_changes_images(kind: Kind) -> None:
    images = torch.randn(8, 3, 8, 8)
    assert augment_adaptively(images, (kind,), 0.0, rng()) is images
    assert not torch.allclose(augment_adaptively(images, (kind,), 1.0, rng()), images, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_p_of_the_images_changes(kind: Kind) -> None:
    images = torch.randn(1, 3, 8, 8).expand(2000, -1, -1, -1)
    out = augment_adaptively(images, (kind,), 0.3, rng(count=2000))
    share = float(((out - images).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean())
    unlike = {"flip": 0.15, "turn": 0.225, "shift": 0.3 * 0.75, "geometry": 1 - 0.7**4, "colour": 0.0}[kind]
    if kind == "colour":  # one of five changes, of which one is none half of the time
        unlike = 1 - 0.7**4 * 0.85
    assert share == pytest.approx(unlike, abs=0.035)


def test_an_image_changes_by_its_own_numbers_wherever_the_batch_is_split() -> None:
    images = torch.randn(8, 3, 8, 8)
    whole = augment_adaptively(images, KINDS, 0.8, rng())
    part = augment_adaptively(images[3:], KINDS, 0.8, rng(start=3, count=5))
    assert torch.equal(part, whole[3:])


@pytest.mark.parametrize("kinds", [("flip", "turn", "shift"), ("geometry",), ("colour",)])
def test_all_changes_can_be_differentiated_twice(kinds: tuple[Kind, ...]) -> None:
    images = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)

    def change(x: Tensor) -> Tensor:
        return augment_adaptively(x, kinds, 0.9, rng(count=2))

    assert torch.autograd.gradcheck(change, (images,))
    assert torch.autograd.gradgradcheck(lambda x: change(x).square(), (images,))


def test_the_alpha_channel_keeps_its_values_and_moves_with_the_image() -> None:
    images = torch.randn(8, 4, 8, 8)
    assert torch.equal(augment_adaptively(images, ("colour",), 1.0, rng())[:, 3], images[:, 3])
    same = images[:, 3:].expand(-1, 4, -1, -1)
    out = augment_adaptively(same, ("flip", "geometry"), 1.0, rng())
    assert torch.equal(out[:, 0], out[:, 3])


# Moves


def test_moves_are_those_of_the_array() -> None:
    images = torch.randn(2, 3, 6, 6)
    assert torch.allclose(moved(images, "scale", -1, 1), images.flip(-1), atol=1e-5)
    assert torch.allclose(moved(images, "rotate", math.pi / 2), images.rot90(-1, (2, 3)), atol=1e-5)
    right = moved(images, "shift", 2, 0)
    assert torch.allclose(right[..., 2:], images[..., :-2], atol=1e-5)
    assert torch.allclose(right[..., :2], images[..., :2].flip(-1), atol=1e-5), "reflected at the border"
    down = moved(images, "shift", 0, 1)
    assert torch.allclose(down[..., 1:, :], images[..., :-1, :], atol=1e-5)


def test_scaling_by_two_enlarges_the_middle() -> None:
    ramp = torch.linspace(-3.5, 3.5, 8).expand(1, 1, 8, 8)
    assert torch.allclose(moved(ramp, "scale", 2, 1)[..., 1:-1], ramp[..., 1:-1] / 2, atol=1e-5)


def test_moves_happen_in_the_order_of_their_calls_on_images_that_are_not_square() -> None:
    images = torch.randn(1, 1, 4, 8)
    moves = Moves(1, images.device)
    one, half_turn = torch.ones(1), torch.full((1,), math.pi)
    moves.shift(one, 0 * one)
    moves.rotate(half_turn)
    apart = moved(moved(images, "shift", 1, 0), "rotate", math.pi)
    assert torch.allclose(warp(images, moves), apart, atol=1e-5)
    assert torch.allclose(apart, moved(images, "shift", 1, 0).flip(-1, -2), atol=1e-5)


# Colour


def test_colours_turn_around_grey() -> None:
    images = torch.randn(1, 3, 2, 2)

    def turned(sign: float, hue: float, saturation: float) -> Tensor:
        return rotate_colours(images, *(torch.full((1, 1, 1, 1), each) for each in (sign, hue, saturation)))

    grey = images.mean(dim=1, keepdim=True)
    assert torch.allclose(turned(1, 0, 1), images, atol=1e-6)
    assert torch.allclose(turned(1, 0, 0), grey.expand_as(images), atol=1e-6)
    assert torch.allclose(turned(-1, 0, 1) + grey, images - grey, atol=1e-6)
    third = turned(1, 2 * math.pi / 3, 1)  # red becomes green, green blue, blue red
    assert torch.allclose(third, images.roll(1, dims=1), atol=1e-5)
    assert turned(1, 1.0, 1).sub(grey).norm().item() == pytest.approx(
        images.sub(grey).norm().item(), rel=1e-5
    )
