"""Collapse detection: the spread of samples within each style, relative to that of real images.

A collapsed generator gives the same image for every latent code, while its losses look healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.eval.results import COLLAPSED, collapse_warning
from brushwork.eval.sources import opaque
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.stage import Stage

SAMPLES, FEWEST = 16, 4
"""Samples per style; fewer if there are many styles, so that there are at most `MOST` in all."""
MOST = 192
REAL = 128
"""Largest number of real images per style."""
SIDE = 16
"""Images are compared at this size, at which noise and texture average out."""
PATIENCE = 5
"""Status lines in a row with a collapsed style after which `stop_on_collapse` stops."""


def spread(images: UInt8[Tensor, "n 3 h w"]) -> float:
    """Root mean squared difference of two images, per value, in [0, 255], at `SIDE` pixels or fewer."""
    small = F.adaptive_avg_pool2d(images.float(), min(SIDE, *images.shape[2:]))
    # Twice the variance with the divisor n - 1 is the mean squared difference over all pairs.
    return float((2 * small.var(dim=0).mean()).sqrt())


@dataclass(frozen=True, kw_only=True)
class StyleDiversity:
    """Spread of the samples of each style, divided by that of its real images."""

    shares: Mapping[str, float]

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The styles whose samples are all alike."""
        return tuple(name for name, share in self.shares.items() if share < COLLAPSED)

    @property
    def warning(self) -> str:
        """'3 of 6 styles draw one image: bold, linear, outline'; empty if none does."""
        return collapse_warning(self.collapsed, len(self.shares))

    def values(self) -> dict[str, float]:
        """Values for the log: the mean, each style's ratio, and the number of collapsed styles."""
        if not self.shares:
            return {}
        return {
            "pixel_diversity": sum(self.shares.values()) / len(self.shares),
            **{f"pixel_diversity/{name}": share for name, share in self.shares.items()},
            "collapsed_styles": len(self.collapsed),
        }


@dataclass
class DiversityProbe:
    """Measures the `StyleDiversity` of a generator, always with the same latent codes and real images.

    The real images are measured once for each resolution.
    """

    dataset: ImageDataset | StoredDataset
    real: dict[int, dict[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = self.dataset.style_names or ("unlabelled",)

    def __call__(self, generator: Generator, stage: Stage) -> StyleDiversity:
        """Measures samples of each style at `stage`. Styles without two different images are left out."""
        real = self._real(stage.resolution)
        if not real:
            return StyleDiversity(shares={})
        each = max(FEWEST, min(SAMPLES, MOST // len(real)))
        count = len(self.dataset.style_names)
        labels = torch.eye(count)[list(real)] if count else torch.zeros(1, 0)
        labels, seeds = labels.repeat_interleave(each, dim=0), torch.arange(each).repeat(len(real))
        images = opaque(sample(generator, labels, seeds, stage=stage))
        groups = zip(real.items(), images.split(each), strict=True)
        shares = {self.names[style]: spread(group) / of_real for (style, of_real), group in groups}
        return StyleDiversity(shares=shares)

    def _real(self, resolution: int) -> dict[int, float]:
        """Spread of the real images by style; of very many styles, some evenly spaced ones."""
        if resolution not in self.real:
            count = min(len(self.names), MOST // FEWEST)
            styles = [i * len(self.names) // count for i in range(count)]
            spreads = {style: self._spread_of(style, resolution) for style in styles}
            self.real[resolution] = {style: value for style, value in spreads.items() if value > 0}
        return self.real[resolution]

    def _spread_of(self, style: int, resolution: int) -> float:
        """Spread of at most `REAL` images of a style, evenly spaced, at a resolution."""
        named = bool(self.dataset.style_names)
        rows = (self.dataset.styles.cpu() == (style if named else -1)).nonzero().squeeze(1)
        if len(rows) < 2:
            return 0.0
        count = min(REAL, len(rows))
        images = opaque(self.dataset.take(rows[torch.arange(count) * len(rows) // count]).cpu())
        small = F.avg_pool2d(images.float(), max(1, min(images.shape[2:]) // resolution))
        return spread(small.round().to(torch.uint8))
