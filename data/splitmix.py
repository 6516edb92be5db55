"""Random bits as a pure function of (seed, row, column), on any device."""

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""As the int64 that holds it: products and sums wrap around."""
MULTIPLIERS = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


def random_bits(seed: int, rows: Tensor, columns: int) -> Tensor:
    """64 random bits, int64 (N, columns), for each row number in int64 (N,).

    SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), with a stream
    for each row.
    """
    key = _finalise(torch.tensor([_signed(seed + GOLDEN)]))
    streams = _finalise(rows + int(key))
    return _finalise(streams[:, None] + torch.arange(1, columns + 1, device=rows.device) * GOLDEN)


def upper(bits: Tensor, count: int) -> Tensor:
    """The upper `count` bits of each as a whole number, int64: 0 to 2**count - 1, count below 64."""
    return (bits >> (64 - count)).bitwise_and_((1 << count) - 1)


def _finalise(x: Tensor) -> Tensor:
    """A bijection that spreads every bit over all, in place."""
    for shift, multiplier in zip((30, 27), MULTIPLIERS, strict=True):
        x.bitwise_xor_(upper(x, 64 - shift)).mul_(multiplier)
    return x.bitwise_xor_(upper(x, 64 - 31))


def _signed(bits: int) -> int:
    """The lower 64 bits of a number as the int64 that holds them."""
    bits &= (1 << 64) - 1
    return bits - (1 << 64) if bits >= 1 << 63 else bits
