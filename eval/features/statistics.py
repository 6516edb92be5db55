"""Feature maps as vectors: pooled over space, or as the statistics that style is measured by."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import gram, mean_and_std, mean_and_variance

from ..errors import EvalError
from .extract import MapExtractor

PART = 16
"""Pictures whose maps are in memory at once; the shallow ones of VGG take 13 MB each at 224 pixels."""


def pooled(x: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n c2"]:
    """Mean and standard deviation per channel over space, means first; the variance is the biased one,
    without epsilon (a map may be one pixel)."""
    mean, variance = mean_and_variance(x)
    return torch.cat([mean, variance.sqrt()], dim=1)


@runtime_checkable
class Controlled(Protocol):
    """A network of maps that knows its random-weight control."""

    def control(self) -> MapExtractor: ...


class TapStatistics(NamedTuple):
    """What one tap says of n pictures. Squared distances of `gram` rows are those of whole Gram matrices."""

    gram: Float[Tensor, "n t"]
    mean: Float[Tensor, "n c"]
    std: Float[Tensor, "n c"]


class StyleStatistics:
    """An extractor of style: per tap of a network, the Gram matrix (`chw`), the means and the deviations.

    A Gram matrix of c channels becomes the c (c + 1) / 2 entries of its upper triangle, those off the
    diagonal times sqrt 2, so that the squared distance of two vectors is the squared Frobenius distance of
    the matrices (`models.feature_statistics.gram_distance`). Means and deviations are those of
    `models.feature_statistics.mean_and_std`. `split` takes (cached) vectors apart again.
    """

    standardised = False

    def __init__(self, network: MapExtractor, taps: Sequence[int] = (0, 1, 2)) -> None:
        """Taps count from the shallowest, 0. Raises EvalError for taps that the network has not."""
        self.network, self.taps = network, tuple(taps)
        # One black picture tells the channels; its size is the smallest that every network takes.
        depths = [maps.shape[1] for maps in network.maps(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))]
        wrong = [tap for tap in self.taps if not 0 <= tap < len(depths)]
        if wrong or not self.taps:
            raise EvalError(
                f"{network.name} has no tap {', '.join(map(str, wrong)) or 'in an empty choice'}: "
                f"take of 0 to {len(depths) - 1}."
            )
        self.channels = tuple(depths[tap] for tap in self.taps)
        self.name = f"{network.name}-style"
        self.protocol = (
            "upper triangle of Gram matrix (chw, off the diagonal times sqrt 2), mean and std (unbiased "
            f"variance + 1e-5) over space of taps {','.join(map(str, self.taps))} of {network.maps_protocol}"
        )
        self.dim = sum(sum(_widths(c)) for c in self.channels)

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Per tap its Gram entries, means, deviations; on the CPU."""
        return torch.cat([self._vectors(part) for part in images.split(PART)])

    def control(self) -> "StyleStatistics":
        """The same statistics of the network's control. Raises EvalError for a network that has none."""
        if not isinstance(self.network, Controlled):
            raise EvalError(f"{self.network.name} has no random-weight control: measure without one.")
        return StyleStatistics(self.network.control(), self.taps)

    def split(self, features: Float[Tensor, "n d"]) -> list[TapStatistics]:
        """The parts of vectors that this extractor made (or of their means), a triple each tap."""
        widths = [width for channels in self.channels for width in _widths(channels)]
        parts = features.split(widths, dim=1)
        return [TapStatistics(*parts[i : i + 3]) for i in range(0, len(parts), 3)]

    def _vectors(self, images: Tensor) -> Tensor:
        maps = self.network.maps(images)
        parts = [p for tap in self.taps for p in (triangle(gram(maps[tap])), *mean_and_std(maps[tap]))]
        return torch.cat(parts, dim=1)


def triangle(matrices: Float32[Tensor, "n c c"]) -> Float32[Tensor, "n t"]:
    """The upper triangles of symmetric matrices, row by row, as vectors of the same Euclidean norm."""
    rows, columns = torch.triu_indices(*matrices.shape[1:])
    return matrices[:, rows, columns] * torch.where(rows == columns, 1.0, 2**0.5)


def _widths(channels: int) -> tuple[int, int, int]:
    return channels * (channels + 1) // 2, channels, channels
