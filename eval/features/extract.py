"""The protocol of feature extractors, and the features of many images, with a cache on the disk.

The `protocol` string of an extractor names everything that decides the values: weights, resize filter,
normalisation, taps, pooling. Values with different protocols are never compared.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.progress import Progress

from ..processes import Processes

PART = 256
"""Images whose features are one entry of the cache, computed by one process."""

BATCH = 64
"""Images generated or read at once. It does not depend on the number of processes, so that results do not."""

Pixels = UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"]
"""Values 0..255, as integers, or as float to keep differences below one level."""


# Protocols
@runtime_checkable
class Extractor(Protocol):
    """Computes a feature vector of each image."""

    name: str
    protocol: str
    dim: int
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


# The cache
def user_cache() -> "FeatureCache":
    """The cache between runs: below XDG_CACHE_HOME, or ~/.cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return FeatureCache(home / "brushwork" / "features")


def content_hash(images: UInt8[Tensor, "n 3 h w"]) -> str:
    """SHA-256 over shape and pixels."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FeatureCache:
    """A folder of features with atomic writes, at most `limit` bytes: the least recently used files go first.

    Folder None stores nothing. A folder that cannot be written is no error.
    """

    def __init__(self, folder: Path | None = None, *, limit: int = 4 * 1024**3) -> None:
        self.folder, self.limit = folder, limit

    def get(self, extractor: Extractor, key: str | None, count: int) -> Tensor | None:
        """The stored float32 (count, d). None for a file that is absent, damaged or of another shape."""
        path, identity = self._place(extractor, key)
        if path is None:
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata, features = file.metadata() or {}, file.get_tensor("features")
        except (SafetensorError, OSError):
            return None
        sound = metadata.get("identity") == identity and tuple(features.shape) == (count, extractor.dim)
        if not sound or features.dtype != torch.float32 or metadata.get("sha256") != _digest(features):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return features

    def put(self, extractor: Extractor, key: str | None, features: Tensor) -> None:
        """Stores features under (protocol, key). Key None stores nothing."""
        path, identity = self._place(extractor, key)
        if path is None:
            return
        metadata = {"identity": identity, "sha256": _digest(features)}
        with contextlib.suppress(OSError):
            write_file(path, save({"features": features.contiguous()}, metadata=metadata))
            files = [(path, path.stat()) for path in path.parent.glob("*.safetensors")]
            surplus = sum(about.st_size for _, about in files) - self.limit
            for path, about in sorted(files, key=lambda each: each[1].st_mtime):
                if surplus > 0:
                    path.unlink(missing_ok=True)
                    surplus -= about.st_size

    def _place(self, extractor: Extractor, key: str | None) -> tuple[Path | None, str]:
        if self.folder is None or key is None:
            return None, ""
        identity = hashlib.sha256(json.dumps([extractor.protocol, key]).encode()).hexdigest()
        return self.folder / f"{extractor.name}-{identity[:32]}.safetensors", identity


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()


# Features of many images
@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How features are extracted: what keeps them, which processes share the work, and whether bars show."""

    cache: FeatureCache = field(default_factory=FeatureCache)
    processes: Processes = field(default_factory=Processes)
    progress: bool = False


PLAIN = Extraction()
"""In this process, without cache and bars."""


def extract(
    extractors: Sequence[Extractor], source: Source, how: Extraction = PLAIN, label: str = ""
) -> list[Float32[Tensor, "n _d"]]:
    """Features of all images of `source` in order, one tensor per extractor, in every process.

    The images of a part whose features are in the cache are not generated. `label` is that of the bar.
    """
    count, rank, processes = len(source.styles), how.processes.rank, how.processes.count
    starts = range(0, count, PART)
    done: dict[int, list[Tensor]] = {}
    hidden = not how.progress or rank > 0
    with Progress(total=count, desc=label, unit="img", disable=hidden, leave=False) as bar:
        for start in starts[rank::processes]:
            stop = min(start + PART, count)
            done[start] = _part(extractors, source, start, stop, how.cache)
            # An estimate: the other processes take as long for their parts.
            bar.update(min(processes * (stop - start), count - bar.n))
    parts = how.processes.gather(done)
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
        for e in missing:
            batches[e].append(extractors[e](images))
    for e in missing:
        cached[e] = features = torch.cat(batches[e])
        cache.put(extractors[e], key, features)
    return [features for features in cached if features is not None]


# Standardising
LEAST_VARIATION = 1e-3
"""Least deviation of a feature over the median of all features. Of the evaluators here the least is .04."""


@dataclass(frozen=True, kw_only=True)
class Standardiser:
    """Shift and scale that give the features it was fitted on mean 0 and standard deviation 1."""

    mean: Float32[Tensor, "d"]
    scale: Float32[Tensor, "d"]

    @classmethod
    def fit(cls, features: Float32[Tensor, "n d"]) -> "Standardiser":
        """Columns that hardly vary get the scale 0, which leaves them out: in other images such a channel of
        a network may be alive, and would outweigh all others."""
        std, mean = torch.std_mean(features.double(), dim=0, correction=0)
        dead = (std <= LEAST_VARIATION * std.median()) | (std <= 1e-6 * mean.abs().clamp(min=1e-6))
        return cls(mean=mean.float(), scale=torch.where(dead, 0.0, 1 / std).float())

    @property
    def left_out(self) -> int:
        """Number of columns that are left out."""
        return int((self.scale == 0).sum())

    def __call__(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
        return (features - self.mean) * self.scale
