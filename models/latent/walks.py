"""Walks through style codes: from one to the next in a number of steps."""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Easing = Literal["linear", "smooth"]


def eased(share: float, easing: Easing) -> float:
    """The share of the way at a share of the time: `smooth` is slow near both ends."""
    return share if easing == "linear" else 0.5 - 0.5 * math.cos(math.pi * share)


def walk(
    stops: Iterable[Float[Tensor, "n l d"]], steps: int, *, easing: Easing = "linear", loop: bool = True
) -> Iterator[Float[Tensor, "n l d"]]:
    """Yields n codes side by side that go through all stops in straight lines, in `steps` frames from each
    to the next; `loop` returns to the first, which is not repeated, and otherwise the last stop is the last
    frame."""

    def between(start: Tensor, end: Tensor) -> Iterator[Tensor]:
        for step in range(steps):
            yield torch.lerp(start, end, eased(step / steps, easing))

    ahead = iter(stops)
    here = first = next(ahead)
    for stop in ahead:
        yield from between(here, stop)
        here = stop
    if loop:
        yield from between(here, first)
    else:
        yield here


def mixed(
    coarse: Float[Tensor, "r l d"], fine: Float[Tensor, "c l d"], layer: int
) -> Float[Tensor, "r c l d"]:
    """Style mixing of every row with every column: `coarse` below the layer, `fine` from it on (Karras 2019,
    section 3.1)."""
    r, c = len(coarse), len(fine)
    below = coarse[:, None, :layer].expand(r, c, -1, -1)
    return torch.cat([below, fine[None, :, layer:].expand(r, c, -1, -1)], dim=2)
