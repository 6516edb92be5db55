"""StyleGAN2's networks as its authors' code computes them on a processor: what `bench train` compares with.

No run uses them. They have the layers of Karras 2020 (arXiv:1912.04958, figures 2 and 7; conditioned as in
arXiv:2006.06676) in the order that its published code takes where it has no kernels of its own: float32,
channels first, resampling by zeros, padding and one grouped filter, each activation by itself. Written anew.
"""

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .layers import Resample, pixel_norm
from .synthesis import SMALLEST, layer_count, resolutions, width

TAPS = (1.0, 3.0, 3.0, 1.0)
GAIN = 2**0.5
"""Of a leaky ReLU."""

Sides = tuple[int, int, int, int]
"""Left, right, top and bottom."""


# Functions
def resample_filter() -> Float[Tensor, "4 4"]:
    taps = torch.tensor(TAPS) / sum(TAPS)
    return torch.outer(taps, taps)


def upfirdn(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"], *, up: int = 1, down: int = 1, padding: Sides
) -> Float[Tensor, "n c h2 w2"]:
    """Puts `up - 1` zeros after each place, pads, filters, and keeps every `down`-th place."""
    n, c, h, w = x.shape
    if up > 1:
        spread = F.pad(x.view(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = spread.view(n, c, h * up, w * up)
    x = F.conv2d(F.pad(x, padding), kernel.expand(c, 1, *kernel.shape), groups=c)
    return x[:, :, ::down, ::down]


def convolve(x: Tensor, weight: Tensor, kernel: Tensor, resample: Resample = "none") -> Tensor:
    """A convolution after enlarging by two (`up`: its kernel is then turned round) or before halving."""
    size = weight.shape[-1]
    if resample == "up":
        spread = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return upfirdn(spread, 4 * kernel, padding=(1, 1, 1, 1))
    if resample == "down" and size == 1:
        return F.conv2d(upfirdn(x, kernel, down=2, padding=(1, 1, 1, 1)), weight)
    if resample == "down":
        return F.conv2d(upfirdn(x, kernel, padding=(2, 2, 2, 2)), weight, stride=2)
    return F.conv2d(x, weight, padding=size // 2)


def activated(x: Tensor, bias: Tensor, gain: float = GAIN) -> Tensor:
    """Bias, leaky ReLU and its gain, in a pass each."""
    return F.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * gain


# The style door
class Dense(nn.Module):
    """Linear layer with an equalised learning rate; activated, or as it is."""

    def __init__(
        self, inputs: int, outputs: int, kind: Literal["leaky", "linear"] = "linear", *, lr: float = 1.0,
        bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.kind, self.lr, self.scale = kind, lr, lr / inputs**0.5

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        weight, bias = self.weight * self.scale, self.bias * self.lr
        if self.kind == "leaky":
            return activated(x @ weight.T, bias)
        return torch.addmm(bias, x, weight.T)


class Mapping(nn.Module):
    """z (N, Z) and styles (N, S) -> w (N, D); with Z = 0, styles alone."""

    def __init__(self, *, styles: int, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.embed = Dense(styles, w_dim)
        widths = [z_dim + w_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(Dense(i, o, "leaky", lr=0.01) for i, o in itertools.pairwise(widths))
        self.average: Tensor
        self.register_buffer("average", torch.zeros(w_dim))

    def forward(self, z: Float[Tensor, "n z"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
        x = pixel_norm(self.embed(styles))
        if z.shape[1]:
            x = torch.cat([pixel_norm(z), x], dim=1)
        for layer in self.layers:
            x = layer(x)
        self.average.copy_(x.detach().mean(dim=0).lerp(self.average, 0.995))
        return x


# Synthesis
class Filtered(nn.Module):
    """What has convolutions that resample."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", resample_filter())


class StyledConv(Filtered):
    """Convolution with weights modulated by style, as scales of its input and output, then noise, bias and
    leaky ReLU (eq. 1 and 3)."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resample: Resample = "none") -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(outputs))
        self.resample: Resample = resample

    def forward(self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]) -> Float[Tensor, "n o h2 w2"]:
        styles = self.affine(w)
        modulated = self.weight[None] * styles[:, None, :, None, None]  # for its norms alone
        norms = (modulated.square().sum(dim=(2, 3, 4)) + 1e-8).rsqrt()
        y = convolve(x * styles[:, :, None, None], self.weight, self.kernel, self.resample)
        noise = self.strength * torch.randn(len(y), 1, *y.shape[2:], device=y.device)
        return activated(torch.addcmul(noise, y, norms[:, :, None, None]), self.bias)


class ToRGB(nn.Module):
    """1 x 1 convolution, modulated but not demodulated."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight, self.bias = nn.Parameter(torch.randn(3, inputs, 1, 1)), nn.Parameter(torch.zeros(3))
        self.scale = inputs**-0.5

    def forward(self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]) -> Float[Tensor, "n 3 h w"]:
        styles = self.affine(w) * self.scale
        return F.conv2d(x * styles[:, :, None, None], self.weight) + self.bias[:, None, None]


class Synthesis(Filtered):
    """w (N, L, D) -> images (N, 3, R, R): a sum of RGB outputs of all resolutions (figure 7, output skips).
    L as in `synthesis.layer_count`; RGB outputs take the code that comes next."""

    def __init__(self, *, resolution: int, w_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        widths = [width(r, base=channel_base, most=channel_max) for r in resolutions(resolution)]
        self.start = nn.Parameter(torch.randn(widths[0], SMALLEST, SMALLEST))
        self.enter = nn.ModuleList(StyledConv(i, o, w_dim, "up") for i, o in itertools.pairwise(widths))
        self.refine = nn.ModuleList(StyledConv(c, c, w_dim) for c in widths)
        self.to_rgb = nn.ModuleList(ToRGB(c, w_dim) for c in widths)
        self.layers = layer_count(resolution)

    def forward(self, w: Float[Tensor, "n l d"]) -> Float[Tensor, "n 3 r r"]:
        codes = iter(w.unbind(dim=1))
        x = self.refine[0](self.start.repeat(len(w), 1, 1, 1), next(codes))
        code = next(codes)
        image = self.to_rgb[0](x, code)
        for enter, refine, to_rgb in zip(self.enter, self.refine[1:], self.to_rgb[1:], strict=True):
            x = refine(enter(x, code), next(codes))
            code = next(codes)
            image = upfirdn(image, 4 * self.kernel, up=2, padding=(2, 1, 2, 1)) + to_rgb(x, code)
        return image


# Discriminator
class Conv(Filtered):
    """Convolution with an equalised learning rate; activated where it has a bias."""

    def __init__(
        self, inputs: int, outputs: int, size: int, resample: Resample = "none", *, bias: bool = True,
        gain: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.resample: Resample = resample
        self.scale, self.gain = (inputs * size**2) ** -0.5, gain

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        y = convolve(x, self.weight * self.scale, self.kernel, self.resample)
        return y * self.gain if self.bias is None else activated(y, self.bias, GAIN * self.gain)


class Block(nn.Module):
    """Two convolutions that halve the size, beside a third that does it at once."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs, 3)
        self.second = Conv(inputs, outputs, 3, "down", gain=0.5**0.5)
        self.skip = Conv(inputs, outputs, 1, "down", bias=False, gain=0.5**0.5)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h//2 w//2"]:
        return self.skip(x) + self.second(self.first(x))


class Discriminator(nn.Module):
    """images (N, 3, R, R) and styles (N, S) -> logits (N,): residual blocks, and the inner product of what
    they end in with a mapped style."""

    def __init__(
        self, *, resolution: int, styles: int, channel_base: int, channel_max: int, group: int
    ) -> None:
        super().__init__()
        widths = [width(r, base=channel_base, most=channel_max) for r in resolutions(resolution)[::-1]]
        last = widths[-1]
        self.from_rgb = Conv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in itertools.pairwise(widths)))
        self.group = group
        self.conv = Conv(last + 1, last, 3)
        self.dense = Dense(last * SMALLEST**2, last, "leaky")
        self.score = Dense(last, last)
        self.mapping = Mapping(styles=styles, z_dim=0, w_dim=last, layers=8)

    def forward(self, images: Float[Tensor, "n 3 r r"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "n"]:
        x = self.blocks(self.from_rgb(images))
        x = self.conv(torch.cat([x, self.spread(x)], dim=1))
        h = self.score(self.dense(x.flatten(1)))
        mapped = self.mapping(images.new_empty(len(images), 0), styles)
        return (h * mapped).sum(dim=1) / h.shape[1] ** 0.5

    def spread(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """How much the pictures of a group differ: groups are strided through the batch."""
        group = min(self.group, len(x))
        grouped = x.view(group, -1, *x.shape[1:])
        std = ((grouped - grouped.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()  # (m, c, h, w)
        return std.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1).repeat(group, 1, *x.shape[2:])
