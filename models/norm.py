"""Instance normalisation in as few passes over memory as PyTorch allows, with its derivative by hand.

Means over space are asked for as `mean(dim=(2, 3))`, which is how `tiling.SharedStatistics` knows them.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .feature_statistics import instance_normalised

EPS = 1e-5
"""Added to the variance of a channel, where nothing else is chosen."""

Maps = Float[Tensor, "n c h w"]
OfChannels = Float[Tensor, "n c"]


def wide(x: Tensor) -> Tensor:
    """In float32 at least, as statistics must be."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Standard(NamedTuple):
    """What has to be known of maps y to give each channel another mean and deviation, s r (y - m) + t with
    their mean m and inverse deviation r, and to differentiate that. (`torch.compile` cannot trace how a
    frozen dataclass is made.)"""

    mean: OfChannels
    rate: OfChannels
    factor: OfChannels
    """s r."""
    unbiased: bool
    """Whether the variance of P places is that over P - 1."""

    @classmethod
    def of(cls, y: Maps, scale: OfChannels | None = None, *, unbiased: bool, eps: float = EPS) -> "Standard":
        """`scale` is s, 1 if there is none; `eps` is added to the variance."""
        mean = y.mean(dim=(2, 3))
        variance = torch.addcmul(y.square().mean(dim=(2, 3)), mean, mean, value=-1).clamp_(min=0)
        if unbiased:
            variance = variance * _correction(y)
        rate = variance.add_(eps).rsqrt_()
        return cls(mean=mean, rate=rate, factor=rate if scale is None else scale * rate, unbiased=unbiased)

    def __call__(self, y: Maps, shift: OfChannels | None = None) -> Maps:
        """`shift` is t, 0 if there is none."""
        offset = -self.mean * self.factor if shift is None else self._less(shift, self.mean)
        return torch.addcmul(_over_space(offset), y, _over_space(self.factor))

    def backward(self, y: Maps, g: Maps) -> tuple[Maps, OfChannels, OfChannels]:
        """The gradients of y, s and t for that of the result, g. With <> a mean over space, that of y is

            s r (g - <g> - (y - m) r q),    q = <g (y - m)> r,

        q times P / (P - 1) where the variance is: affine in g and y for each channel (Ioffe and Szegedy 2015,
        arXiv:1502.03167, section 3, for a batch of one).
        """
        places = y.shape[2] * y.shape[3]
        mean_g = g.mean(dim=(2, 3))
        q = torch.addcmul((g * y).mean(dim=(2, 3)), self.mean, mean_g, value=-1) * self.rate
        slope = self.factor * self.rate * q
        if self.unbiased:
            slope = slope * _correction(y)
        offset = self._less(slope * self.mean, mean_g)
        d_y = torch.addcmul(_over_space(offset), y, _over_space(slope), value=-1)
        return d_y.addcmul_(g, _over_space(self.factor)), q * places, mean_g * places

    def _less(self, one: OfChannels, other: OfChannels) -> OfChannels:
        return torch.addcmul(one, other, self.factor, value=-1)


def _over_space(values: OfChannels) -> Float[Tensor, "n c 1 1"]:
    return values.view(*values.shape, 1, 1)


def _correction(y: Maps) -> float:
    places = y.shape[2] * y.shape[3]
    return places / max(places - 1, 1)


class InstanceNorm(nn.Module):
    """`perceptual.instance_normalised`, with statistics in float32."""

    fused = True
    """Whether with the derivative by hand, or as plain operations, which can be differentiated twice."""

    def forward(self, x: Maps) -> Maps:
        if self.fused:
            return _Normalisation.apply(x)  # type: ignore[no-any-return]
        return instance_normalised(wide(x), EPS).to(x.dtype)


class _Normalisation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = wide(x)
        standard = Standard.of(y, unbiased=True)
        ctx.save_for_backward(x, standard.mean, standard.rate)
        return standard(y).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        x, mean, rate = ctx.saved_tensors
        standard = Standard(mean=mean, rate=rate, factor=rate, unbiased=True)
        d_x, *_ = standard.backward(wide(x), wide(g))
        return d_x.to(x.dtype)
