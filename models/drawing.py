"""Many pictures, batch by batch: as many as are asked for, in the memory of one batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from .generator import Generator
from .sampling import render

Precision = Literal["fp32", "bf16"]
Codes = Callable[[Tensor, Tensor], Tensor]
"""Style weights (n, s) and seeds (n,) to style codes (n, l, d)."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Some pictures of a matrix of styles by seeds."""

    cells: Int64[Tensor, "n"]
    """Which: the cell of row r and column c is r * columns + c."""
    images: UInt8[Tensor, "n 3 r r"]


def draw_batches(
    generator: Generator,
    codes: Codes,
    styles: Float[Tensor, "rows s"],
    seeds: Int64[Tensor, "columns"],
    cells: Int64[Tensor, "n"],
    *,
    batch: int = 64,
    precision: Precision = "fp32",
) -> Iterator[Drawn]:
    """Draws the given cells of `sampling.sample_matrix`, in their order, `batch` at a time.

    bf16 runs the synthesis in bfloat16 where autocast does; its pictures differ by rounding.

    Raises:
        ModelError: a picture that is not finite.
    """
    device = generator.synthesis.start.device.type
    for some in cells.split(batch) if len(cells) else ():
        rows, own = some // len(seeds), seeds[some % len(seeds)]
        with torch.no_grad():
            w = codes(styles[rows], own)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                images = render(generator, w, own, batch=batch)
        yield Drawn(cells=some, images=images)
