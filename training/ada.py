"""Adaptive discriminator augmentation (ADA): random changes of all images that the discriminator sees.

Karras 2020 (arXiv:2006.06676), section 2 and appendix B. Every change has the probability p, which rises
while the discriminator overfits (`run.overfitting`) and falls while it does not. Two departures: p is at most
0.8, and images are resampled bilinearly, where the original filters them at twice the resolution.
"""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .rng import BatchRNG

Images = Float[Tensor, "n c h w"]
PerImage = Float[Tensor, "n"]
Kind = Literal["flip", "turn", "shift", "geometry", "colour"]

MOST = 0.8
"""The largest p: above it the generator learns the changes themselves. The original has no such limit."""


def next_p(p: float, overfitting: float, *, target: float, images: int, kimg: float) -> float:
    """The probability after a step of so many images: higher if overfitting is above the target, else lower.

    It would go from 0 to 1 in `kimg` thousand images.
    """
    change = images / (kimg * 1000)
    return min(p + change, MOST) if overfitting > target else max(p - change, 0.0)


def augment_adaptively(images: Images, kinds: tuple[Kind, ...], p: float, rng: BatchRNG) -> Images:
    """Changes images in [-1, 1], each by each of `kinds` with probability p; the identity at p = 0.

    Kinds: flip (left and right), turn (by 90, 180 or 270 degrees; by 180 if the images are not square), shift
    (by whole pixels, up to an eighth of the side), geometry (size, aspect, rotation by any angle, shift),
    colour (brightness, contrast, inverted luma, hue, saturation).
    """
    if not kinds or p == 0:
        return images
    if any(kind != "colour" for kind in kinds):
        images = warp(images, _drawn_moves(images, kinds, p, rng))
    return _recolour(images, p, rng) if "colour" in kinds else images


class Moves:
    """Affine maps, one for each image, composed of moves in the order in which an image undergoes them.

    Held as the inverse: the place x_in = linear @ x_out + offset of the original at which an output pixel is
    sampled, in pixels from the centre, x to the right and y down.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        one, zero = torch.ones(count, device=device), torch.zeros(count, device=device)
        self.x_axis, self.y_axis = torch.stack([one, zero], 1), torch.stack([zero, one], 1)
        self.offset = torch.stack([zero, zero], 1)

    def scale(self, x: PerImage, y: PerImage) -> None:
        self.x_axis, self.y_axis = self.x_axis / x[:, None], self.y_axis / y[:, None]

    def rotate(self, angle: PerImage) -> None:
        """Rotates by an angle in radians, from the x axis toward the y axis."""
        cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
        x_axis, y_axis = self.x_axis, self.y_axis
        self.x_axis, self.y_axis = cosine * x_axis - sine * y_axis, sine * x_axis + cosine * y_axis

    def shift(self, right: PerImage, down: PerImage) -> None:
        self.offset = self.offset - right[:, None] * self.x_axis - down[:, None] * self.y_axis

    def sampling_grid(self, height: int, width: int) -> Float[Tensor, "n h w 2"]:
        """Where each output pixel is sampled, for `grid_sample` without aligned corners."""
        device = self.offset.device
        right = torch.arange(width, device=device) - (width - 1) / 2
        down = torch.arange(height, device=device) - (height - 1) / 2
        x_axis, y_axis, offset = (each[:, None, None] for each in (self.x_axis, self.y_axis, self.offset))
        places = right[None, None, :, None] * x_axis + down[None, :, None, None] * y_axis + offset
        return places * torch.tensor([2 / width, 2 / height], device=device)


def _drawn_moves(images: Images, kinds: tuple[Kind, ...], p: float, rng: BatchRNG) -> Moves:
    height, width = images.shape[2:]
    moves = Moves(len(images), images.device)

    def drawn(values: Tensor, unchanged: float, share: float = p) -> Tensor:
        """The values for a share of the images, `unchanged` for the others."""
        return torch.where(rng.uniform() < share, values, torch.full_like(values, unchanged))

    if "flip" in kinds:
        mirrored = drawn(1.0 - 2 * rng.integers(0, 2), 1.0)
        moves.scale(mirrored, torch.ones_like(mirrored))
    if "turn" in kinds:
        quarters = rng.integers(0, 4) if height == width else 2 * rng.integers(0, 2)
        moves.rotate(drawn(quarters * (math.pi / 2), 0.0))
    if "shift" in kinds:
        share = drawn((rng.uniform((2,)) * 2 - 1).T / 8, 0.0)
        moves.shift((share[0] * width).round(), (share[1] * height).round())
    if "geometry" in kinds:
        # Two rotations, before and after the stretch, at least one of them with probability p.
        either = 1 - math.sqrt(1 - p)
        size = drawn((0.2 * rng.normal()).exp2(), 1.0)
        moves.scale(size, size)
        moves.rotate(drawn((2 * rng.uniform() - 1) * math.pi, 0.0, either))
        stretch = drawn((0.2 * rng.normal()).exp2(), 1.0)
        moves.scale(stretch, 1 / stretch)
        moves.rotate(drawn((2 * rng.uniform() - 1) * math.pi, 0.0, either))
        share = drawn(0.125 * rng.normal((2,)).T, 0.0)
        moves.shift(share[0] * width, share[1] * height)
    return moves


def _recolour(images: Images, p: float, rng: BatchRNG) -> Images:
    """Changes the first three channels; alpha stays."""

    def drawn(values: Tensor, unchanged: float) -> Tensor:
        chosen = torch.where(rng.uniform() < p, values, torch.full_like(values, unchanged))
        return chosen[:, None, None, None]

    brightness = drawn(0.2 * rng.normal(), 0.0)
    contrast = drawn((0.5 * rng.normal()).exp2(), 1.0)
    sign = drawn(1.0 - 2 * rng.integers(0, 2), 1.0)
    hue = drawn((2 * rng.uniform() - 1) * math.pi, 0.0)
    saturation = drawn(rng.normal().exp2(), 1.0)
    changed = rotate_colours((images[:, :3] + brightness) * contrast, sign, hue, saturation)
    return torch.cat([changed, images[:, 3:]], dim=1)


def rotate_colours(images: Float[Tensor, "n 3 h w"], sign: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Multiplies the mean of the channels by `sign`; turns the rest around the grey axis by `hue`
    (radians) and multiplies it by `saturation`. The three are (N, 1, 1, 1)."""
    grey = images.mean(dim=1, keepdim=True)
    colour = images - grey
    sideways = (colour.roll(1, dims=1) - colour.roll(-1, dims=1)) / math.sqrt(3)  # the axis x the colour
    return sign * grey + saturation * (hue.cos() * colour + hue.sin() * sideways)


def warp(images: Images, moves: Moves) -> Images:
    """Moves images, with reflections at the border; can be differentiated twice."""
    precise = torch.promote_types(images.dtype, torch.float32)  # places in bf16 would be off by pixels
    grid = moves.sampling_grid(*images.shape[2:])
    return _Resample.apply(images.to(precise), grid.to(precise)).to(images.dtype)


class _Resample(torch.autograd.Function):
    """`grid_sample`, which has no second derivative of its own.

    It is linear in the images. So its derivative is its transpose, whose derivative is the function again.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Transposed.apply(gradient, grid, ctx.shape), None


class _Transposed(torch.autograd.Function):
    """The transpose of `_Resample`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, reflection = 0, 2
        return torch.ops.aten.grid_sampler_2d_backward(
            gradient, gradient.new_zeros(1).expand(shape), grid, bilinear, reflection, False, [True, False]
        )[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Resample.apply(gradient, grid), None, None
