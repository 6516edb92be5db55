"""Growing: which resolutions a network has, and which of them is being faded in."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import ModelError
from .layers import downsample2x, upsample2x

SMALLEST = 4


@dataclass(frozen=True)
class Stage:
    """Where growing stands: the newest resolution and how far it is faded in (0 = not at all, 1 = wholly)."""

    resolution: int
    alpha: float = 1.0


def check_resolution(resolution: int) -> int:
    """Returns `resolution` if it is a power of two of at least 8.

    Raises:
        ModelError: it is not; the message names the two nearest that are.
    """
    if resolution < 8 or resolution & (resolution - 1):
        below = max(8, 2 ** (max(resolution, 8).bit_length() - 1))
        raise ModelError(f"resolution {resolution} is no power of two from 8 up; use {below} or {below * 2}.")
    return resolution


def resolutions(resolution: int) -> list[int]:
    """All resolutions of a network, [4, 8, ..., resolution]."""
    return [2**i for i in range(2, resolution.bit_length())]


def layer_count(resolution: int) -> int:
    """Style-injection layers that are active at a resolution: two for each of `resolutions`."""
    return 2 * len(resolutions(resolution))


def width(resolution: int, *, base: int, most: int) -> int:
    """Channels at a resolution: base / resolution, at most `most` (StyleGAN's fmap rule)."""
    return min(most, max(1, base // resolution))


def fade(older: Tensor, newer: Tensor, alpha: float) -> Tensor:
    """Linear blend of two resolutions' pictures; at alpha 0 and 1 exactly the one or the other."""
    return newer if alpha >= 1 else torch.lerp(older.to(newer.dtype), newer, alpha)


def fade_reals(images: Float[Tensor, "n c h w"], alpha: float) -> Float[Tensor, "n c h w"]:
    """What a generator at `alpha` can at best draw: the picture blended with its own half-size version."""
    return images if alpha >= 1 else fade(upsample2x(downsample2x(images)), images, alpha)
