"""Random flip, rotation, scale, crop and shift of each picture of a batch."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fill = Literal["reflect", "background"]

# Each random number has its own column, so that one transform does not change the numbers of another.
FLIP, ROTATE, SCALE, CROP, CROP_X, CROP_Y, SHIFT_X, SHIFT_Y = range(8)
COLUMNS = 8


def random_flip(images: Tensor, random: Tensor) -> Tensor:
    """Mirrors half of the images (B, C, H, W), exactly. `random` is float (B, COLUMNS) in [0, 1)."""
    chosen = (random[:, FLIP] < 0.5).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def affine_matrices(random: Tensor, *, rotate: float, scale: float, crop: float, shift: float) -> Tensor:
    """Returns float32 (B, 2, 3) maps from output to input coordinates in [-1, 1], for F.affine_grid.

    Args:
        random: float (B, COLUMNS) in [0, 1).
        rotate: largest angle to either side, in degrees.
        scale: sizes are log-uniform from 1 / (1 + scale) to 1 + scale.
        crop: largest part of each side that a random window leaves out, in [0, 1).
        shift: largest move to either side, as a fraction of the side.
    """
    signed = 2 * random - 1
    angle = signed[:, ROTATE] * math.radians(rotate)
    size = torch.exp(signed[:, SCALE] * math.log1p(scale))
    window = 1 - random[:, CROP] * crop
    cosine, sine = torch.cos(angle) * window / size, torch.sin(angle) * window / size
    x = (1 - window) * signed[:, CROP_X] + 2 * shift * signed[:, SHIFT_X]
    y = (1 - window) * signed[:, CROP_Y] + 2 * shift * signed[:, SHIFT_Y]
    rows = [torch.stack([cosine, -sine, x], dim=-1), torch.stack([sine, cosine, y], dim=-1)]
    return torch.stack(rows, dim=1).float()


def warp(images: Tensor, matrices: Tensor, *, fill: Fill, background: Tensor) -> Tensor:
    """Resamples float (B, 3, H, W) bilinearly by (B, 2, 3) maps; reflections or `background` fill gaps."""
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    if fill == "reflect":
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    ground = background.to(images)[None, :, None, None]
    return F.grid_sample(images - ground, grid, padding_mode="zeros", align_corners=False) + ground
