"""Codes with known contents: style, subject, both, or neither."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.disentanglement import (
    Codes,
    channel_products,
    nearer,
    palette,
    partners,
    pooled_places,
    read_style,
    read_subject,
)
from brushwork.models.norm import InstanceNorm

STYLES = 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(first: int, subjects: int, *, style: float, content: float, noise: float = 0.0) -> Codes:
    """Every subject in every style: a direction of the style, one of the subject, and noise."""
    rows = [(subject, s) for s in range(STYLES) for subject in range(first, first + subjects)]
    own = [torch.randn(12, generator=seeded(1000 + subject)) for subject, _ in rows]
    styles = torch.tensor([s for _, s in rows])
    reading = content * torch.stack(own) + style * F.one_hot(styles, 12)
    reading = reading + noise * torch.randn(reading.shape, generator=seeded(first))
    return Codes(readings=(reading,), styles=styles, subjects=tuple(f"s{n}" for n, _ in rows))


def splits(*, style: float, content: float, noise: float = 0.0) -> tuple[Codes, Codes]:
    return (
        codes(0, 40, style=style, content=content, noise=noise),
        codes(100, 30, style=style, content=content, noise=noise),
    )


def retrieved(train: Codes, test: Codes) -> float:
    found = read_subject(train, test, STYLES)
    assert found is not None
    assert found.chance == pytest.approx(1 / 30)
    return found.score.value


# Probes
@pytest.mark.parametrize(
    ("style", "content", "noise", "expected", "subject"),
    [
        (5.0, 0.0, 0.0, 1, (1 / 30, 1 / 30)),  # the same code for all subjects: chance, exactly
        (5.0, 0.0, 0.1, 1, (0, 0.1)),
        (0.0, 1.0, 0.0, 1 / STYLES, (1, 1)),  # the same code in all styles: chance, exactly
        (50.0, 1.0, 0.1, 1, (0.9, 1)),  # the style does not interfere
    ],
)
def test_probes_find_what_a_code_holds(
    style: float, content: float, noise: float, expected: float, subject: tuple[float, float]
) -> None:
    train, test = splits(style=style, content=content, noise=noise)
    assert read_style(train, test, STYLES).value == pytest.approx(expected)
    assert subject[0] - 1e-6 <= retrieved(train, test) <= subject[1] + 1e-6


def test_chance_of_unbalanced_styles() -> None:
    """Ten images of one style and five of another, which share five subjects."""
    rows = [(n, 0) for n in range(10)] + [(n, 1) for n in range(5)]
    styles, subjects = torch.tensor([s for _, s in rows]), tuple(str(n) for n, _ in rows)
    test = Codes(readings=(torch.randn(15, 4, generator=seeded(0)),), styles=styles, subjects=subjects)
    found = read_subject(test, test, 2)
    assert found is not None
    assert found.chance == pytest.approx((5 * 1 / 5 + 5 * 1 / 10) / 10)
    empty = Codes(readings=(torch.zeros(15, 4),), styles=styles, subjects=subjects)
    assert read_style(test, empty, 2).value == 0.5


def test_the_strongest_reading_counts() -> None:
    (with_style, unseen), (without, other) = (
        splits(style=5.0, content=1.0, noise=0.1), splits(style=0.0, content=1.0)
    )  # fmt: skip
    for order in (1, -1):
        train, test = (
            Codes(readings=(a.readings[0], b.readings[0])[::order], styles=a.styles, subjects=a.subjects)
            for a, b in ((with_style, without), (unseen, other))
        )
        assert read_style(train, test, STYLES).value == 1


def test_too_few_subjects() -> None:
    one = codes(0, 1, style=1.0, content=1.0)
    with pytest.raises(EvalError, match="2 subjects or more"):
        read_style(one, one, STYLES)
    test = Codes(readings=(torch.randn(4, 3),), styles=torch.tensor([0, 0, 1, 1]), subjects=tuple("abcd"))
    assert read_subject(test, test, 2) is None


# Maps
def maps(style: int, seed: int) -> Tensor:
    """Two channels with a correlation of either sign, and the same means and deviations."""
    a, b = torch.randn(2, 1, 16, 16, generator=seeded(seed))
    return InstanceNorm()(torch.stack([a, (1 - 2 * style) * a + b], dim=1))


def test_correlations_of_channels_are_style_that_normalisation_leaves() -> None:
    def side(first: int) -> Codes:
        rows = [(s, n) for s in range(2) for n in range(20)]
        x = torch.cat([maps(s, first + n) for s, n in rows])
        return Codes(
            readings=(pooled_places(x),), products=(channel_products(x),),
            styles=torch.tensor([s for s, _ in rows]), subjects=tuple(str(n) for _, n in rows),
        )  # fmt: skip

    train, test = side(0), side(500)
    assert read_style(train.by_products(), test.by_products(), 2).value == 1
    assert read_style(train, test, 2).value < 0.8


@pytest.mark.parametrize(("channels", "side", "read"), [(3, 4, 3), (96, 8, 96), (200, 16, 67)])
def test_readings_have_a_bounded_size(channels: int, side: int, read: int) -> None:
    x = torch.randn(2, channels, side, side)
    assert pooled_places(x).shape == (2, channels * min(side, 8) ** 2)
    assert channel_products(x).shape == (2, 2 * channels + read * (read + 1) // 2)


# Swaps
def test_partners_are_of_another_style_and_subject() -> None:
    test = codes(0, 6, style=1.0, content=1.0)
    found = partners(test.styles, test.subjects, STYLES)
    assert all(test.subjects[a] != test.subjects[int(b)] for a, b in enumerate(found))
    pairs = torch.bincount(test.styles * STYLES + test.styles[found], minlength=9).view(3, 3)
    assert pairs.tolist() == [[0, 3, 3], [3, 0, 3], [3, 3, 0]]
    assert len(set(found.tolist())) > 9
    assert partners(torch.tensor([0, 1, 1]), ("a", "a", "b"), 2).tolist() == [2, -1, 0]
    assert partners(torch.tensor([0, 0]), ("a", "b"), 1).tolist() == [-1, -1]


def test_nearer_to_the_one_or_the_other() -> None:
    own, other = torch.zeros(3, 2), torch.full((3, 2), 2.0)
    read = torch.tensor([[0.5, 0.5], [1.0, 1.0], [1.5, 1.5]])
    assert nearer(read, own, other).tolist() == [1, 0.5, 0]


def test_a_palette_is_means_and_deviations_of_the_colours_without_layout() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[0, 0] = 255
    images[1, 1, :2] = 255
    flat, halves = palette(images)
    assert flat.tolist() == [1, 0, 0, 0, 0, 0]
    assert halves.tolist() == pytest.approx([0, 0.5, 0, 0, (16 * 0.25 / 15) ** 0.5, 0])
    assert palette(images.flip(2)).equal(palette(images))
