"""Geometry at load: flip, rotation, scale, crop and shift, each picture by draws of its own."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .splitmix import random_bits, upper

Fill = Literal["reflect", "background"]

# Every draw has its own column, so that switching one transform on leaves the others' draws alone.
FLIP, ROTATE, SCALE, CROP, CROP_X, CROP_Y, SHIFT_X, SHIFT_Y = range(8)
DRAWS = 8


def uniform_draws(seed: int, numbers: Tensor, count: int) -> Tensor:
    """float64 (B, count) in [0, 1): a pure function of (seed, number, column).

    `numbers` is int64 (B,). A generator object per picture would cost more than the augmentation itself.
    """
    return upper(random_bits(seed, numbers, count), 53).double() * 2.0**-53


def flip_some(images: Tensor, draws: Tensor) -> Tensor:
    """Mirrors every other picture, exactly. images (B, C, H, W) of any type, draws float (B, DRAWS)."""
    chosen = (draws[:, FLIP] < 0.5).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def affine_matrices(draws: Tensor, *, rotate: float, scale: float, crop: float, shift: float) -> Tensor:
    """float32 (B, 2, 3) maps from output to input coordinates in [-1, 1], as F.affine_grid takes them.

    Args:
        draws: float (B, DRAWS) in [0, 1).
        rotate: largest angle to either side, in degrees.
        scale: sizes are drawn log-uniformly from 1 / (1 + scale) to 1 + scale.
        crop: largest part of each side that a random window leaves out, in [0, 1).
        shift: largest move to either side, as a fraction of the side.
    """
    signed = 2 * draws - 1
    angle = signed[:, ROTATE] * math.radians(rotate)
    size = torch.exp(signed[:, SCALE] * math.log1p(scale))
    window = 1 - draws[:, CROP] * crop
    cosine, sine = torch.cos(angle) * window / size, torch.sin(angle) * window / size
    x = (1 - window) * signed[:, CROP_X] + 2 * shift * signed[:, SHIFT_X]
    y = (1 - window) * signed[:, CROP_Y] + 2 * shift * signed[:, SHIFT_Y]
    rows = [torch.stack([cosine, -sine, x], dim=-1), torch.stack([sine, cosine, y], dim=-1)]
    return torch.stack(rows, dim=1).float()


def warp(images: Tensor, matrices: Tensor, *, fill: Fill, background: Tensor) -> Tensor:
    """Resamples float (B, 3, H, W) bilinearly by (B, 2, 3) maps, with mirrors or `background` (3,) beyond."""
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    if fill == "reflect":
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    ground = background.to(images)[None, :, None, None]
    return F.grid_sample(images - ground, grid, padding_mode="zeros", align_corners=False) + ground
