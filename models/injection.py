"""Noise, leaky ReLU and AdaIN in as few passes over memory as PyTorch allows, with a derivative by hand.

A processor spends a third of a narrow synthesis network's time on these; autograd would keep every step of
the formula and differentiate each by itself.
"""

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from .layers import LEAK, leaky_
from .normalisation import EPS, Standard, wide


def inject(
    x: Float[Tensor, "n c h w"],
    bias: Float[Tensor, "c"],
    noise: Float[Tensor, "n 1 h w"] | None,
    strength: Float[Tensor, "c"],
    scale: Float[Tensor, "n c"],
    shift: Float[Tensor, "n c"],
    eps: float = EPS,
) -> Float[Tensor, "n c h w"]:
    """`adain(leaky(x + strength * noise + bias), scale, shift, eps)`, to be differentiated once, and not by
    the noise. It is computed over x, which must be a fresh result that nothing else keeps, such as a
    convolution's."""
    return _Injection.apply(x, bias, noise, strength, scale, shift, eps)  # type: ignore[no-any-return]


class _Injection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor,
        noise: Tensor | None,
        strength: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
    ) -> Tensor:
        places = rearrange(x.detach(), "n c h w -> (n h w) c")  # x itself where channels come last
        # Noise and bias are a product of rank two. To broadcast them would visit the few channels of each
        # place by themselves, which in bfloat16 takes thirty times as long.
        ones = x.new_ones(len(places))
        maps = ones[:, None] if noise is None else torch.stack([ones, noise.reshape(-1)], dim=1)
        vectors = bias[None] if noise is None else torch.stack([bias, strength])
        places = leaky_(places.addmm_(maps, vectors.to(x.dtype)))
        y = rearrange(places, "(n h w) c -> n c h w", n=len(x), h=x.shape[2])
        full = wide(y)
        standard = Standard.of(full, scale, unbiased=False, eps=eps)
        ctx.save_for_backward(y, maps, standard.mean, standard.rate, standard.factor)
        return standard(full, shift).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        y, maps, mean, rate, factor = ctx.saved_tensors
        standard = Standard(mean=mean, rate=rate, factor=factor, unbiased=False)
        d_y, d_scale, d_shift = standard.backward(wide(y), wide(g))
        d_y = d_y.to(y.dtype)
        d_x = torch.ops.aten.leaky_relu_backward.grad_input(d_y, y, LEAK, True, grad_input=d_y)
        d_bias, *d_strength = (maps.T @ rearrange(d_x, "n c h w -> (n h w) c")).to(factor.dtype)
        return d_x, d_bias, None, d_strength[0] if d_strength else None, d_scale, d_shift, None
