"""Feature extractors behind one small protocol, and the features of many pictures.

A number about images is a number about features, so every extractor says in its `protocol` string all that
decides the values: weights, resize filter, normalisation, taps, pooling. Two figures whose protocols differ
are never compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from brushwork.data.progress import Progress

from ..errors import EvalError
from ..processes import Processes
from .cache import FeatureCache

PART = 256
"""Pictures whose features are made, kept in the cache and shared among processes as one."""

BATCH = 64
"""Pictures drawn or read at once: the same whatever the number of processes, so that numbers are too."""


Pixels = UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"]
"""Values 0..255 in whole levels, or in float where levels would swallow a small difference."""


# The protocol
@runtime_checkable
class Extractor(Protocol):
    """What turns pictures into vectors. `protocol` names everything that decides the values."""

    @property
    def name(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def standardised(self) -> bool:
        """Whether distances are taken after each feature was brought to mean 0 and deviation 1 on the real
        training pictures: so for pooled taps of many scales, not so for published protocols."""
        ...

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU of pictures of any size, whose values 0..255 are sRGB."""
        ...

    def control(self) -> "Extractor":
        """The same with seeded random weights: what no learnt perception is needed for."""
        ...


@runtime_checkable
class Classifier(Extractor, Protocol):
    """An extractor whose features determine class scores, as the inception score needs them."""

    def logits(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n classes"]: ...


@runtime_checkable
class MapExtractor(Protocol):
    """What turns pictures into feature maps, for figures that compare picture with picture."""

    @property
    def name(self) -> str: ...

    @property
    def maps_protocol(self) -> str: ...

    def maps(self, images: Pixels) -> tuple[Float32[Tensor, "n _c _h _w"], ...]:
        """The maps of each tap, from shallow to deep, on the CPU; of uint8, or of float values 0..255."""
        ...


@runtime_checkable
class Source(Protocol):
    """Pictures to measure, in a fixed order, each with the style that it claims (-1: none)."""

    @property
    def styles(self) -> Int64[Tensor, "n"]: ...

    def take(self, indices: Int64[Tensor, "k"]) -> UInt8[Tensor, "k 3 h w"]:
        """These pictures, drawn or read now."""
        ...

    def key(self, start: int, stop: int) -> str | None:
        """What identifies the pixels of pictures start..stop; None: nothing short of drawing them."""
        ...


# Features of many pictures
def extract(
    extractors: Sequence[Extractor],
    source: Source,
    *,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: str | None = None,
) -> list[Float32[Tensor, "n _d"]]:
    """Features of all pictures of `source` in order, one tensor an extractor, in every process.

    Pictures are taken in parts, dealt out to the processes in turn. A part whose features are in the cache
    is not even drawn, so a run that was cut goes on where it stood. `progress` labels a bar.

    Raises EvalError for no pictures, for pictures that are not uint8 (N, 3, H, W), and for features that are
    not finite.
    """
    cache, processes = cache or FeatureCache(None), processes or Processes()
    count = len(source.styles)
    if count == 0:
        raise EvalError("There are 0 images to measure: give at least 2 of each style.")
    starts = range(0, count, PART)
    mine = starts[processes.rank :: processes.count]
    done: dict[int, list[Tensor]] = {}
    hidden = progress is None or processes.rank > 0
    with Progress(total=count, desc=progress, unit="img", disable=hidden, leave=False) as bar:
        for start in mine:
            stop = min(start + PART, count)
            done[start] = _part(extractors, source, start, stop, cache)
            # The other processes' parts are done meanwhile, as nearly as one can tell.
            bar.update(min(processes.count * (stop - start), count - bar.n))
    parts = processes.gather(done)
    return [torch.cat([parts[start][e] for start in starts]) for e in range(len(extractors))]


def _part(
    extractors: Sequence[Extractor], source: Source, start: int, stop: int, cache: FeatureCache
) -> list[Tensor]:
    key = source.key(start, stop)
    found = [cache.get(extractor, key, stop - start) for extractor in extractors]
    missing = [e for e, features in enumerate(found) if features is None]
    if missing:
        made: dict[int, list[Tensor]] = {e: [] for e in missing}
        for indices in torch.arange(start, stop).split(BATCH):
            images = _checked_images(source.take(indices))
            for e in missing:
                made[e].append(_checked_features(extractors[e], images))
        for e in missing:
            found[e] = features = torch.cat(made[e])
            cache.put(extractors[e], key, features)
    return [features for features in found if features is not None]


def _checked_images(images: Tensor) -> Tensor:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise EvalError(
            f"Images of type {images.dtype} and shape {tuple(images.shape)} cannot be measured: "
            "give uint8 of shape (N, 3, H, W), values 0 to 255."
        )
    return images


def _checked_features(extractor: Extractor, images: Tensor) -> Tensor:
    features = extractor(images)
    if not features.isfinite().all():
        raise EvalError(f"{extractor.name} gave features that are not finite: check its weights.")
    return features


# Standardising
@dataclass(frozen=True, kw_only=True)
class Standardiser:
    """Shift and scale that make the features it was fitted on have mean 0 and standard deviation 1."""

    mean: Float32[Tensor, "d"]
    scale: Float32[Tensor, "d"]

    @classmethod
    def fit(cls, features: Float32[Tensor, "n d"]) -> "Standardiser":
        """A column that never varies is only centred: dividing by its rounding noise would make it loud."""
        std, mean = torch.std_mean(features.double(), dim=0, correction=0)
        constant = std <= 1e-6 * mean.abs().clamp(min=1e-6)
        return cls(mean=mean.float(), scale=torch.where(constant, 1.0, 1 / std).float())

    @classmethod
    def none(cls, dim: int) -> "Standardiser":
        """Leaves features as they are."""
        return cls(mean=torch.zeros(dim), scale=torch.ones(dim))

    def __call__(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
        return (features - self.mean) * self.scale
