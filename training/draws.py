"""Random numbers for one step, as a pure function of (seed, nimg, purpose): nothing to save, nothing to
drift."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which rows of the global batch of `total` pictures this process draws in this step."""

    start: int
    count: int
    total: int


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and words, equal on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Draws:
    """Draws for the pictures of one step, row by row of the *global* batch.

    Every process draws for the whole batch and keeps its own rows, so two processes see exactly the numbers
    that one would. Draws come in the order of the calls, which is the same in every process.
    """

    def __init__(self, *parts: int | str, rows: Rows, device: torch.device | str = "cpu") -> None:
        self.generator = torch.Generator(device=device).manual_seed(derived_seed(*parts))
        self.rows = rows

    def _own(self, everyone: Tensor) -> Tensor:
        return everyone[self.rows.start : self.rows.start + self.rows.count]

    def normal(self, shape: Sequence[int] = ()) -> Tensor:
        """Standard normal, (N, *shape)."""
        device = self.generator.device
        return self._own(torch.randn((self.rows.total, *shape), generator=self.generator, device=device))

    def uniform(self, shape: Sequence[int] = ()) -> Tensor:
        """Uniform in [0, 1), (N, *shape)."""
        device = self.generator.device
        return self._own(torch.rand((self.rows.total, *shape), generator=self.generator, device=device))

    def integers(self, low: int, high: int) -> Tensor:
        """Whole numbers from low to high - 1, (N,)."""
        device = self.generator.device
        size = (self.rows.total,)
        return self._own(torch.randint(low, high, size, generator=self.generator, device=device))
