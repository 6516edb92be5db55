"""Random numbers as a pure function of (seed, nimg, purpose, row): nothing to save, nothing to drift."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brushwork.data.splitmix import random_bits, upper


@dataclass(frozen=True, kw_only=True)
class ShardRows:
    """Which rows of the global batch this process draws now."""

    start: int
    count: int


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and words, equal on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class BatchRNG:
    """Draws for the pictures of one step, row by row of the *global* batch.

    A row's numbers depend on its place in the global batch and on nothing else, so processes and parts of a
    batch see exactly the numbers that the whole would, and draw no more than their own. Draws come in the
    order of the calls, which is the same in every process.
    """

    def __init__(self, *parts: int | str, rows: ShardRows, device: torch.device | str = "cpu") -> None:
        self.rows, self.device = rows, torch.device(device)
        self._parts, self._calls = parts, 0

    def _bits(self, columns: int) -> Tensor:
        """64 random bits, int64 (N, columns), that no other call gets."""
        seed = derived_seed(*self._parts, self._calls)
        self._calls += 1
        rows = torch.arange(self.rows.start, self.rows.start + self.rows.count, device=self.device)
        return random_bits(seed, rows, columns)

    def uniform(self, shape: Sequence[int] = ()) -> Tensor:
        """Uniform in [0, 1), float32 (N, *shape), in steps of 2**-24."""
        bits = self._bits(math.prod(shape)).view(-1, *shape)
        return upper(bits, 24).float() * 2.0**-24

    def normal(self, shape: Sequence[int] = ()) -> Tensor:
        """Standard normal, float32 (N, *shape)."""
        size = math.prod(shape)
        bits = self._bits(math.ceil(size / 2))
        # Box and Muller 1958: two of each pair of uniform numbers, the first of which is never 0.
        radius = upper(bits, 32).float().add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = upper(bits << 32, 32).float().mul_(2 * math.pi * 2.0**-32)
        both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return both[:, :size].reshape(-1, *shape)

    def integers(self, low: int, high: int) -> Tensor:
        """Whole numbers from low to high - 1, int64 (N,)."""
        return low + (self.uniform() * (high - low)).long()
