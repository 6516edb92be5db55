"""Layers that both networks share: equalised learning rate, blurred resampling, noise, minibatch statistics.

Sources: progressive growing (Karras 2018, arXiv:1710.10196) for the equalised learning rate, pixel norm and
minibatch standard deviation; StyleGAN (Karras 2019, arXiv:1812.04948) for noise and blurred resampling.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

Normal = Callable[[tuple[int, ...]], Tensor]
"""A source of randomness: `normal((c, h, w))` is an (N, c, h, w) standard normal tensor, one row an image."""

Resample = Literal["none", "up", "down"]

LEAK = 0.2
LEAKY_GAIN = 2**0.5
"""He gain of a leaky ReLU, as StyleGAN rounds it: sqrt(2 / (1 + 0.2^2)) = 1.387 is taken as sqrt(2)."""


# Functions


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, the only non-linearity of both networks."""
    return F.leaky_relu(x, LEAK)


def pixel_norm(x: Float[Tensor, "n d"], eps: float = 1e-8) -> Float[Tensor, "n d"]:
    """Scales each row to a mean square of one (Karras 2018, section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + eps)


@lru_cache
@torch.inference_mode(False)  # what is kept must serve training, too
def _blur_kernel(channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=dtype, device=device)
    return repeat(taps[:, None] * taps, "h w -> c 1 h w", c=channels)


def blur(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Low-pass filter [1, 2, 1] / 4 in both directions, zero-padded: removes what resampling would alias."""
    return F.conv2d(x, _blur_kernel(x.shape[1], x.dtype, x.device), padding=1, groups=x.shape[1])


def double(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 2*h 2*w"]:
    """Nearest-neighbour enlargement by two."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halve(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h//2 w//2"]:
    """Area average of 2 x 2 pixels."""
    return F.avg_pool2d(x, 2)


@lru_cache
@torch.inference_mode(False)  # what is kept must serve training, too
def _spreading(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "9 16"]:
    """Each tap of a 3 x 3 kernel lands on 2 x 2 taps of the 4 x 4 kernel."""
    one = torch.eye(3, dtype=dtype, device=device)
    along = F.pad(one, (0, 1)) + F.pad(one, (1, 0))  # (3, 4)
    return torch.kron(along, along)


def spread(weight: Float[Tensor, "a b 3 3"]) -> Float[Tensor, "a b 4 4"]:
    """The 4 x 4 kernel that a 3 x 3 kernel and a sum over 2 x 2 neighbours make together."""
    outer = weight.shape[:2]
    return (weight.reshape(-1, 9) @ _spreading(weight.dtype, weight.device)).view(*outer, 4, 4)


def convolve(x: Tensor, weight: Float[Tensor, "o i k k"], resample: Resample = "none") -> Tensor:
    """Same-padded convolution, after doubling (`up`) or before halving (`down`) the resolution.

    Both resamplings are folded into one strided 4 x 4 convolution (StyleGAN's `fused_scale`), which computes
    exactly `conv(double(x))` and `halve(conv(x))` with 4 / 9 of the multiplications.
    """
    if resample == "up":
        return F.conv_transpose2d(x, spread(weight).flip(2, 3).transpose(0, 1), stride=2, padding=1)
    if resample == "down":
        return F.conv2d(x, spread(weight) / 4, stride=2, padding=1)
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def minibatch_std(x: Float[Tensor, "n c h w"], group: int) -> Float[Tensor, "n c+1 h w"]:
    """Appends one channel: how much the pictures of a group differ (Karras 2018, section 3).

    Groups are neighbours in the batch, unlike in the original, where they are strided: so a batch that is
    split over processes forms the very groups that it forms in one process. `group` is lowered to the
    largest divisor of the batch that does not exceed it.
    """
    n = x.shape[0]
    group = next(size for size in range(min(group, n), 0, -1) if n % size == 0)
    grouped = rearrange(x.float(), "(m g) c h w -> m g c h w", g=group)
    variance = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)
    std = (variance + 1e-8).sqrt()  # (m, c, h, w)
    spread_of_group = reduce(std, "m c h w -> m 1 1 1", "mean").to(x.dtype)
    h, w = x.shape[2:]
    return torch.cat([x, repeat(spread_of_group, "m 1 1 1 -> (m g) 1 h w", g=group, h=h, w=w)], dim=1)


# Modules


class EqualLinear(nn.Module):
    """Linear layer whose weights are stored as N(0, 1) / `lr_multiplier` and scaled when used (Karras 2018,
    4.1).

    Adam moves every stored weight at the same speed; the scale `gain / sqrt(fan_in) * lr_multiplier` makes
    that the right speed for its layer.
    """

    def __init__(
        self, inputs: int, outputs: int, *, gain: float = 1.0, lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.scale = gain * lr_multiplier / inputs**0.5
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class EqualConv2d(nn.Module):
    """Convolution with an equalised learning rate, no bias, and resampling folded in; see `EqualLinear`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, gain: float = LEAKY_GAIN, resample: Resample = "none"
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = gain / (inputs * kernel**2) ** 0.5
        self.resample: Resample = resample

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        return convolve(x, self.weight * self.scale, self.resample)


class Bias(nn.Module):
    """A learned offset for each channel, kept apart from the convolution so that blur and noise come before
    it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.bias.to(x.dtype)[None, :, None, None]


class NoiseInjection(nn.Module):
    """Adds one noise map, weighted by a learned strength for each channel that starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"], normal: Normal | None) -> Float[Tensor, "n c h w"]:
        if normal is None:
            return x
        noise = normal((1, *x.shape[2:])).to(x.dtype)  # (n, 1, h, w)
        return torch.addcmul(x, noise, self.strength.to(x.dtype)[None, :, None, None])
