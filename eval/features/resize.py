"""Resize filters and normalisations by name, and the pass of images through a network.

Frechet distances of the same images differ by points between resize filters (Parmar et al. 2022, arXiv
2104.11222). So each pair of filter and normalisation has a name, which is part of the protocol.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from ..errors import EvalError

ResizeName = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]
Precision = Literal["fp32", "bf16"]

Pictures = UInt8[Tensor, "n 3 h w"]
Inputs = Float32[Tensor, "n 3 {size} {size}"]


# Resize and normalise
def clean(images: Pictures, size: int = 299) -> Inputs:
    """Bicubic with antialias in float32, without rounding or clipping, then (x - 128) / 128.

    It equals Pillow's resize of each channel in mode F (Parmar et al. 2022, arXiv 2104.11222): a = -0.5, and
    a support that widens with the reduction. Overshoots may leave -1..1 slightly.
    """
    resized = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return (resized - 128) / 128


def legacy_pytorch(images: Pictures, size: int = 299) -> Inputs:
    """Bilinear with half-pixel centres and no antialias, then 2 x / 255 - 1, as in pytorch-fid."""
    resized = F.interpolate(images.float() / 255, size=(size, size), mode="bilinear", align_corners=False)
    return 2 * resized - 1


def legacy_tensorflow(images: Pictures, size: int = 299) -> Inputs:
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


RESIZES: dict[ResizeName, Callable[..., Tensor]] = {
    "clean": clean,
    "legacy_pytorch": legacy_pytorch,
    "legacy_tensorflow": legacy_tensorflow,
}
RESIZE_WORDS: dict[ResizeName, str] = {
    "clean": "299 px clean (bicubic, antialias, (x-128)/128)",
    "legacy_pytorch": "299 px legacy_pytorch (bilinear, no antialias, 2x/255-1)",
    "legacy_tensorflow": "299 px legacy_tensorflow (asymmetric bilinear, no antialias, (x-128)/128)",
}
"""The part of Inception's protocol about its input."""


# Passing images through a network
PRECISION_WORDS: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16 autocast"}
"""The part of a protocol about the arithmetic."""


def in_parts(
    network: Callable[[Tensor], tuple[Tensor, ...]],
    images: Pictures | Float32[Tensor, "n 3 h w"],
    *,
    device: torch.device,
    part: int,
    precision: Precision = "fp32",
) -> tuple[Float32[Tensor, "n ..."], ...]:
    """Passes the images through `network`, `part` at a time on `device`, without gradients.

    Returns float32 tensors on the CPU. With `fp32` the arithmetic is float32 on every device: neither a
    caller's autocast region nor the TF32 of GPUs applies. Raises EvalError for no images.
    """
    if len(images) == 0:
        raise EvalError("There are 0 images to measure: give at least 1.")
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
    with torch.no_grad(), autocast, _whole_float32():
        parts = [tuple(t.float().cpu() for t in network(x.to(device))) for x in images.split(part)]
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


@contextmanager
def _whole_float32() -> Iterator[None]:
    convolutions = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
    products = torch.backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before
