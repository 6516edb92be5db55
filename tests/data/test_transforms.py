import math

import numpy as np
import pytest
import torch

from brushwork.data.transforms import (
    CROP,
    DRAWS,
    ROTATE,
    SCALE,
    SHIFT_X,
    affine_matrices,
    uniform_draws,
    warp,
)

NONE = {"rotate": 0.0, "scale": 0.0, "crop": 0.0, "shift": 0.0}
MIDDLE = torch.full((1, DRAWS), 0.5, dtype=torch.float64)
BLACK = torch.full((3,), -1.0)


def with_draw(column: int, value: float) -> torch.Tensor:
    draws = MIDDLE.clone()
    draws[:, column] = value
    return draws


def test_draws_are_a_function_of_seed_number_and_column() -> None:
    numbers = torch.arange(100, 200)
    draws = uniform_draws(7, numbers, 8)
    assert torch.equal(uniform_draws(7, numbers[30:31], 8), draws[30:31])
    assert torch.equal(uniform_draws(7, numbers, 3), draws[:, :3])
    assert not (uniform_draws(8, numbers, 8) == draws).any()


def test_draws_are_uniform_and_independent() -> None:
    draws = uniform_draws(0, torch.arange(20000), 4).numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    np.testing.assert_allclose(draws.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(draws.var(axis=0), 1 / 12, atol=0.003)
    np.testing.assert_allclose(np.corrcoef(draws.T) - np.eye(4), 0, atol=0.03)
    assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.03


def test_middle_draws_are_the_identity() -> None:
    matrices = affine_matrices(MIDDLE, rotate=45, scale=0.5, crop=0.0, shift=0.5)
    torch.testing.assert_close(matrices, torch.eye(2, 3)[None])
    images = torch.rand(1, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(warp(images, matrices, fill="reflect", background=BLACK), images)


def test_each_transform_does_what_its_unit_says() -> None:
    turned = affine_matrices(with_draw(ROTATE, 1.0), **{**NONE, "rotate": 30.0})[0]
    assert math.degrees(math.atan2(turned[1, 0], turned[0, 0])) == pytest.approx(30, abs=1e-4)
    larger = affine_matrices(with_draw(SCALE, 1.0), **{**NONE, "scale": 0.25})[0]
    assert float(torch.linalg.det(larger[:, :2])) == pytest.approx(1.25**-2, rel=1e-5)
    window = affine_matrices(with_draw(CROP, 1.0), **{**NONE, "crop": 0.4})[0]
    assert float(window[0, 0]) == pytest.approx(0.6, rel=1e-5)
    moved = affine_matrices(with_draw(SHIFT_X, 1.0), **{**NONE, "shift": 0.25})
    images = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(1, 3, 1, 1) / 32 - 1
    shown = warp(images, moved, fill="background", background=BLACK)
    torch.testing.assert_close(shown[..., :6], images[..., 2:])
    torch.testing.assert_close(shown[..., 6:], torch.full((1, 3, 8, 2), -1.0))


def test_windows_stay_inside_the_picture() -> None:
    draws = uniform_draws(0, torch.arange(500), DRAWS)
    matrices = affine_matrices(draws, **{**NONE, "crop": 0.5})
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1], [-1, 1, 1], [1, -1, 1]]).T
    assert (matrices @ corners).abs().max() <= 1 + 1e-6


def test_a_quarter_turn_is_exact() -> None:
    images = torch.rand(1, 3, 8, 8)
    quarter = affine_matrices(with_draw(ROTATE, 1.0), **{**NONE, "rotate": 90.0})
    turned = warp(images, quarter, fill="reflect", background=BLACK)
    assert any(torch.allclose(turned, torch.rot90(images, k, (2, 3)), atol=1e-5) for k in (1, 3))
