"""Resize filters and normalisations before Inception, by name.

Frechet distances of the same images differ by points between resize filters (Parmar et al. 2022, arXiv
2104.11222). So each pair of filter and normalisation has a name, which is part of the protocol.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

ResizeName = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]

Images = UInt8[Tensor, "n 3 h w"]
Inputs = Float32[Tensor, "n 3 {size} {size}"]


def clean(images: Images, size: int = 299) -> Inputs:
    """Bicubic with antialias in float32, without rounding or clipping, then (x - 128) / 128.

    It equals Pillow's resize of each channel in mode F (Parmar et al. 2022, arXiv 2104.11222): a = -0.5, and
    a support that widens with the reduction. Overshoots may leave -1..1 slightly.
    """
    resized = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return (resized - 128) / 128


def legacy_pytorch(images: Images, size: int = 299) -> Inputs:
    """Bilinear with half-pixel centres and no antialias, then 2 x / 255 - 1, as in pytorch-fid."""
    resized = F.interpolate(images.float() / 255, size=(size, size), mode="bilinear", align_corners=False)
    return 2 * resized - 1


def legacy_tensorflow(images: Images, size: int = 299) -> Inputs:
    """Bilinear as in TensorFlow 1, then (x - 128) / 128, as in the original FID and torch-fidelity.

    Output pixel i is read at position i * h / size, without the half-pixel shift. Positions beyond the last
    pixel repeat it.
    """
    resized = _asymmetric(_asymmetric(images.float(), 3, size), 2, size)
    return (resized - 128) / 128


def _asymmetric(x: Tensor, dim: int, size: int) -> Tensor:
    last = x.shape[dim] - 1
    position = torch.arange(size, dtype=torch.float32, device=x.device) * (x.shape[dim] / size)
    low = position.long().clamp(max=last)
    share = (position - low).view([-1 if d == dim else 1 for d in range(4)])
    return torch.lerp(x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=last)), share)


RESIZES: dict[ResizeName, tuple[Callable[..., Tensor], str]] = {
    "clean": (clean, "bicubic, antialias, (x-128)/128"),
    "legacy_pytorch": (legacy_pytorch, "bilinear, no antialias, 2x/255-1"),
    "legacy_tensorflow": (legacy_tensorflow, "asymmetric bilinear, no antialias, (x-128)/128"),
}
"""Each function, and how the protocol describes it."""
