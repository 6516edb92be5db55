"""Closed forms and properties of the Frechet distance, and statistics on the disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics import frechet as module
from brushwork.eval.metrics.frechet import (
    frechet,
    frechet_from_features,
    frechet_infinity,
    gaussian_of,
    load_statistics,
)


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def diagonal(*values: float) -> Tensor:
    return torch.diag(torch.tensor(values))


FULL = torch.tensor([[2.0, 1], [1, 2]])
Q = torch.linalg.qr(features(0, 4, 4)).Q
ROTATED = Q @ diagonal(0.3, 1, 2, 5).double() @ Q.T


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (diagonal(1, 4, 9), diagonal(4, 9, 16), 3),
        (FULL, diagonal(1, 3), 0.5166852264521173),
        (ROTATED, ROTATED / 4, 0.25 * float(ROTATED.trace())),
        (ROTATED, ROTATED * 9, 4 * float(ROTATED.trace())),
    ],
)
def test_closed_forms_of_covariances(a: Tensor, b: Tensor, expected: float) -> None:
    """The means, at a distance of 1 in every dimension, add the number of dimensions."""
    sides = (
        module.Gaussian(mean=torch.full((len(a),), mean).double(), covariance=covariance.double(), count=9)
        for mean, covariance in ((0.0, a), (1.0, b))
    )
    assert frechet(*sides) == pytest.approx(expected + len(a), rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 40), m=st.integers(2, 40), dim=st.integers(1, 24), seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 100), shift=st.floats(-100, 100),
)  # fmt: skip
def test_any_two_sets(n: int, m: int, dim: int, seed: int, scale: float, shift: float) -> None:
    """Symmetric, zero on itself, independent of order, at least the means' distance; both forms agree."""
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
    assert len(module.centred_factor(y)) <= dim


def test_features_are_exact_where_a_matrix_square_root_drifts() -> None:
    """100 images in 512 dimensions, shifted by 0.5: 128 exactly, for pytorch-fid 0.3.0 128 - 3.4e-5."""
    x = features(0, 100, 512)
    assert frechet_from_features(x, x + 0.5) == pytest.approx(128, abs=1e-11)


def test_mistakes_are_named() -> None:
    for count in (0, 1):
        with pytest.raises(EvalError, match=f"has {count}"):
            frechet_from_features(features(0, 5, 3), features(1, count, 3))
        with pytest.raises(EvalError, match=f"has {count}"):
            gaussian_of(features(1, count, 3))
    with pytest.raises(EvalError, match="of 3 and of 4 dimensions"):
        frechet(gaussian_of(features(0, 9, 3)), gaussian_of(features(0, 9, 4)))


def test_statistics_in_double_and_single_precision(tmp_path: Path) -> None:
    path, x = tmp_path / "real.npz", features(0, 20, 6)
    gaussian = gaussian_of(x)
    torch.testing.assert_close(gaussian.covariance, torch.cov(x.T))
    np.savez(path, mu=gaussian.mean.numpy(), sigma=gaussian.covariance.numpy(), count=np.array(20))
    loaded = load_statistics(path)
    assert torch.equal(loaded.mean, gaussian.mean)
    assert torch.equal(loaded.covariance, gaussian.covariance)
    assert loaded.count == 20
    sigma = torch.cov(x.T).float()
    sigma[0, 1] *= 1 + 1e-6  # float32 rounding
    np.savez(path, mu=x.mean(0).float().numpy(), sigma=sigma.numpy())
    loaded = load_statistics(path)
    assert loaded.mean.dtype == loaded.covariance.dtype == torch.float64
    assert loaded.count == 0, "unknown, as in the files of pytorch-fid"
    assert torch.equal(loaded.covariance, loaded.covariance.T)


GOOD = {"mu": np.zeros(3), "sigma": np.eye(3)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.zeros(3)}, r"holds mu \(0,\) and sigma \(0,\)"),
        ({**GOOD, "sigma": np.eye(4)}, r"holds mu \(3,\) and sigma \(4, 4\): they must be"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, r"mu \(0,\)"),
        ({**GOOD, "mu": np.array([0, np.nan, 0])}, "no finite numbers"),
        ({**GOOD, "mu": np.array(["a", "b", "c"])}, "no finite numbers"),
        ({**GOOD, "mu": np.array([None, {}, 0], dtype=object)}, "cannot be read as an npz file"),  # pickled
        ({**GOOD, "sigma": np.arange(9.0).reshape(3, 3)}, "not symmetric"),
        ({**GOOD, "sigma": -np.eye(3)}, "negative variances"),
        ({**GOOD, "count": np.array(-1)}, "no finite numbers"),
        ({**GOOD, "count": np.zeros(2)}, "no finite numbers"),
    ],
)
def test_arrays_that_are_no_statistics(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(EvalError, match=message):
        load_statistics(path)


def test_files_that_are_no_statistics(tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    with pytest.raises(EvalError, match="no statistics at"):
        load_statistics(path)
    np.savez_compressed(path, mu=np.zeros(40), sigma=np.cov(features(0, 200, 40).T.numpy()))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    np.save(tmp_path / "one.npy", np.zeros(3))
    one = (tmp_path / "one.npy").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], bytes(flipped), whole[:4] + whole[40:], one):
        path.write_bytes(content)
        with pytest.raises(EvalError, match="cannot be read as an npz file"):
            load_statistics(path)


@pytest.mark.parametrize(("n", "dim"), [(400, 64), (600, 48)])
def test_extrapolated_to_infinitely_many_images_the_bias_is_gone(n: int, dim: int) -> None:
    """Against what 60,000 images have; the distance of few is half as large again."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.arange(1, dim + 1) ** -0.5

    def draw(count: int) -> Tensor:
        return torch.randn(count, dim, generator=generator) * scale * 1.1 + 0.05

    real = torch.randn(2000, dim, generator=generator) * scale
    true = frechet_from_features(draw(60_000), real)
    few = [draw(n) for _ in range(5)]
    found = [frechet_infinity(images, real) for images in few]
    assert min(frechet_from_features(images, real) for images in few) > 1.2 * true
    assert sum(value for value, _ in found) / 5 == pytest.approx(true, rel=0.12)
    assert all(0 < error < 0.3 * true for _, error in found)
    assert frechet_infinity(few[0], real) == found[0], "seeded"
    with pytest.raises(EvalError, match="16 images at least and there are 15"):
        frechet_infinity(few[0][:15], real)


@pytest.mark.parametrize(("n", "m", "dim"), [(40, 90, 16), (30, 20, 64), (50, 200, 64)])
def test_the_quick_distance_is_the_distance(n: int, m: int, dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, dim, generator=generator), 1.2 * torch.randn(m, dim, generator=generator) + 0.3
    y64 = y.double()
    quick = module._quick_distance(x.double(), y64.mean(0), module.centred_factor(y64))
    assert quick == pytest.approx(frechet_from_features(x, y), rel=1e-6)
