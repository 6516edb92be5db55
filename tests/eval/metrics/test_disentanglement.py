"""Codes of which is known what they hold: pure style, pure content, both, neither."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.disentanglement import (
    Codes,
    mean_by_style,
    nearer,
    partners,
    places_of,
    products_of,
    style_read,
    subject_read,
)
from brushwork.models.feature_statistics import instance_normalised

STYLES = 3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(first: int, subjects: int, *, style: float, content: float, noise: float = 0.0) -> Codes:
    """Of every subject in every style: a direction of the style, one of the subject, and noise."""
    places = [(subject, s) for s in range(STYLES) for subject in range(first, first + subjects)]
    own = [torch.randn(12, generator=seeded(1000 + subject)) for subject, _ in places]
    styles = torch.tensor([s for _, s in places])
    reading = content * torch.stack(own) + style * F.one_hot(styles, 12)
    reading = reading + noise * torch.randn(reading.shape, generator=seeded(first))
    return Codes(readings=(reading,), styles=styles, subjects=tuple(f"s{n}" for n, _ in places))


def both_sides(*, style: float, content: float, noise: float = 0.0) -> tuple[Codes, Codes]:
    return (
        codes(0, 40, style=style, content=content, noise=noise),
        codes(100, 30, style=style, content=content, noise=noise),
    )


def retrieved(train: Codes, test: Codes) -> tuple[float, float]:
    found = subject_read(train, test, STYLES)
    assert found is not None
    return found.score.value, found.chance


# Codes
def test_pure_style_is_read_and_no_subject() -> None:
    train, test = both_sides(style=5.0, content=0.0, noise=0.1)
    assert style_read(train, test, STYLES).value == 1
    share, chance = retrieved(train, test)
    assert chance == pytest.approx(1 / 30)
    assert share < 3 * chance


def test_a_code_that_is_the_same_for_all_subjects_is_at_chance_exactly() -> None:
    share, chance = retrieved(*both_sides(style=5.0, content=0.0))
    assert share == pytest.approx(chance)


def test_pure_content_is_read_and_no_style() -> None:
    """Every subject's code is the same in all styles, so that whatever is named is right once in three."""
    train, test = both_sides(style=0.0, content=1.0)
    assert style_read(train, test, STYLES).value == pytest.approx(1 / STYLES)
    assert retrieved(train, test) == (1.0, pytest.approx(1 / 30))


def test_a_mixture_lets_both_be_read_the_style_not_standing_in_the_way() -> None:
    train, test = both_sides(style=50.0, content=1.0, noise=0.1)
    assert style_read(train, test, STYLES).value == 1
    assert retrieved(train, test)[0] > 0.9


def test_more_noise_leaves_less() -> None:
    scores = [both_sides(style=2.0, content=1.0, noise=noise) for noise in (0.3, 1.0, 3.0)]
    styles = [style_read(*sides, STYLES).value for sides in scores]
    subjects = [retrieved(*sides)[0] for sides in scores]
    assert styles == sorted(styles, reverse=True)
    assert subjects == sorted(subjects, reverse=True)
    assert 1 / STYLES < styles[-1] < styles[0]
    assert 1 / 30 < subjects[1] < subjects[0]


def test_chance_of_unbalanced_styles() -> None:
    """Ten pictures of one style, five of another, of the same subjects where both have one."""
    rows = [(n, 0) for n in range(10)] + [(n, 1) for n in range(5)]
    reading = torch.randn(15, 4, generator=seeded(0))
    test = Codes(readings=(reading,), styles=torch.tensor([s for _, s in rows]),
                 subjects=tuple(str(n) for n, _ in rows))  # fmt: skip
    found = subject_read(test, test, 2)
    assert found is not None
    assert found.chance == pytest.approx((5 * 1 / 5 + 5 * 1 / 10) / 10), "who has no counterpart asks nobody"
    style = style_read(
        test, Codes(readings=(torch.zeros(15, 4),), styles=test.styles, subjects=test.subjects), 2
    )
    assert style.value == 0.5, "one style for all is right in one of two, however many pictures it has"


def test_without_common_subjects_there_is_nothing_to_retrieve() -> None:
    test = Codes(readings=(torch.randn(4, 3),), styles=torch.tensor([0, 0, 1, 1]), subjects=tuple("abcd"))
    assert subject_read(test, test, 2) is None


def test_the_strongest_reading_counts() -> None:
    """Chosen on training subjects: nothing of the test decides."""
    (hidden, unseen), (noise, other) = (
        both_sides(style=5.0, content=1.0, noise=0.1), both_sides(style=0.0, content=1.0)
    )  # fmt: skip
    for order in (1, -1):
        train, test = (
            Codes(readings=(a.readings[0], b.readings[0])[::order], styles=a.styles, subjects=a.subjects)
            for a, b in ((hidden, noise), (unseen, other))
        )
        assert style_read(train, test, STYLES).value == 1


def test_a_single_training_subject_is_too_few() -> None:
    one = codes(0, 1, style=1.0, content=1.0)
    with pytest.raises(EvalError, match="2 subjects or more"):
        style_read(one, one, STYLES)


# Maps
def maps(style: int, seed: int) -> Tensor:
    """Two channels that go together or against each other: nothing that means and deviations tell."""
    a, b = torch.randn(2, 1, 16, 16, generator=seeded(seed))
    return instance_normalised(torch.stack([a, (1 - 2 * style) * a + b], dim=1))


def test_correlations_of_channels_are_style_that_normalisation_leaves() -> None:
    def side(first: int) -> Codes:
        places = [(s, n) for s in range(2) for n in range(20)]
        seen = torch.cat([maps(s, first + n) for s, n in places])
        return Codes(
            readings=(places_of(seen),), products=(products_of(seen),),
            styles=torch.tensor([s for s, _ in places]), subjects=tuple(str(n) for _, n in places),
        )  # fmt: skip

    train, test = side(0), side(500)
    assert style_read(train.by_products(), test.by_products(), 2).value == 1
    assert style_read(train, test, 2).value < 0.8, "by places alone they are hard to tell"


@pytest.mark.parametrize(("channels", "side"), [(3, 4), (96, 8), (200, 16)])
def test_readings_stay_of_bounded_size(channels: int, side: int) -> None:
    maps = torch.randn(2, channels, side, side)
    assert places_of(maps).shape == (2, channels * min(side, 8) ** 2)
    read = min(channels, 67 if channels == 200 else 96)
    assert products_of(maps).shape == (2, 2 * channels + read * (read + 1) // 2)


# Swaps
def test_partners_are_of_another_style_and_subject() -> None:
    test = codes(0, 6, style=1.0, content=1.0)
    found = partners(test.styles, test.subjects, STYLES)
    assert (found >= 0).all()
    assert (test.styles[found] != test.styles).all()
    assert all(test.subjects[a] != test.subjects[int(b)] for a, b in enumerate(found))
    pairs = torch.bincount(test.styles * STYLES + test.styles[found], minlength=9).view(3, 3)
    assert pairs.tolist() == [[0, 3, 3], [3, 0, 3], [3, 3, 0]]
    assert len(set(found.tolist())) > 9


def test_who_has_no_partner_stays_alone() -> None:
    styles, subjects = torch.tensor([0, 1, 1]), ("a", "a", "b")
    assert partners(styles, subjects, 2).tolist() == [2, -1, 0]
    assert partners(torch.tensor([0, 0]), ("a", "b"), 1).tolist() == [-1, -1]


def test_nearer_to_the_one_or_the_other() -> None:
    own, other = torch.zeros(3, 2), torch.full((3, 2), 2.0)
    read = torch.tensor([[0.5, 0.5], [1.0, 1.0], [1.5, 1.5]])
    values = nearer(read, own, other)
    assert values.tolist() == [1, 0.5, 0]
    score = mean_by_style(values, torch.tensor([0, 0, 1]), 2)
    assert (score.value, score.per_style) == (0.5, (0.75, 0))
