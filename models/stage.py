"""Progressive growing: the resolutions of a network, and the one that is being faded in."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .layers import downsample2x, upsample2x

SMALLEST = 4
"""The lowest resolution. A resolution is the shorter side of images or maps."""
Base = tuple[int, int]
"""Rows and columns at the lowest resolution, one of them `SMALLEST`."""
SQUARE: Base = (SMALLEST, SMALLEST)


@dataclass(frozen=True)
class Stage:
    """The newest resolution, and how far it is faded in: from 0, not at all, to 1, wholly."""

    resolution: int
    alpha: float = 1.0


def resolutions(resolution: int) -> list[int]:
    """Returns all resolutions of a network, [4, 8, ..., resolution]."""
    return [2**i for i in range(2, resolution.bit_length())]


def side(x: Float[Tensor, "n c h w"]) -> int:
    """Returns the resolution of images or maps, their shorter side."""
    return min(x.shape[2:])


def size_at(resolution: int, base: Base) -> tuple[int, int]:
    """Returns height and width at a resolution."""
    height, width = base
    return height * resolution // SMALLEST, width * resolution // SMALLEST


def layer_count(resolution: int) -> int:
    """Returns how many style-injection layers are active at a resolution: two for each of `resolutions`."""
    return 2 * len(resolutions(resolution))


def channels(resolution: int, *, base: int, most: int) -> dict[int, int]:
    """Returns the channels at each of `resolutions`: base / resolution, at most `most` (StyleGAN's fmap
    rule)."""
    return {r: min(most, max(1, base // r)) for r in resolutions(resolution)}


def fade(older: Tensor, newer: Tensor, alpha: float) -> Tensor:
    """Linear blend of the images of two resolutions, exact at alpha 0 and 1."""
    return newer if alpha >= 1 else torch.lerp(older.to(newer.dtype), newer, alpha)


def fade_reals(images: Float[Tensor, "n c h w"], alpha: float) -> Float[Tensor, "n c h w"]:
    """Blends images with their half-size versions, as a generator does at `alpha`."""
    return images if alpha >= 1 else fade(upsample2x(downsample2x(images)), images, alpha)
