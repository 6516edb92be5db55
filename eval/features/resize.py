"""From pictures to what a network takes: resize filters and normalisations by name, and the pass itself.

Frechet distances of the same pictures differ by points between resize filters (Parmar et al. 2022, arXiv
2104.11222), so that each pair of filter and normalisation has a name, which becomes part of the protocol.
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
    """Bicubic with antialias in float32, without rounding or clipping between, then (x - 128) / 128.

    It is what Pillow does to each channel in mode F (Parmar et al. 2022, arXiv 2104.11222): a = -0.5, and
    a support that widens with the reduction. Values may leave -1..1 a little, as overshoots are not clipped.
    """
    resized = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return (resized - 128) / 128


def legacy_pytorch(images: Pictures, size: int = 299) -> Inputs:
    """Bilinear with half-pixel centres and no antialias, then 2 x / 255 - 1: as pytorch-fid does it."""
    resized = F.interpolate(images.float() / 255, size=(size, size), mode="bilinear", align_corners=False)
    return 2 * resized - 1


def legacy_tensorflow(images: Pictures, size: int = 299) -> Inputs:
    """Bilinear as TensorFlow 1 had it, then (x - 128) / 128: as the original FID and torch-fidelity do it.

    Output pixel i looks at position i * h / size, without the half-pixel shift, so that the picture moves
    to the lower right when it is enlarged; positions beyond the last pixel repeat it.
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
"""What the protocol of Inception says of its input."""


# Passing pictures through a network
PRECISION_WORDS: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16 autocast"}
"""What a protocol says of the arithmetic."""


def in_parts(
    network: Callable[[Tensor], tuple[Tensor, ...]],
    images: Pictures | Float32[Tensor, "n 3 h w"],
    *,
    device: torch.device,
    part: int,
    precision: Precision = "fp32",
) -> tuple[Float32[Tensor, "n ..."], ...]:
    """`network` of the pictures, `part` at a time on `device`, without gradients; float32 on the CPU.

    `network` takes the pictures and gives tensors that begin with their number. With `fp32` the arithmetic
    is float32 wherever it runs: neither inside a caller's autocast region nor with the shortened TF32 that
    GPUs take for convolutions by default. Raises EvalError for no pictures.
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
