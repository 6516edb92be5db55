"""Perceptual distances that can be minimised: squared distances of points, which networks give images.

    d(a, b) = |p(a) - p(b)|^2 = sum over taps of the mean over places of  head . (a^ - b^)^2

where ^ scales the features at a place to unit length over the channels (Zhang et al. 2018, arXiv 1801.03924,
eq. 1). LPIPS has learned heads; those of other networks are equal, and the mean over taps is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised

from ..errors import EvalError
from ..features.efficientnet import EfficientNetLite
from ..features.extract import whole_float32
from ..features.extractors import HedVgg
from .lpips import EPSILON, Lpips

NETWORKS = ("efficientnet-lite0", "hed-vgg16", "lpips")
LEAST, MOST = 64, 256
"""Shorter side in pixels to which smaller images are enlarged, and larger ones reduced."""


@dataclass(frozen=True, kw_only=True)
class PerceptualDistance:
    """The distance by one network."""

    name: str
    protocol: str
    maps: Callable[[Float[Tensor, "n 3 h w"]], Sequence[Tensor]]
    """Feature maps of images in [-1, 1], differentiable."""
    heads: Sequence[Float[Tensor, "_c"]] = ()
    """Weight of each channel at each tap; none: equal weights."""

    def points(self, images: Float[Tensor, "n c h w"], most: int = MOST) -> Float[Tensor, "n k"]:
        """The points of images about [-1, 1], on their device, at a shorter side of at most `most` pixels.
        Transparent images are composited on white."""
        with whole_float32():
            maps = list(self.maps(at_working_size(on_white(images), most)))
        parts = []
        for tap, x in enumerate(maps):
            scale = (x.shape[2] * x.shape[3]) ** -0.5
            head = self.heads[tap].sqrt()[:, None, None] if self.heads else len(maps) ** -0.5
            parts.append((channel_normalised(x, EPSILON) * head * scale).flatten(1))
        return torch.cat(parts, dim=1)

    def __call__(self, a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """Distances of pairs of images about [-1, 1]: 0 for equal images; at most 4 without heads."""
        return (self.points(a) - self.points(b)).square().sum(1)


def on_white(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    """Composites images on white whose colours are multiplied by their transparency."""
    return images if images.shape[1] == 3 else images[:, :3] + 1 - images[:, 3:]


def at_working_size(images: Float[Tensor, "n 3 h w"], most: int = MOST) -> Float[Tensor, "n 3 h2 w2"]:
    """Resizes, bilinear with antialias, so that the shorter side is from 64 to `most` pixels."""
    height, width = images.shape[2:]
    scale = min(max(min(height, width), LEAST), most) / min(height, width)
    if scale == 1:
        return images
    size = (round(height * scale), round(width * scale))
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def perceptual_distance(
    name: str, device: str | torch.device = "cpu", weights: Mapping[str, Path] = MappingProxyType({})
) -> PerceptualDistance:
    """The distance by the network of this name, with the weights at `weights[name]` or in the cache.

    Raises EvalError for another name, and ModelError for weights that are not available.
    """
    if name == "lpips":
        lpips = Lpips.from_weights(weights.get(name), device=device)
        return PerceptualDistance(name=name, protocol=lpips.protocol, maps=lpips.maps, heads=lpips.heads)
    if name not in NETWORKS:
        raise EvalError(f"There is no perceptual distance {name!r}: take one of {', '.join(NETWORKS)}.")
    hed = name == "hed-vgg16"
    network = HedVgg(weights.get(name), device) if hed else EfficientNetLite(device)
    return PerceptualDistance(
        name=name,
        protocol=f"unit-length features of {network.maps_protocol}; shorter side {LEAST} to {MOST} px",
        maps=lambda images: list(network.blocks(images * 127.5 + 127.5)),
    )
