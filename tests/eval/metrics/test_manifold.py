"""Pinned values, the naive formula, and the ties on which a strict comparison turns."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.manifold import ManifoldFigures, memberships, prdc, radii

ALL_ONE = ManifoldFigures(precision=1.0, recall=1.0, density=1.0, coverage=1.0)
ALL_ZERO = ManifoldFigures(precision=0.0, recall=0.0, density=0.0, coverage=0.0)


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def naive(real: Tensor, fake: Tensor, k: int) -> ManifoldFigures:
    """The formulas as they are written, on whole matrices of distances by differences."""

    def apart(x: Tensor, y: Tensor) -> Tensor:
        return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")

    real_radii = apart(real, real).sort(dim=1).values[:, k]
    fake_radii = apart(fake, fake).sort(dim=1).values[:, k]
    cross = apart(real, fake)
    return ManifoldFigures(
        precision=float((cross < real_radii[:, None]).any(0).double().mean()),
        recall=float((cross < fake_radii[None]).any(1).double().mean()),
        density=float((cross < real_radii[:, None]).double().sum(0).mean()) / k,
        coverage=float((cross.min(1).values < real_radii).double().mean()),
    )


def assert_equal(figures: ManifoldFigures, expected: ManifoldFigures) -> None:
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(figures, name) == pytest.approx(getattr(expected, name), rel=1e-14), name


# Pinned values (metrics.md 6)
@pytest.mark.parametrize(("k", "density"), [(1, 11 / 6), (2, 13 / 12)])
def test_a_line_of_points_and_their_midpoints(k: int, density: float) -> None:
    real = line(0, 1, 2, 3, 4, 5)
    figures = prdc(real, real + 0.5, k=k)
    assert (figures.precision, figures.recall, figures.coverage) == (1, 1, 1)
    assert figures.density == pytest.approx(density, rel=1e-14)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1e3])
def test_identical_sets_score_one(shift: float) -> None:
    """The picture that ends a ball is not in it: counting one such in ten would make the density 1.02."""
    for x in (features(0, 200, 50) + shift, features(1, 300, 3).double() + shift):
        for block in (8 * 7 * len(x), 2**26):
            assert prdc(x, x.clone(), block=block) == ALL_ONE
        shuffled = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
        assert prdc(x, shuffled) == ALL_ONE


def test_identical_integers_score_one_in_precision_recall_and_coverage() -> None:
    x = line(*range(20))
    figures = prdc(x, x)
    assert (figures.precision, figures.recall, figures.coverage) == (1, 1, 1)
    # Within the line the fifth neighbour is at 3, and a ball below 3 holds its centre and two on either side.
    assert figures.density == pytest.approx(naive(x, x, 5).density, rel=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 12345.678])
def test_constant_features_score_zero(value: float) -> None:
    assert prdc(torch.full((30, 7), value), torch.full((20, 7), value)) == ALL_ZERO
    rows = features(0, 1, 64) * value  # copies of one row that is not constant
    assert prdc(rows.repeat(30, 1), rows.repeat(20, 1)) == ALL_ZERO


def test_collapsed_samples_are_precise_and_recall_nothing() -> None:
    real = features(0, 100, 8)
    figures = prdc(real, real[:1].repeat(50, 1))
    assert (figures.precision, figures.recall) == (1, 0)
    assert 0 < figures.coverage < 0.2


def test_sets_far_apart_score_zero() -> None:
    assert prdc(features(0, 50, 8), features(1, 50, 8) + 100) == ALL_ZERO


@pytest.mark.slow
def test_standard_normal_10k_by_1000() -> None:
    """The pinned value is of one draw without a seed, and is met within what draws differ by.

    Six of ours had precision .46 to .49, recall .46 to .50, coverage .954 to .980 and density .86 to 1.15,
    whose expectation is 1: in a thousand dimensions a few pictures near the centre lie in most balls.
    """
    figures = prdc(features(0, 10000, 1000), features(1, 10000, 1000))
    assert figures.precision == pytest.approx(0.4772, abs=0.03)
    assert figures.recall == pytest.approx(0.4705, abs=0.03)
    assert figures.density == pytest.approx(1.0555, abs=0.3)
    assert figures.coverage == pytest.approx(0.9735, abs=0.03)


def test_standard_normal_in_a_thousand_dimensions_equals_the_naive_formula() -> None:
    """The same with 500 pictures a side, whose distances differ by a few in a hundred."""
    real, fake = features(0, 500, 1000), features(1, 500, 1000)
    assert_equal(prdc(real, fake), naive(real, fake, 5))


# The naive formula
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("block", [1, 5000, 2**26])
@pytest.mark.parametrize(("n", "m", "scale"), [(80, 120, 0.9), (120, 31, 1.3)])
def test_equals_the_naive_formula(n: int, m: int, scale: float, k: int, block: int) -> None:
    real, fake = features(0, n, 6), scale * features(1, m, 6) + 0.2
    assert_equal(prdc(real, fake, k=k, block=block), naive(real, fake, k))


def test_integer_grids_with_all_their_ties() -> None:
    """Distances of integers are exact, in the naive formula and here: ties at a ball's end are outside."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 6, (150, 3), generator=generator).float()
    fake = torch.randint(1, 7, (130, 3), generator=generator).float()
    assert_equal(prdc(real, fake, k=3), naive(real, fake, 3))


def test_swapping_the_sets_swaps_precision_and_recall() -> None:
    x, y = features(0, 100, 5), features(1, 100, 5) + 0.5
    there, back = prdc(x, y), prdc(y, x)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert 0 < there.precision < 1


def test_order_rotation_and_scale_change_nothing() -> None:
    x, y = features(0, 150, 5), features(1, 100, 5) + 0.5
    turn = torch.linalg.qr(features(2, 5, 5).double()).Q
    assert prdc(x.flip(0), y.roll(7, 0)) == prdc(x, y)
    assert prdc(8 * x.double() @ turn, 8 * y.double() @ turn) == prdc(x, y)


def test_recall_falls_as_samples_narrow_and_precision_as_they_widen() -> None:
    x, y = features(0, 300, 4), features(1, 300, 4)
    figures = [prdc(x, s * y) for s in (0.2, 0.5, 1.0, 2.0, 4.0)]
    precision, recall = [f.precision for f in figures], [f.recall for f in figures[:3]]
    assert precision == sorted(precision, reverse=True)
    assert recall == sorted(recall)


# Radii and pictures
def test_radii_are_the_kth_nearest_other() -> None:
    assert radii(line(0, 1, 3, 7), 1).tolist() == pytest.approx([1, 1, 2, 4])
    assert radii(line(0, 1, 3, 7), 3).tolist() == pytest.approx([7, 6, 4, 7])
    assert radii(line(2, 2, 2, 5), 2).tolist() == pytest.approx([0, 0, 0, 3])


def test_radii_at_hand_give_the_same() -> None:
    real, fake = features(0, 60, 5) + 3, features(1, 50, 5) + 3
    assert prdc(real, fake, real_radii=radii(real)) == prdc(real, fake)
    wide = prdc(real, fake, real_radii=2 * radii(real))
    assert wide.density > prdc(real, fake).density


def test_memberships_by_hand() -> None:
    """Balls of k = 1: real 0, 1 and 5 reach 1, 1 and 4; samples 0.5, 8 and 30 reach 7.5, 7.5 and 22."""
    found = memberships(line(0, 1, 5), line(0.5, 8, 30), k=1)
    assert found.balls.tolist() == [2, 1, 0]
    assert found.inside.tolist() == [True, True, False]
    assert found.covered.tolist() == [True, True, True]
    assert found.recalled.tolist() == [True, True, True]
    only = found.of(torch.tensor([False, True, True]), torch.tensor([True, False, False]))
    assert only.figures() == ManifoldFigures(precision=0.5, recall=1.0, density=0.5, coverage=1.0)


def test_styles_average_to_the_whole() -> None:
    real, fake = features(0, 90, 4), features(1, 60, 4) + 0.7
    found = memberships(real, fake)
    parts = [found.of(torch.arange(60) % 3 == s, torch.arange(90) % 3 == s).figures() for s in range(3)]
    for name in ("precision", "recall", "density", "coverage"):
        mean = sum(getattr(part, name) for part in parts) / 3
        assert mean == pytest.approx(getattr(found.figures(), name), rel=1e-12), name


# Mistakes
def test_mistakes() -> None:
    x = features(0, 6, 2)
    with pytest.raises(EvalError, match="need 6 images a side at least and one has 5"):
        prdc(x, x[:5])
    with pytest.raises(EvalError, match="k = 0"):
        prdc(x, x, k=0)
    with pytest.raises(EvalError, match="of 6 images are not finite"):
        prdc(x, x * torch.nan)
