"""Closed forms first, pinned values after them, and the two methods against each other."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import (
    Gaussian,
    RunningGaussian,
    centred_factor,
    frechet,
    frechet_from_features,
    gaussian_of,
    symmetric_root,
    trace_of_root,
)


def normal(mean: Tensor, covariance: Tensor) -> Gaussian:
    return Gaussian(mean=mean.double(), covariance=covariance.double(), count=1000)


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotated(values: list[float], seed: int) -> Tensor:
    q = torch.linalg.qr(features(seed, len(values), len(values))).Q
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


# Closed forms (metrics.md 1 and 2)
@pytest.mark.parametrize("dim", [1, 7, 64])
def test_unit_gaussians_apart_by_one_in_each_dimension(dim: int) -> None:
    a, b = normal(torch.zeros(dim), torch.eye(dim)), normal(torch.ones(dim), torch.eye(dim))
    assert frechet(a, b) == pytest.approx(dim, rel=1e-12)


def test_diagonal_covariances() -> None:
    a = normal(torch.zeros(3), torch.diag(torch.tensor([1.0, 4, 9])))
    b = normal(torch.ones(3), torch.diag(torch.tensor([4.0, 9, 16])))
    assert frechet(a, b) == pytest.approx(6, rel=1e-12)


@pytest.mark.parametrize("c", [0.5, 1.0, 3.0])
def test_scaled_covariance(c: float) -> None:
    s = rotated([0.3, 1, 2, 5], seed=0)
    expected = (c - 1) ** 2 * float(s.trace())
    assert frechet(normal(torch.zeros(4), s), normal(torch.zeros(4), c * c * s)) == pytest.approx(
        expected, rel=1e-12, abs=1e-12
    )


def test_two_by_two_pinned() -> None:
    a = normal(torch.zeros(2), torch.tensor([[2.0, 1], [1, 2]]))
    b = normal(torch.zeros(2), torch.diag(torch.tensor([1.0, 3])))
    assert frechet(a, b) == pytest.approx(0.5166852264521173, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_two_by_two_trace_of_root(seed: int) -> None:
    a, b = rotated([0.2, 3], seed), rotated([1.5, 0.7], seed + 100)
    product = a @ b
    expected = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    torch.testing.assert_close(trace_of_root(a, b), expected, rtol=1e-12, atol=0)


# Pinned values (metrics.md 3 and 4)
@pytest.mark.parametrize(
    ("seed", "shape", "expected"),
    [(2023, (256, 16), 0.744699064575308), (1, (4, 4), 4.75383761747201)],
)
def test_pinned_against_numpy(seed: int, shape: tuple[int, int], expected: float) -> None:
    random = np.random.RandomState(seed)
    x, y = (torch.from_numpy(random.randn(*shape)) for _ in range(2))
    # Four features of four dimensions have a singular covariance, whose root costs half of the digits.
    assert frechet_from_features(x, y) == pytest.approx(expected, rel=1e-12 if shape[0] > 4 else 1e-6)


def test_moments_of_constant_pictures() -> None:
    pictures = torch.tensor([0, 0.5, 1], dtype=torch.float64)[:, None].expand(3, 16)
    gaussian = gaussian_of(pictures)
    torch.testing.assert_close(gaussian.mean, torch.full((16,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(gaussian.covariance, torch.full((16, 16), 0.25, dtype=torch.float64))


# Properties
@pytest.mark.parametrize(("n", "m"), [(40, 50), (5, 50), (5, 6), (50, 5)])
def test_symmetric_zero_on_itself_and_blind_to_order(n: int, m: int) -> None:
    x, y = features(0, n, 12), 2 * features(1, m, 12) + 0.3
    distance = frechet_from_features(x, y)
    assert distance > 0.1
    assert frechet_from_features(y, x) == pytest.approx(distance, rel=1e-9)
    assert frechet_from_features(x.flip(0), y.roll(3, 0)) == pytest.approx(distance, rel=1e-9)
    assert frechet_from_features(x, x) == pytest.approx(0, abs=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 40), m=st.integers(2, 40), dim=st.integers(1, 24), seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 100), shift=st.floats(-100, 100),
)  # fmt: skip
def test_whatever_the_sets(n: int, m: int, dim: int, seed: int, scale: float, shift: float) -> None:
    """Symmetric, zero on itself, blind to order, at least the means' distance; both forms agree."""
    x, y = features(seed, n, dim), scale * features(seed + 1, m, dim) + shift
    distance = frechet_from_features(x, y)
    size = float(gaussian_of(x).covariance.trace() + gaussian_of(y).covariance.trace())
    means = float((x.mean(0) - y.mean(0)).square().sum())
    near = 1e-7 * (size + means)
    assert means - near <= distance <= means + size + near
    assert frechet_from_features(y, x) == pytest.approx(distance, abs=near)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    assert frechet_from_features(x.flip(0), y[order]) == pytest.approx(distance, abs=near)
    assert frechet_from_features(y, y[order]) == pytest.approx(0, abs=near)
    assert frechet(gaussian_of(x), gaussian_of(y)) == pytest.approx(distance, abs=10 * near)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(2, 30), dim=st.integers(1, 60), seed=st.integers(0, 10**6), c=st.floats(0.1, 10))
def test_scaled_and_shifted_copies(n: int, dim: int, seed: int, c: float) -> None:
    """S2 = c^2 S1, of any rank: (c - 1)^2 tr S1 and the means' distance. Where ranks are not full, rounding
    leaves eigenvalues of 1e-16 where there are none, and their roots are 1e-8."""
    x = features(seed, n, dim)
    apart = ((c - 1) * x.mean(0) + 2).square().sum()
    expected = float(apart + (c - 1) ** 2 * gaussian_of(x).covariance.trace())
    assert frechet_from_features(x, c * x + 2) == pytest.approx(expected, rel=1e-7)


def test_grows_with_noise() -> None:
    x = features(0, 200, 6)
    distances = [frechet_from_features(x, x + s * features(1, 200, 6)) for s in (0.1, 0.3, 1.0, 3.0)]
    assert distances == sorted(distances)


def test_fewer_pictures_than_dimensions_agree_with_the_analytic_value() -> None:
    """Scaled copies of three points in 40 dimensions: S2 = c^2 S1, so the distance is (c-1)^2 tr S1."""
    x = features(0, 3, 40)
    x = x - x.mean(0)
    trace = float(x.square().sum() / 2)
    assert frechet_from_features(x, 3 * x) == pytest.approx(4 * trace, rel=1e-12)
    # and shifted, by the shift alone
    assert frechet_from_features(x, x + 0.5) == pytest.approx(40 * 0.25, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "dim"), [(4, 5, 8), (4, 9, 8)])
def test_fewer_pictures_than_dimensions_in_sixty_digits(n: int, m: int, dim: int) -> None:
    """Against the textbook's formula, whose product of covariances is singular, where 60 digits bear it."""
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")
    x, y = features(0, n, dim), 1.5 * features(1, m, dim) + 0.3
    with mp.workdps(60):

        def moments(rows: Tensor) -> tuple[Any, Any]:
            values = mp.matrix(rows.tolist())
            mean = mp.ones(1, len(rows)) * values / len(rows)
            centred = values - mp.ones(len(rows), 1) * mean
            return mean, centred.T * centred / (len(rows) - 1)

        (mean1, s1), (mean2, s2) = moments(x), moments(y)
        eigenvalues = mp.eig(s1 * s2, left=False, right=False)
        root = mp.fsum(mp.sqrt(max(mp.re(value), 0)) for value in eigenvalues)
        traces = mp.fsum((s1 + s2)[i, i] for i in range(dim))
        expected = float(mp.norm(mean1 - mean2) ** 2 + traces - 2 * root)
    assert frechet_from_features(x, y) == pytest.approx(expected, rel=1e-14)


@pytest.mark.filterwarnings("ignore")
def test_shifted_copies_where_a_matrix_square_root_drifts() -> None:
    """100 pictures in 512 dimensions, shifted by 0.5: 128 exactly, for pytorch-fid 0.3.0 128 - 3.4e-5.

    The 412 eigenvalues that are 0 come out at 1e-16, and their roots at 1e-8 each. So they do for `frechet`,
    which sees covariances alone; from features they do not arise.
    """
    peer = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    x = features(0, 100, 512)
    y = x + 0.5
    assert frechet_from_features(x, y) == pytest.approx(128, abs=1e-11)
    moments = [m for z in (x, y) for m in (z.mean(0).numpy(), np.cov(z.numpy(), rowvar=False))]
    drift = abs(peer.calculate_frechet_distance(*moments) - 128)
    assert 1e-7 < drift < 1e-3
    assert frechet(gaussian_of(x), gaussian_of(y)) == pytest.approx(128, abs=1e-3)


def test_features_in_orthogonal_planes() -> None:
    """With S1 S2 = 0 the root vanishes and the traces add up."""
    x, y = torch.zeros(4, 9, dtype=torch.float64), torch.zeros(4, 9, dtype=torch.float64)
    x[:, :3], y[:, 5:7] = features(0, 4, 3), features(1, 4, 2)
    a, b = gaussian_of(x), gaussian_of(y)
    expected = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace()
    assert frechet_from_features(x, y) == pytest.approx(float(expected), rel=1e-12)


def test_both_methods_agree_where_both_apply() -> None:
    x, y = features(0, 60, 16), 1.5 * features(1, 45, 16)
    root = torch.linalg.matrix_norm(centred_factor(x) @ centred_factor(y).T, ord="nuc")
    expected = trace_of_root(gaussian_of(x).covariance, gaussian_of(y).covariance)
    torch.testing.assert_close(root, expected, rtol=1e-11, atol=0)


def test_factor_and_root_rebuild_the_covariance() -> None:
    for n in (6, 40):
        x = features(n, n, 10)
        covariance, factor = gaussian_of(x).covariance, centred_factor(x)
        assert len(factor) <= 10
        torch.testing.assert_close(factor.T @ factor, covariance, rtol=1e-10, atol=1e-12)
    root = symmetric_root(covariance)
    torch.testing.assert_close(root @ root, covariance, rtol=1e-10, atol=1e-12)


# Streams
def test_moments_stream_and_merge_to_one_pass() -> None:
    x = 1000 + features(0, 101, 8)  # far from zero: a sum of squares would cancel here
    whole, left, right = gaussian_of(x), RunningGaussian(8), RunningGaussian(8)
    for part in x[:60].split(7):
        left.update(part)
    right.update(x[60:])
    restored = RunningGaussian(8)
    restored.load_state_dict(right.state_dict())
    left.merge(restored)
    left.merge(RunningGaussian(8))
    merged = left.gaussian()
    assert merged.count == 101
    torch.testing.assert_close(merged.mean, x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(merged.covariance, torch.cov(x.T), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(merged.covariance, whole.covariance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count: int) -> None:
    with pytest.raises(EvalError, match=f"has {count}"):
        frechet_from_features(features(0, 5, 3), features(1, count, 3))
    with pytest.raises(EvalError, match=f"has {count}"):
        gaussian_of(features(1, count, 3))


def test_statistics_of_other_features() -> None:
    with pytest.raises(EvalError, match="of 3 and of 4 dimensions"):
        frechet(gaussian_of(features(0, 9, 3)), gaussian_of(features(0, 9, 4)))
