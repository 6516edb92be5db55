import math

import pytest
import torch

from brushwork.data.splitmix import uniform
from brushwork.data.transforms import (
    COLUMNS,
    CROP,
    ROTATE,
    SCALE,
    SHIFT_X,
    affine_matrices,
    warp,
)

NONE = {"rotate": 0.0, "scale": 0.0, "crop": 0.0, "shift": 0.0}
MIDDLE = torch.full((1, COLUMNS), 0.5, dtype=torch.float64)
BLACK = torch.full((3,), -1.0)


def with_value(column: int, value: float) -> torch.Tensor:
    random = MIDDLE.clone()
    random[:, column] = value
    return random


def test_middle_values_are_the_identity() -> None:
    matrices = affine_matrices(MIDDLE, rotate=45, scale=0.5, crop=0.0, shift=0.5)
    torch.testing.assert_close(matrices, torch.eye(2, 3)[None])
    images = torch.rand(1, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(warp(images, matrices, fill="reflect", background=BLACK), images)


def test_each_transform_does_what_its_unit_says() -> None:
    turned = affine_matrices(with_value(ROTATE, 1.0), **{**NONE, "rotate": 30.0})[0]
    assert math.degrees(math.atan2(turned[1, 0], turned[0, 0])) == pytest.approx(30, abs=1e-4)
    larger = affine_matrices(with_value(SCALE, 1.0), **{**NONE, "scale": 0.25})[0]
    assert float(torch.linalg.det(larger[:, :2])) == pytest.approx(1.25**-2, rel=1e-5)
    window = affine_matrices(with_value(CROP, 1.0), **{**NONE, "crop": 0.4})[0]
    assert float(window[0, 0]) == pytest.approx(0.6, rel=1e-5)
    moved = affine_matrices(with_value(SHIFT_X, 1.0), **{**NONE, "shift": 0.25})
    images = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(1, 3, 1, 1) / 32 - 1
    shown = warp(images, moved, fill="background", background=BLACK)
    torch.testing.assert_close(shown[..., :6], images[..., 2:])
    torch.testing.assert_close(shown[..., 6:], torch.full((1, 3, 8, 2), -1.0))


def test_windows_stay_inside_the_picture() -> None:
    random = uniform(0, torch.arange(500), COLUMNS)
    matrices = affine_matrices(random, **{**NONE, "crop": 0.5})
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1], [-1, 1, 1], [1, -1, 1]]).T
    assert (matrices @ corners).abs().max() <= 1 + 1e-6


def test_a_quarter_turn_is_exact() -> None:
    images = torch.rand(1, 3, 8, 8)
    quarter = affine_matrices(with_value(ROTATE, 1.0), **{**NONE, "rotate": 90.0})
    turned = warp(images, quarter, fill="reflect", background=BLACK)
    assert any(torch.allclose(turned, torch.rot90(images, k, (2, 3)), atol=1e-5) for k in (1, 3))
