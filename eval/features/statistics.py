"""Feature maps as vectors: pooled over space, or as the statistics of style."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import gram, mean_and_std, mean_and_variance

from .extract import Extractor, MapExtractor, Pixels, in_parts

PART = 16
"""Images whose maps are in memory at once."""
SIZE = 64
"""Side in pixels of the images that the networks see."""
STYLE_TAPS = 3
"""Shallow taps whose statistics describe style."""


def resized(images: Pixels, size: int) -> Float32[Tensor, "n 3 {size} {size}"]:
    """Bilinear with half-pixel centres, without antialias and rounding; values stay in their range."""
    return F.interpolate(images.float(), size=(size, size), mode="bilinear", align_corners=False)


def pooled(x: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n c2"]:
    """Channel means, then standard deviations over space, biased and without epsilon: a map may have one
    pixel."""
    mean, variance = mean_and_variance(x)
    return torch.cat([mean, variance.sqrt()], dim=1)


class PooledTaps:
    """Base of extractors whose features are the means and standard deviations over space of a network's taps.

    `words` and `taps` are the protocol's; `parts` are the images at once on a CPU and on a GPU.
    """

    standardised = True

    def __init__(
        self, name: str, words: str, taps: str, *, channels: int, parts: tuple[int, int], device: torch.device
    ) -> None:
        self.name, self.dim, self.device = name, 2 * channels, device
        self.protocol = f"{words}, mean+std over space of {taps}, float32"
        self.maps_protocol = f"{words}, {taps}, float32"
        self._part = parts[0] if device.type == "cpu" else parts[1]

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU, of sRGB images of any size: per tap its means, then its deviations."""

        def vectors(x: Tensor) -> list[Tensor]:
            return [torch.cat([pooled(maps) for maps in self._maps(x)], dim=1)]

        return in_parts(vectors, images, self.device, self._part)[0]

    def maps(self, images: Pixels) -> tuple[Float32[Tensor, "n _c _h _w"], ...]:
        """The maps of the taps, from shallow to deep, on the CPU."""
        return in_parts(self._maps, images, self.device, self._part)

    def blocks(self, images: Float32[Tensor, "n 3 h w"]) -> Iterable[Tensor]:
        """The maps of images on the device at their own size, values 0..255, differentiable."""
        raise NotImplementedError

    def _maps(self, images: Tensor) -> Iterable[Tensor]:
        return self.blocks(resized(images, SIZE))


class TapStatistics(NamedTuple):
    """Statistics of one tap of n images. Squared distances of `gram` are those of whole Gram matrices."""

    gram: Float[Tensor, "n t"]
    mean: Float[Tensor, "n c"]
    std: Float[Tensor, "n c"]


class StyleStatistics:
    """An extractor of style: Gram matrix (`chw`), means and deviations of the shallow taps of a network.

    A Gram matrix of c channels becomes the c (c + 1) / 2 entries of its upper triangle, those off the
    diagonal times sqrt 2, so that the squared distance of two vectors is the squared Frobenius distance of
    the matrices. `split` separates the vectors into these parts.
    """

    standardised = False

    def __init__(self, network: MapExtractor) -> None:
        self.network = network
        # A black image gives the channels. Its size is the smallest that every network takes.
        maps = network.maps(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))[:STYLE_TAPS]
        channels = [x.shape[1] for x in maps]
        self._widths = [width for c in channels for width in (c * (c + 1) // 2, c, c)]
        self.dim = sum(self._widths)
        self.name = f"{network.name}-style"
        self.protocol = (
            "upper triangle of Gram matrix (chw, off the diagonal times sqrt 2), mean and std (unbiased "
            f"variance + 1e-5) over space of taps {','.join(map(str, range(len(maps))))} of "
            f"{network.maps_protocol}"
        )

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Gram entries, means and deviations, tap by tap, on the CPU."""
        return torch.cat([self._vectors(part) for part in images.split(PART)])

    def control(self) -> "StyleStatistics":
        """The same statistics of the network's control."""
        assert isinstance(self.network, Extractor)
        control = self.network.control()
        assert isinstance(control, MapExtractor)
        return StyleStatistics(control)

    def split(self, features: Float[Tensor, "n d"]) -> list[TapStatistics]:
        """The parts of vectors of this extractor, or of their means, by tap."""
        parts = features.split(self._widths, dim=1)
        return [TapStatistics(*parts[i : i + 3]) for i in range(0, len(parts), 3)]

    def _vectors(self, images: Tensor) -> Tensor:
        maps = self.network.maps(images)[:STYLE_TAPS]
        return torch.cat([part for x in maps for part in (triangle(gram(x)), *mean_and_std(x))], dim=1)


def triangle(matrices: Float32[Tensor, "n c c"]) -> Float32[Tensor, "n t"]:
    """The upper triangles of symmetric matrices, row by row, as vectors of the same Euclidean norm."""
    rows, columns = torch.triu_indices(*matrices.shape[1:])
    return matrices[:, rows, columns] * torch.where(rows == columns, 1.0, 2**0.5)
