"""Random numbers as a pure function of (seed, row, column), on any device."""

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""The unsigned constant as int64, whose products and sums wrap around."""
MULTIPLIERS = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


def random_bits(seed: int, rows: Tensor, columns: int) -> Tensor:
    """Returns 64 random bits, int64 (N, columns), for the row numbers int64 (N,).

    Uses SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), with a
    stream for each row.
    """
    start = np.array([(seed + GOLDEN) & (1 << 64) - 1], dtype=np.uint64).view(np.int64)
    key = _finalise(torch.from_numpy(start))
    streams = _finalise(rows + int(key))
    return _finalise(streams[:, None] + torch.arange(1, columns + 1, device=rows.device) * GOLDEN)


def upper(bits: Tensor, count: int) -> Tensor:
    """Returns the upper `count` bits, fewer than 64, as int64 from 0 to 2**count - 1."""
    return (bits >> (64 - count)).bitwise_and_((1 << count) - 1)


def uniform(seed: int, rows: Tensor, columns: int) -> Tensor:
    """Returns random numbers in [0, 1), float64 (N, columns), for the row numbers int64 (N,)."""
    return upper(random_bits(seed, rows, columns), 53).double() * 2.0**-53


def _finalise(x: Tensor) -> Tensor:
    """Applies a bijection that spreads every bit over all bits, in place."""
    for shift, multiplier in zip((30, 27), MULTIPLIERS, strict=True):
        x.bitwise_xor_(upper(x, 64 - shift)).mul_(multiplier)
    return x.bitwise_xor_(upper(x, 64 - 31))
