"""Random numbers as a pure function of (seed, nimg, purpose, row), so that no state is saved."""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from brushwork.data.splitmix import random_bits, upper


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed from any numbers and words, equal on all machines and in all processes."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class BatchRNG:
    """Random numbers for `rows` of the *global* batch of one step.

    A row's numbers depend only on its index in the global batch and on the order of calls, so a process or a
    part of a batch gets exactly the numbers that its rows have in the whole batch.
    """

    def __init__(self, *parts: int | str, rows: range, device: torch.device | str = "cpu") -> None:
        self.rows, self.device = rows, torch.device(device)
        self._parts, self._calls = parts, 0

    def _bits(self, columns: int) -> Tensor:
        """64 random bits, int64 (N, columns), different in every call."""
        seed = derived_seed(*self._parts, self._calls)
        self._calls += 1
        rows = torch.arange(self.rows.start, self.rows.stop, device=self.device)
        return random_bits(seed, rows, columns)

    def uniform(self, shape: Sequence[int] = ()) -> Tensor:
        """Uniform in [0, 1), float32 (N, *shape), in steps of 2**-24."""
        bits = self._bits(math.prod(shape)).view(-1, *shape)
        return upper(bits, 24).float() * 2.0**-24

    def normal(self, shape: Sequence[int] = ()) -> Tensor:
        """Standard normal, float32 (N, *shape)."""
        size = math.prod(shape)
        bits = self._bits(math.ceil(size / 2))
        # Box and Muller 1958: two normal numbers of each pair of uniform ones; the radius is finite.
        radius = upper(bits, 32).float().add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = upper(bits << 32, 32).float().mul_(2 * math.pi * 2.0**-32)
        both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return both[:, :size].reshape(-1, *shape)

    def integers(self, low: int, high: int) -> Tensor:
        """Uniform integers from low to high - 1, int64 (N,)."""
        return low + (self.uniform() * (high - low)).long()
