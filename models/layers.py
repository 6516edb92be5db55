"""Layers that the networks share: of progressive growing (Karras 2018, arXiv:1710.10196) the equalised
learning rate, pixel norm and minibatch deviations; of StyleGAN (Karras 2019, arXiv:1812.04948) noise and
resampling."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

Normal = Callable[[tuple[int, ...]], Tensor]
"""A source of randomness: `normal((c, h, w))` returns (N, c, h, w) standard normal numbers."""

Resample = Literal["none", "up", "down"]

LEAK = 0.2
LEAKY_GAIN = 2**0.5
"""He gain of a leaky ReLU, as StyleGAN rounds it: sqrt(2 / (1 + 0.2^2)) = 1.387 is taken as sqrt(2)."""


# Functions
def full_precision(x: Tensor) -> torch.autocast:
    """Context manager that switches autocast off on x's device, for style codes and losses. Their backward
    pass needs it, too."""
    return torch.autocast(x.device.type, enabled=False)


def pixel_norm(x: Float[Tensor, "n d"], eps: float = 1e-8) -> Float[Tensor, "n d"]:
    """Scales each row to a mean square of one (Karras 2018, section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + eps)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, the only non-linearity of both networks."""
    return F.leaky_relu(x, LEAK)


def leaky_(x: Tensor) -> Tensor:
    """`leaky` in place: x must be a fresh result that nothing else holds, such as that of a convolution."""
    return F.leaky_relu_(x, LEAK)


def upsample2x(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 2*h 2*w"]:
    """Nearest-neighbour upsampling by two."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def downsample2x(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h//2 w//2"]:
    """Area average of 2 x 2 pixels."""
    return F.avg_pool2d(x, 2)


@lru_cache
@torch.inference_mode(False)  # the cached kernel must serve training, too
def _low_pass(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype, device=device) / 8
    return repeat(gain * taps[:, None] * taps, "h w -> c 1 h w", c=channels)


def low_pass(x: Float[Tensor, "n c h w"], *, padding: int, gain: float = 1.0) -> Tensor:
    """Filters with [1, 3, 3, 1] / 8 in both directions, zero-padded, against aliasing."""
    kernel = _low_pass(x.shape[1], gain, x.dtype, x.device)
    return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])


def convolve(
    x: Tensor,
    weight: Float[Tensor, "o i k k"],
    resample: Resample = "none",
    bias: Float[Tensor, "o"] | None = None,
) -> Tensor:
    """Same-padded convolution, after upsampling (`up`) or before downsampling (`down`) by two.

    Both filter at the larger size and convolve with stride 2 (Karras 2020, arXiv:1912.04958, appendix B).
    With blur = [1, 2, 1] / 4, this is StyleGAN's `blur(conv(upsample2x(x)))` and
    `downsample2x(conv(blur(x)))` except at the border, at a quarter of the multiplications.
    """
    if resample == "up":
        # A bias inside conv2d would cost as much again, since its gradient would be computed in full.
        spread = F.conv_transpose2d(x, weight.flip(2, 3).transpose(0, 1), stride=2)
        y = low_pass(spread, padding=1, gain=4.0)
        return y if bias is None else y + bias.to(y.dtype)[:, None, None]
    if resample == "down":
        return F.conv2d(low_pass(x, padding=2), weight, bias, stride=2)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def group_size(rows: int, most: int) -> int:
    """The size of a minibatch-statistics group: the largest divisor of `rows` up to `most`."""
    return next(size for size in range(min(most, rows), 0, -1) if rows % size == 0)


def minibatch_std(
    x: Float[Tensor, "n c h w"], group: int, *, average: bool = False
) -> Float[Tensor, "n c2 h w"]:
    """Appends the standard deviation of each feature over a group of images: (N, 2 C, H, W).

    `average` takes their mean over features and positions as one channel, (N, C + 1, H, W), as Karras 2018
    (section 3). A generator can match that one number with images that differ in colour alone
    (docs/collapse.md). A group is `group_size` neighbours, where the original has strided rows: a batch that
    is split over processes then forms the same groups.
    """
    group = group_size(len(x), group)
    grouped = rearrange(x.float(), "(m g) c h w -> m g c h w", g=group)
    variance = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)
    std = (variance + 1e-8).sqrt()  # (m, c, h, w)
    if average:
        h, w = x.shape[2:]
        std = repeat(reduce(std, "m c h w -> m 1 1 1", "mean"), "m 1 1 1 -> m 1 h w", h=h, w=w)
    return torch.cat([x, repeat(std.to(x.dtype), "m c h w -> (m g) c h w", g=group)], dim=1)


# Modules
class EqualLinear(nn.Module):
    """Linear layer with an equalised learning rate (Karras 2018, 4.1): weights are stored as
    N(0, 1) / `lr_multiplier` and scaled by `gain / sqrt(fan_in) * lr_multiplier` when used."""

    def __init__(
        self, inputs: int, outputs: int, *, gain: float = 1.0, lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.scale = gain * lr_multiplier / inputs**0.5
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        with full_precision(x):
            x = x.to(torch.promote_types(x.dtype, self.weight.dtype))
            return torch.addmm(self.bias, x, self.weight.T, beta=self.lr_multiplier, alpha=self.scale)


class Bias(nn.Module):
    """A learned offset for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.bias.to(x.dtype)[None, :, None, None]


class EqualConv2d(nn.Module):
    """Convolution with an equalised learning rate (see `EqualLinear`) and resampling (see `convolve`)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, gain: float = LEAKY_GAIN, resample: Resample = "none"
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = gain / (inputs * kernel**2) ** 0.5
        self.resample: Resample = resample

    def forward(self, x: Float[Tensor, "n i h w"], bias: Bias | None = None) -> Float[Tensor, "n o h2 w2"]:
        return convolve(x, self.weight * self.scale, self.resample, None if bias is None else bias.bias)


class NoiseInjection(nn.Module):
    """Adds one noise map, scaled by a learned strength per channel that starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"], normal: Normal | None) -> Float[Tensor, "n c h w"]:
        noise = self.sample(x, normal)
        return x if noise is None else torch.addcmul(x, noise, self.strength.to(x.dtype)[None, :, None, None])

    def sample(self, x: Float[Tensor, "n c h w"], normal: Normal | None) -> Float[Tensor, "n 1 h w"] | None:
        """Returns a noise map per image, the same for all channels, or None without `normal`."""
        return None if normal is None else normal((1, *x.shape[2:])).to(x.dtype)
