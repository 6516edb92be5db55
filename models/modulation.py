"""Style injection: how a style code w controls a convolution. The kinds share one interface, that of
`AdaINConv`: (features, w, noise, statistics) -> features."""

from typing import Any, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .layers import (
    LEAK,
    Bias,
    EqualConv2d,
    EqualLinear,
    NoiseInjection,
    Normal,
    Resample,
    convolve,
    full_precision,
    leaky_,
)
from .norm import EPS, ChannelMoments, Shared, Standard, wide

Modulation = Literal["adain", "modulated"]
StyleCodes = Float[Tensor, "n d"]


# Functions
def adain(
    x: Float[Tensor, "n c h w"],
    scale: Float[Tensor, "n c"],
    shift: Float[Tensor, "n c"],
    eps: float = EPS,
    moments: ChannelMoments | None = None,
) -> Float[Tensor, "n c h w"]:
    """Adaptive instance normalisation: gives each channel of each image the standard deviation `scale` and
    the mean `shift` (Huang & Belongie 2017, arXiv:1703.06868, equation 8).

    `eps` is added to the variance: channels whose deviation is below its root stay weaker than `scale`.
    `moments` replace those of x. Statistics are in float32, which suffices for means of up to a thousand
    deviations.
    """
    y = wide(x)
    return Standard.of(y, scale, eps=eps, moments=moments)(y, shift).to(x.dtype)


def modulated_conv(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    style: Float[Tensor, "n i"],
    *,
    resample: Resample = "none",
) -> Float[Tensor, "n o h2 w2"]:
    """Convolution with weights scaled by `style` for each image, and demodulated (Karras 2020,
    arXiv:1912.04958, eqs. 1 and 3).

    It scales the input and the output instead: the result is the same, and no grouped convolution is needed.
    """
    y = convolve(x * style[:, :, None, None].to(x.dtype), weight, resample)
    with full_precision(x):
        energy = style.square() @ weight.square().sum(dim=(2, 3)).T  # (n, o)
    return y * torch.rsqrt(energy + 1e-8)[:, :, None, None].to(y.dtype)


# Modules
class AdaIN(nn.Module):
    """The scale and shift of `adain`, a learned affine map of w. A zero w gives scale 1, shift 0."""

    def __init__(self, channels: int, w_dim: int, eps: float = EPS) -> None:
        super().__init__()
        self.eps = eps
        self.affine = EqualLinear(w_dim, 2 * channels)

    def forward(self, w: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
        """Returns scale and shift (N, C), in float32."""
        scale, shift = self.affine(w).float().chunk(2, dim=1)
        return 1 + scale, shift


class StyledEpilogue(nn.Module):
    """The operations after a convolution in StyleGAN: noise, bias, leaky ReLU, AdaIN."""

    def __init__(self, channels: int, w_dim: int, eps: float = EPS) -> None:
        super().__init__()
        self.noise = NoiseInjection(channels)
        self.bias = Bias(channels)
        self.adain = AdaIN(channels, w_dim, eps)

    def forward(self, x: Tensor, w: StyleCodes, normal: Normal | None, statistics: Shared = None) -> Tensor:
        """`statistics` replace those of x (without a derivative)."""
        (scale, shift), eps = self.adain(w), self.adain.eps
        maps, vectors = noise_and_bias(x, self.noise.sample(x, normal), self.noise.strength, self.bias.bias)
        if statistics is None:
            return inject(x, maps, vectors, scale, shift, eps)
        y = _activate_(x, maps, vectors)
        return adain(y, scale, shift, eps, statistics.moments(self, wide(y)))


class AdaINConv(nn.Module):
    """StyleGAN's layer: convolution (filtered when it enlarges), then `StyledEpilogue`."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, up: bool = False, eps: float = EPS) -> None:
        super().__init__()
        self.conv = EqualConv2d(inputs, outputs, 3, resample="up" if up else "none")
        self.epilogue = StyledEpilogue(outputs, w_dim, eps)

    def forward(self, x: Tensor, w: StyleCodes, normal: Normal | None, statistics: Shared = None) -> Tensor:
        return self.epilogue(self.conv(x), w, normal, statistics)


class ModulatedConv(nn.Module):
    """StyleGAN2's layer: modulated convolution (filtered when it enlarges), noise, bias, leaky ReLU. The gain
    sqrt(2) follows the activation, since demodulation would undo it in the weights. `eps` is not used."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, up: bool = False, eps: float = EPS) -> None:
        super().__init__()
        self.conv = EqualConv2d(inputs, outputs, 3, gain=1.0, resample="up" if up else "none")
        self.affine = EqualLinear(w_dim, inputs, bias=1.0)
        self.noise = NoiseInjection(outputs)
        self.bias = Bias(outputs)

    def forward(self, x: Tensor, w: StyleCodes, normal: Normal | None, statistics: Shared = None) -> Tensor:
        """`statistics` are not used: weights are normalised, not maps."""
        weight = self.conv.weight * self.conv.scale
        x = modulated_conv(x, weight, self.affine(w), resample=self.conv.resample)
        return leaky_(self.bias(self.noise(x, normal))) * 2**0.5


STYLE_INJECTION: dict[Modulation, type[AdaINConv] | type[ModulatedConv]] = {
    "adain": AdaINConv,
    "modulated": ModulatedConv,
}
"""The layer of each `GeneratorConfig.modulation`."""


def noise_and_bias(
    x: Float[Tensor, "n c h w"],
    noise: Float[Tensor, "n 1 h w"] | None,
    strength: Float[Tensor, "c"],
    bias: Float[Tensor, "c"],
) -> tuple[Float[Tensor, "p k"], Float[Tensor, "k c"]]:
    """Returns two matrices whose product is strength * noise + bias at the p = n h w positions of x.

    Broadcasting would visit the few channels of each position separately, which takes thirty times as long in
    bfloat16.
    """
    ones = x.new_ones(x.shape[0] * x.shape[2] * x.shape[3])
    if noise is None:
        return ones[:, None], bias[None]
    return torch.stack([ones, noise.reshape(-1)], dim=1), torch.stack([bias, strength])


def inject(
    x: Float[Tensor, "n c h w"],
    maps: Float[Tensor, "p k"],
    vectors: Float[Tensor, "k c"],
    scale: Float[Tensor, "n c"],
    shift: Float[Tensor, "n c"],
    eps: float = EPS,
) -> Float[Tensor, "n c h w"]:
    """Returns `adain(leaky(x + maps @ vectors), scale, shift, eps)`, with the matrices of `noise_and_bias`.

    It can be differentiated once. It overwrites x, which must be a fresh result that nothing else holds, such
    as that of a convolution.
    """
    return _Injection.apply(x, maps, vectors, scale, shift, eps)  # type: ignore[no-any-return]


def _activate_(x: Tensor, maps: Tensor, vectors: Tensor) -> Tensor:
    """leaky(x + maps @ vectors), written over x."""
    places = rearrange(x.detach(), "n c h w -> (n h w) c")  # x itself where channels come last
    places = leaky_(places.addmm_(maps, vectors.to(x.dtype)))
    return rearrange(places, "(n h w) c -> n c h w", n=x.shape[0], h=x.shape[2])


class _Injection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, maps: Tensor, vectors: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> Tensor:
        y = _activate_(x, maps, vectors)
        full = wide(y)
        standard = Standard.of(full, scale, eps=eps)
        own = vectors.to(y.dtype) if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(y, maps, standard.mean, standard.rate, standard.factor, own)
        return standard(full, shift).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        y, maps, mean, rate, factor, vectors = ctx.saved_tensors
        d_y, d_scale, d_shift = Standard(mean, rate, factor).backward(wide(y), wide(g))
        d_y = d_y.to(y.dtype)
        d_x = torch.ops.aten.leaky_relu_backward.grad_input(d_y, y, LEAK, True, grad_input=d_y)
        places = rearrange(d_x, "n c h w -> (n h w) c")
        d_vectors = (maps.T @ places).to(factor.dtype)
        d_maps = None if vectors is None else places @ vectors.T
        return d_x, d_maps, d_vectors, d_scale, d_shift, None
