"""The protocol of feature extractors, and the features of many images.

The `protocol` string of an extractor names everything that decides the values: weights, resize filter,
normalisation, taps, pooling. Values with different protocols are never compared.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from brushwork.data.progress import Progress

from ..errors import EvalError
from ..processes import Processes
from .cache import FeatureCache, Named

PART = 256
"""Images whose features are one entry of the cache, computed by one process."""

BATCH = 64
"""Images generated or read at once. It does not depend on the number of processes, so that results do not."""

Pixels = UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"]
"""Values 0..255, as integers, or as float to keep differences below one level."""


# Protocols
@runtime_checkable
class Extractor(Named, Protocol):
    """Computes a feature vector of each image."""

    standardised: bool
    """Whether distances are taken after each feature is standardised on the real training images: True for
    pooled taps of many scales, False for published protocols."""

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU, of sRGB images of any size with values 0..255."""
        ...

    def control(self) -> "Extractor":
        """The same extractor with seeded random weights."""
        ...


@runtime_checkable
class MapExtractor(Protocol):
    """Computes feature maps of each image, for metrics of pairs of images."""

    name: str
    maps_protocol: str

    def maps(self, images: Pixels) -> tuple[Float32[Tensor, "n _c _h _w"], ...]:
        """The maps of each tap, from shallow to deep, on the CPU."""
        ...


@runtime_checkable
class Source(Protocol):
    """Images to measure in a fixed order, each with the style that it claims (-1: none)."""

    @property
    def styles(self) -> Int64[Tensor, "n"]: ...

    def take(self, indices: Int64[Tensor, "k"]) -> UInt8[Tensor, "k 3 h w"]:
        """Generates or reads these images."""
        ...

    def key(self, start: int, stop: int) -> str | None:
        """Identifies the pixels of images start..stop. None if only the images themselves do."""
        ...

    @property
    def protocol(self) -> Mapping[str, str | int | None]:
        """The part of a measurement's protocol about the images."""
        ...


# A pass through a network
def in_parts(
    network: Callable[[Tensor], Iterable[Tensor]], images: Pixels, device: torch.device, part: int
) -> tuple[Float32[Tensor, "n ..."], ...]:
    """Passes the images through `network`, `part` at a time on `device`, without gradients, autocast or TF32.
    Returns tensors on the CPU."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False), whole_float32():
        parts = [tuple(t.float().cpu() for t in network(x.to(device))) for x in images.split(part)]
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


@contextmanager
def whole_float32() -> Iterator[None]:
    """Switches the TF32 of GPUs off, and then restores the caller's setting."""
    convolutions = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
    products = torch.backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before


# Features of many images
def extract(
    extractors: Sequence[Extractor],
    source: Source,
    *,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: str | None = None,
) -> list[Float32[Tensor, "n _d"]]:
    """Features of all images of `source` in order, one tensor per extractor, in every process.

    The images of a part whose features are in the cache are not generated. `progress` labels a progress bar.

    Raises EvalError for no images, for others than uint8 (N, 3, H, W), and for features that are not finite.
    """
    cache, processes, count = cache or FeatureCache(None), processes or Processes(), len(source.styles)
    if count == 0:
        raise EvalError("There are 0 images to measure: give at least 2 of each style.")
    starts = range(0, count, PART)
    done: dict[int, list[Tensor]] = {}
    hidden = progress is None or processes.rank > 0
    with Progress(total=count, desc=progress, unit="img", disable=hidden, leave=False) as bar:
        for start in starts[processes.rank :: processes.count]:
            stop = min(start + PART, count)
            done[start] = _part(extractors, source, start, stop, cache)
            # An estimate: the other processes take as long for their parts.
            bar.update(min(processes.count * (stop - start), count - bar.n))
    parts = processes.gather(done)
    return [torch.cat([parts[start][e] for start in starts]) for e in range(len(extractors))]


def _part(
    extractors: Sequence[Extractor], source: Source, start: int, stop: int, cache: FeatureCache
) -> list[Tensor]:
    key = source.key(start, stop)
    cached = [cache.get(extractor, key, stop - start) for extractor in extractors]
    missing = [e for e, features in enumerate(cached) if features is None]
    batches: dict[int, list[Tensor]] = {e: [] for e in missing}
    for indices in torch.arange(start, stop).split(BATCH) if missing else ():
        images = source.take(indices)
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise EvalError(
                f"Images of type {images.dtype} and shape {tuple(images.shape)} cannot be measured: "
                "give uint8 of shape (N, 3, H, W), values 0 to 255."
            )
        for e in missing:
            batches[e].append(extractors[e](images))
    for e in missing:
        cached[e] = features = torch.cat(batches[e])
        if not features.isfinite().all():
            raise EvalError(f"{extractors[e].name} gave features that are not finite: check its weights.")
        cache.put(extractors[e], key, features)
    return [features for features in cached if features is not None]


# Standardising
@dataclass(frozen=True, kw_only=True)
class Standardiser:
    """Shift and scale that give the features it was fitted on mean 0 and standard deviation 1."""

    mean: Float32[Tensor, "d"]
    scale: Float32[Tensor, "d"]

    @classmethod
    def fit(cls, features: Float32[Tensor, "n d"]) -> "Standardiser":
        """A constant column is only centred, since its deviation is rounding noise."""
        std, mean = torch.std_mean(features.double(), dim=0, correction=0)
        constant = std <= 1e-6 * mean.abs().clamp(min=1e-6)
        return cls(mean=mean.float(), scale=torch.where(constant, 1.0, 1 / std).float())

    @classmethod
    def none(cls, dim: int) -> "Standardiser":
        """Leaves features unchanged."""
        return cls(mean=torch.zeros(dim), scale=torch.ones(dim))

    def __call__(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
        return (features - self.mean) * self.scale
