"""The terms of the composite loss: closed forms, invariances, and parts that add up to the whole."""

import math

import pytest
import torch
from torch import Tensor

from brushwork.training.restyle import terms

ONE = torch.ones(4)


def test_the_style_term_is_the_mean_gap_and_leaves_the_code_alone() -> None:
    w = torch.zeros(4, 2, requires_grad=True)
    read = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, -2.0], [5.0, 5.0]], requires_grad=True)
    assert float(terms.style(read, w, ONE).detach()) == 2.0
    assert float(terms.style(read, w, torch.tensor([1.0, 1.0, 1.0, 0.0])).detach()) == 0.75
    terms.style(read, w, ONE).backward()
    assert w.grad is None
    assert read.grad is not None


def test_the_classifiers_term_is_the_cross_entropy_of_soft_labels() -> None:
    logits = torch.zeros(2, 2)
    assert float(terms.classifier(logits, torch.eye(2))) == pytest.approx(math.log(2))
    unlabelled = torch.tensor([[0.5, 0.5], [0.0, 0.0]])
    assert float(terms.classifier(logits, unlabelled)) == pytest.approx(math.log(2) / 2), "it counts as 0"
    assert float(terms.classifier(50 * torch.eye(2), torch.eye(2))) == pytest.approx(0, abs=1e-6)


def test_the_perceptual_term_is_blind_to_contrast_and_reaches_4() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 4, 4)]
    assert float(terms.perceptual(maps, [maps[0] * 3])) == pytest.approx(0, abs=1e-8)
    assert float(terms.perceptual(maps, [-maps[0]])) == pytest.approx(4, rel=1e-4)
    assert float(terms.perceptual([*maps, *maps], [*maps, -maps[0]])) == pytest.approx(2, rel=1e-4), "a mean"


def test_pixels_and_contents() -> None:
    a, b = torch.full((1, 3, 2, 2), 0.25), torch.full((1, 3, 2, 2), 0.75)
    assert float(terms.pixels(a, b)) == 0.5
    kept, original = a.clone().requires_grad_(), b.clone().requires_grad_()
    value = terms.content(kept, original)
    value.backward()
    assert float(value.detach()) == 0.25
    assert original.grad is None


def test_info_nce_is_log_of_the_group_without_and_0_with_a_clear_answer() -> None:
    flat = torch.ones(8, 4)
    assert float(terms.info_nce(flat, flat, group=4, temperature=0.1)) == pytest.approx(math.log(4))
    clear = torch.eye(4).repeat(2, 1)
    assert float(terms.info_nce(clear, clear, group=4, temperature=0.01)) == pytest.approx(0, abs=1e-6)
    wrong = clear.roll(1, 0)
    assert float(terms.info_nce(clear, wrong, group=4, temperature=0.01)) > 10


def test_info_nce_in_parts_is_matching_of_the_whole() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 8, 8)

    def matched(first: Tensor, second: Tensor, group: int = 4) -> float:
        return float(terms.info_nce(first, second, group=group, temperature=0.5))

    halves = [matched(one[rows], other[rows]) for rows in (slice(4), slice(4, 8))]
    assert matched(one, other) == pytest.approx(sum(halves) / 2, rel=1e-6)
    assert matched(3 * one, other) == pytest.approx(matched(one, other))
    assert matched(one[:6], other[:6]) == matched(one[:6], other[:6], group=3), "6 images form groups of 3"


def test_a_crop_of_the_whole_is_the_picture_and_its_mirror() -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 3, 8, 8)
    for place, expected in (([1.0, 0.3, 0.7, 0.9], images), ([1.0, 0.3, 0.7, 0.1], images.flip(3))):
        torch.testing.assert_close(terms.crop(images, torch.tensor([place])), expected, atol=1e-5, rtol=0)


def test_a_crop_lies_within_the_picture() -> None:
    """The upper left quarter of a ramp from left to right shows its first half, enlarged."""
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    part = terms.crop(ramp, torch.tensor([[0.0, 0.0, 0.0, 0.9]]))
    inside = part[0, 0, 8, 1:-1]
    assert float(inside.min()) >= 0
    assert float(inside.max()) < 0.5
    assert (inside.diff() > 0).all()
