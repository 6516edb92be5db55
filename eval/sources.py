"""Pictures to measure: drawn by a sampler when they are wanted, or at hand already."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from .errors import EvalError
from .features.cache import content_hash

Sampler = Callable[[Tensor, Tensor], Tensor]
"""styles (N, S) float32 weights, seeds (N,) int64 -> pictures (N, 3, R, R) uint8; same seed, same picture."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """`per_style` pictures of each of `count` styles; picture i of a style has seed `seed + i` in every
    style, so that styles differ by style alone. With a `count` of 0, `per_style` pictures of no style.

    Raises EvalError for `per_style` below 2, and in `take` for a sampler that gives another number.
    """

    sampler: Sampler
    count: int
    per_style: int = 200
    seed: int = 0
    identity: str | None = None
    """What decides the pictures beside style and seed (weights, truncation): with it, features are cached."""

    def __post_init__(self) -> None:
        if self.per_style < 2:
            raise EvalError(f"Cannot measure {self.per_style} samples a style: take 2 or more.")

    @property
    def styles(self) -> Int64[Tensor, "n"]:
        if self.count == 0:
            return torch.full((self.per_style,), -1)
        return torch.arange(self.count).repeat_interleave(self.per_style)

    def take(self, indices: Int64[Tensor, "k"]) -> Tensor:
        weights = F.one_hot(indices // self.per_style, max(1, self.count))[:, : self.count].float()
        images = self.sampler(weights, self.seed + indices % self.per_style)
        if len(images) != len(indices):
            raise EvalError(
                f"The sampler gave {len(images)} images for {len(indices)} seeds: give one for each."
            )
        return images

    def key(self, start: int, stop: int) -> str | None:
        if self.identity is None:
            return None
        parts = [self.identity, self.count, self.per_style, self.seed, start, stop]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def how(self) -> Mapping[str, str | int | None]:
        """Its part of the protocol."""
        return {"source": "sampler", "seed": self.seed}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Pictures at hand and the style that each claims to have."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]

    def take(self, indices: Int64[Tensor, "k"]) -> UInt8[Tensor, "k 3 h w"]:
        return self.images[indices]

    def key(self, start: int, stop: int) -> str:
        return content_hash(self.images[start:stop])

    @property
    def how(self) -> Mapping[str, str | int | None]:
        return {"source": "images", "seed": None}
