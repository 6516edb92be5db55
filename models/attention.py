"""Self-attention over the positions of a feature map, optional at chosen resolutions."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .layers import EqualConv2d


class SelfAttention(nn.Module):
    """x + gate * attention(x), with a learned gate that starts at zero: a new block changes nothing at first.

    One query, key and value for each of the h * w positions, scaled dot products (Zhang 2019, SAGAN,
    arXiv:1805.08318, with Vaswani's scaling and heads of `head_dim` channels). They are written out, since
    the fused kernels have no second derivative, which the gradient penalty needs.
    """

    def __init__(self, channels: int, *, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = max(1, channels // head_dim)
        if channels % self.heads:
            raise ValueError(f"{channels} channels do not divide into {self.heads} attention heads")
        self.to_qkv = EqualConv2d(channels, 3 * channels, 1, gain=1.0)
        self.to_out = EqualConv2d(channels, channels, 1, gain=1.0)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        q, k, v = rearrange(self.to_qkv(x), "n (k m c) h w -> k n m (h w) c", k=3, m=self.heads)
        weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)  # (n, m, h w, h w)
        mixed = rearrange(weights.to(v.dtype) @ v, "n m (h w) c -> n (m c) h w", h=x.shape[2])
        return x + self.gate.to(x.dtype) * self.to_out(mixed)
