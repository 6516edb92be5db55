"""Does every style still draw more than one picture? Spread of fixed samples beside that of real pictures.

A generator that has collapsed draws the same picture whatever its latent code. Its losses look healthy, so
the run has to be told by its pictures. The figure is cheap enough for every tick: a few samples a style, no
feature network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.loader import Pictures, StoredPictures
from brushwork.eval.collapse import COLLAPSED, collapse_warning
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.stage import Stage

SAMPLES, FEWEST = 16, 4
"""Samples of a style; fewer where there are many styles, so that all together are at most `MOST`."""
MOST = 192
REAL = 128
"""Real pictures of a style, at most."""
SIDE = 16
"""Pictures are compared at this size: noise and texture that the latent code does not decide average out."""
COLLAPSED_STYLES = "collapsed_styles"
"""Their number's name in the log."""
PATIENCE = 5
"""Ticks in a row that `stop_on_collapse` waits for: in the first minutes variety may fall and come back."""


def spread(images: UInt8[Tensor, "n 3 h w"]) -> float:
    """Root mean squared distance of two different pictures, per value, in [0, 255].

    Twice the variance with the divisor n - 1 is the mean squared distance over all pairs. Pictures are
    averaged down to `SIDE` first; smaller ones are taken as they are.
    """
    side = min(SIDE, images.shape[-1])
    small = F.adaptive_avg_pool2d(images.float(), side)
    return float((2 * small.var(dim=0).mean()).sqrt())


@dataclass(frozen=True, kw_only=True)
class StyleDiversity:
    """Spread of the samples of each style, as a share of that of its real pictures."""

    shares: Mapping[str, float]

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The styles that draw one picture."""
        return tuple(name for name, share in self.shares.items() if share < COLLAPSED)

    @property
    def warning(self) -> str:
        """'3 of 6 styles draw one picture: bold, linear, outline'; nothing where none does."""
        return collapse_warning(self.collapsed, len(self.shares))

    def values(self) -> dict[str, float]:
        """For the log: the mean, the worst and each style's share, and how many styles have collapsed."""
        if not self.shares:
            return {}
        shares = list(self.shares.values())
        each = {f"pixel_diversity/{name}": share for name, share in self.shares.items()}
        return {
            "pixel_diversity": sum(shares) / len(shares), "pixel_diversity_worst": min(shares), **each,
            COLLAPSED_STYLES: len(self.collapsed),
        }  # fmt: skip


def collapsed_ticks(history: Sequence[Mapping[str, float | int]]) -> int:
    """How many ticks of a log, up to its last, found a collapsed style one after another."""
    found = [line[COLLAPSED_STYLES] > 0 for line in history if COLLAPSED_STYLES in line]
    return next((i for i, collapsed in enumerate(reversed(found)) if not collapsed), len(found))


@dataclass
class DiversityProbe:
    """Measures `StyleDiversity` of a generator against the pictures it is trained on.

    Codes are the same at every call, so its figures can be compared over a run. The real side is taken once
    for each resolution, from the same pictures every time.
    """

    pictures: Pictures | StoredPictures
    real: dict[int, dict[int, float]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return self.pictures.style_names or ("unlabelled",)

    def __call__(self, generator: Generator, stage: Stage) -> StyleDiversity:
        """Draws a few samples of each style at `stage`. Styles with fewer than two pictures, or with pictures
        that are all the same, are left out: nothing can be said of them. Of very many styles some are looked
        at, evenly over all."""
        real = self._real(stage.resolution)
        if not real:
            return StyleDiversity(shares={})
        each = max(FEWEST, min(SAMPLES, MOST // len(real)))
        count = len(self.pictures.style_names)
        labels = torch.eye(count)[list(real)] if count else torch.zeros(1, 0)
        images = sample(
            generator,
            labels.repeat_interleave(each, dim=0),
            torch.arange(each).repeat(len(real)),
            stage=stage,
        )
        groups = zip(real.items(), images.split(each), strict=True)
        return StyleDiversity(
            shares={
                self.names[style]: spread(group) / spread_of_real for (style, spread_of_real), group in groups
            }
        )

    def _real(self, resolution: int) -> dict[int, float]:
        """Spread of the real pictures by the index of the style."""
        if resolution not in self.real:
            shown = min(len(self.names), MOST // FEWEST)
            styles = [i * len(self.names) // shown for i in range(shown)]
            spreads = {style: self._spread_of(style, resolution) for style in styles}
            self.real[resolution] = {style: value for style, value in spreads.items() if value > 0}
        return self.real[resolution]

    def _spread_of(self, style: int, resolution: int) -> float:
        """Of at most `REAL` pictures, evenly over all of the style, as seen at a resolution."""
        named = bool(self.pictures.style_names)
        rows = (self.pictures.styles.cpu() == (style if named else -1)).nonzero().squeeze(1)
        if len(rows) < 2:
            return 0.0
        count = min(REAL, len(rows))
        images = self.pictures.take(rows[torch.arange(count) * len(rows) // count])
        small = F.adaptive_avg_pool2d(images.float(), min(resolution, images.shape[-1]))
        return spread(small.round().to(torch.uint8))
