"""Instance normalisation in as few passes over memory as PyTorch allows.

Derivatives are written by hand. That of `InstanceNorm` saves a fourteenth of a restyling step, that of
`modulation.inject` a sixth of any step; both are held equal to autograd's in
tests/models/test_modulation.py.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

EPS = 1e-5
"""The default value added to the variance of a channel."""

Maps = Float[Tensor, "n c h w"]
PerChannel = Float[Tensor, "n c"]


def wide(x: Tensor) -> Tensor:
    """Converts to float32 unless x is wider already: statistics need the digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ChannelMoments(NamedTuple):
    """Means over space of maps and of their squares."""

    mean: PerChannel
    mean_square: PerChannel

    @classmethod
    def of(cls, y: Maps) -> "ChannelMoments":
        return cls(y.mean(dim=(2, 3)), y.square().mean(dim=(2, 3)))


class SharedStatistics:
    """One set of moments per normalisation layer, shared by all tiles of one image.

    With statistics of its own, each tile would get the same contrast, flat ones amplified noise, and its own
    colours. Here, the first batch of tiles sets the moments of each layer to their mean over that batch, and
    later batches reuse them. (Chen et al. 2022, arXiv:2103.11784, take them from a thumbnail, which has the
    statistics of another scale.)
    """

    def __init__(self) -> None:
        self.known: dict[nn.Module, ChannelMoments] = {}

    def moments(self, layer: nn.Module, y: Maps) -> ChannelMoments:
        """Returns the moments (N, C) that `layer` uses for the maps `y`."""
        if layer not in self.known:
            self.known[layer] = ChannelMoments(*(x.mean(dim=0, keepdim=True) for x in ChannelMoments.of(y)))
        return ChannelMoments(*(x.expand(len(y), -1) for x in self.known[layer]))


Shared = SharedStatistics | None
"""Statistics to use in place of those of the maps."""


class Standard(NamedTuple):
    """The map y -> s r (y - m) + t of each channel, with the mean m and inverse deviation r of y.
    (`torch.compile` cannot trace the creation of a frozen dataclass.)"""

    mean: PerChannel
    rate: PerChannel
    factor: PerChannel
    """s r."""
    correction: float = 1.0
    """Factor of the variance: 1, or `bessel`."""

    @classmethod
    def of(
        cls, y: Maps, scale: PerChannel | None = None, *, correction: float = 1.0, eps: float = EPS,
        moments: ChannelMoments | None = None,
    ) -> "Standard":  # fmt: skip
        """`scale` is s, by default 1; `eps` is added to the variance; `moments` replace those of y."""
        mean, mean_square = moments or ChannelMoments.of(y)
        variance = torch.addcmul(mean_square, mean, mean, value=-1).clamp_(min=0) * correction
        rate = variance.add_(eps).rsqrt_()
        return cls(mean, rate, rate if scale is None else scale * rate, correction)

    def __call__(self, y: Maps, shift: PerChannel | None = None) -> Maps:
        """`shift` is t, by default 0."""
        offset = -self.mean * self.factor if shift is None else self._less(shift, self.mean)
        return torch.addcmul(_over_space(offset), y, _over_space(self.factor))

    def backward(self, y: Maps, g: Maps) -> tuple[Maps, PerChannel, PerChannel]:
        """Returns the gradients of y, s and t, given the gradient g of the result. With <> a mean over space
        and the correction b of the variance, that of y is

            s r (g - <g> - b (y - m) r q),    q = <g (y - m)> r,

        affine in g and y for each channel (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, for a batch
        of one).
        """
        places = y.shape[2] * y.shape[3]
        mean_g = g.mean(dim=(2, 3))
        q = torch.addcmul((g * y).mean(dim=(2, 3)), self.mean, mean_g, value=-1) * self.rate
        slope = self.factor * self.rate * q * self.correction
        offset = self._less(slope * self.mean, mean_g)
        d_y = torch.addcmul(_over_space(offset), y, _over_space(slope), value=-1)
        return d_y.addcmul_(g, _over_space(self.factor)), q * places, mean_g * places

    def _less(self, one: PerChannel, other: PerChannel) -> PerChannel:
        return torch.addcmul(one, other, self.factor, value=-1)


def _over_space(values: PerChannel) -> Float[Tensor, "n c 1 1"]:
    return values.view(*values.shape, 1, 1)


def bessel(y: Maps) -> float:
    """Returns P / (P - 1) for maps of P positions, the factor from the biased to the unbiased variance."""
    places = y.shape[2] * y.shape[3]
    return places / max(places - 1, 1)


class InstanceNorm(nn.Module):
    """Gives each channel of each image mean 0 and standard deviation 1, with statistics in float32."""

    def forward(self, x: Maps, statistics: Shared = None) -> Maps:
        """`statistics` replace those of x (without a derivative)."""
        if statistics is None:
            return _Normalisation.apply(x)  # type: ignore[no-any-return]
        y = wide(x)
        standard = Standard.of(y, correction=bessel(y), moments=statistics.moments(self, y))
        return standard(y).to(x.dtype)


class _Normalisation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = wide(x)
        standard = Standard.of(y, correction=bessel(y))
        ctx.save_for_backward(x, standard.mean, standard.rate)
        return standard(y).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        x, mean, rate = ctx.saved_tensors
        d_x, *_ = Standard(mean, rate, factor=rate, correction=bessel(x)).backward(wide(x), wide(g))
        return d_x.to(x.dtype)
