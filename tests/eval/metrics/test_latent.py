"""Path lengths and distances that can be worked out: linear, constant and curved generators."""

import math

import pytest
import torch
from torch import Tensor

from brushwork.eval.metrics.latent import (
    Quality,
    diversity,
    path_length,
    path_places,
    trimmed_mean,
    truncation_curve,
)

STYLES = torch.eye(2, dtype=torch.float64)[[0, 1, 0, 1, 0]]
SEEDS = torch.tensor([3, 5, 7, 11, 2**40 + 1])


def codes(seeds: Tensor, dim: int = 6) -> Tensor:
    rows = [
        torch.randn(dim, generator=torch.Generator().manual_seed(int(s)), dtype=torch.float64) for s in seeds
    ]
    return torch.stack(rows)


def square_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((1, 2, 3))


def pictures(w: Tensor) -> Tensor:
    """The linear generator: A w with A of shape (3 * 2 * 2, 6)."""
    matrix = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (w @ matrix.T).unflatten(1, (3, 2, 2))


# Path length
def test_linear_generator_has_the_length_of_its_image() -> None:
    """|A (w1 - w0) eps|^2 / eps^2 = |A (w1 - w0)|^2, wherever on the way."""

    def draw(styles: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        return pictures(torch.lerp(codes(a), codes(b), t[:, None]))

    ends, _ = path_places(SEEDS, 4)
    expected = square_distance(pictures(codes(ends)), pictures(codes(SEEDS)))
    for epsilon in (1e-4, 1e-2):
        found = path_length(draw, square_distance, STYLES, SEEDS, epsilon=epsilon, seed=4, batch=2)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_arc_has_the_square_of_its_angle() -> None:
    """A unit circle walked from angle 0 to the style's: |chord|^2 / eps^2 = angle^2 for small steps."""

    def draw(styles: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        angle = t * (styles @ torch.tensor([0.5, 2.0], dtype=torch.float64))
        return torch.stack([angle.cos(), angle.sin(), 0 * t], dim=1)[..., None, None]

    found = path_length(draw, square_distance, STYLES, SEEDS)
    expected = torch.tensor([0.25, 4, 0.25, 4, 0.25], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_constant_generator_has_no_length() -> None:
    found = path_length(lambda s, a, b, t: torch.ones(len(a), 3, 2, 2), square_distance, STYLES, SEEDS)
    assert torch.equal(found, torch.zeros(5))


def test_places_depend_on_the_seeds_alone_and_fill_the_way() -> None:
    ends, places = path_places(torch.arange(500), 1)
    alone_ends, alone_places = path_places(torch.tensor([17]), 1)
    assert (ends[17], places[17]) == (alone_ends[0], alone_places[0])
    assert not torch.equal(path_places(torch.arange(500), 2)[0], ends)
    assert len(ends.unique()) == 500
    assert 0 <= places.min() < 0.02 < 0.98 < places.max() < 1
    assert places.mean() == pytest.approx(0.5, abs=0.05)


def test_steps_are_taken_from_the_same_place_of_the_same_path() -> None:
    asked: list[tuple[Tensor, ...]] = []

    def draw(*path: Tensor) -> Tensor:
        asked.append(path)
        return torch.zeros(len(path[1]), 3, 2, 2)

    path_length(draw, square_distance, STYLES, SEEDS, epsilon=0.01, seed=9, batch=3)
    assert [len(path[1]) for path in asked] == [3, 3, 2, 2]
    for here, there in (asked[:2], asked[2:]):
        assert all(torch.equal(x, y) for x, y in zip(here[:3], there[:3], strict=True))
        torch.testing.assert_close(there[3] - here[3], torch.full_like(here[3], 0.01))
    assert torch.equal(torch.cat([path[1] for path in asked[::2]]), SEEDS)
    assert torch.equal(torch.cat([path[0] for path in asked[::2]]), STYLES)


def test_rounded_pictures_are_refused() -> None:
    with pytest.raises(TypeError, match=r"torch\.uint8: path_length needs float"):
        path_length(
            lambda s, a, b, t: torch.zeros(len(a), 3, 2, 2, dtype=torch.uint8), square_distance, STYLES, SEEDS
        )


def test_trimmed_mean_drops_a_hundredth_at_either_end() -> None:
    values = torch.arange(201.0)
    values[[0, 200]] = torch.tensor([-1e6, 1e9])
    # The quantiles .01 and .99 of 201 values are the third from either end, which stay.
    assert trimmed_mean(values[torch.randperm(201)]) == pytest.approx(torch.arange(2, 199).double().mean())
    assert trimmed_mean(torch.tensor([3.0])) == 3
    # Between two values, the outer one is the bound.
    assert trimmed_mean(torch.arange(10.0)) == 4.5


# Diversity
def test_diversity_of_known_distances() -> None:
    """A 3-4-5 triangle, a pair of twins, one alone, none."""
    features = torch.tensor([[0.0, 0], [3, 0], [3, 4], [7, 7], [7, 7], [1, 1]])
    found = diversity(features, torch.tensor([0, 0, 0, 1, 1, 2]), count=4)
    assert found.per_style[:2] == (4, 0)
    assert all(math.isnan(value) for value in found.per_style[2:])
    assert found.pairs == (3, 1, 0, 0)
    assert found.mean == 2


def test_diversity_is_blind_to_order_and_scales() -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    styles = torch.arange(40) % 2
    expected = torch.stack([torch.pdist(x[styles == s]).mean() for s in (0, 1)])
    found = diversity(x, styles)
    torch.testing.assert_close(torch.tensor(found.per_style), expected)
    assert diversity(x.flip(0) * 3 + 100, styles.flip(0)).mean == pytest.approx(3 * found.mean, rel=1e-5)


def test_drawn_pairs_come_near_all_pairs() -> None:
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    styles = torch.zeros(300, dtype=torch.int64)
    exact = diversity(x, styles, pairs=300 * 299 // 2)
    drawn = diversity(x, styles, pairs=5000, seed=1)
    assert (exact.pairs, drawn.pairs) == ((44850,), (5000,))
    assert drawn.mean == pytest.approx(exact.mean, rel=0.02)
    assert drawn.mean != exact.mean
    assert diversity(x, styles, pairs=5000, seed=1) == drawn
    # A drawn pair is of two different pictures: here all of them are equally far apart.
    corners = diversity(torch.eye(30), torch.zeros(30, dtype=torch.int64), pairs=200)
    assert corners.mean == pytest.approx(2**0.5)


# Truncation
def test_truncation_curve_keeps_the_order_and_passes_features_on() -> None:
    def score(features: Tensor) -> Quality:
        return Quality(fd=float(features.mean()), precision=1 - float(features.std()), recall=0.5)

    curve = truncation_curve(lambda psi: psi * torch.tensor([0.0, 2.0]), score, (1.0, 0.0, 0.5))
    assert [point.psi for point in curve] == [1, 0, 0.5]
    assert [point.fd for point in curve] == [1, 0, 0.5]
    assert curve[1].precision == 1
    assert curve[2].recall == 0.5
