"""Metrics of restyled images during training: held-out images, each restyled to one other style.

Images, target styles and seed are always the same, so the points of a curve differ by the generator alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.dataset import Pictures, load_pictures
from brushwork.eval.features.extract import MapExtractor
from brushwork.eval.metrics.registry import METRICS
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.pairs.truth import Drawings, style_mean_of
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference
from brushwork.eval.results import BASELINES, METRIC_INFO, RESTYLED, STYLE_MEAN, UNCHANGED, Measurement
from brushwork.models.generator import Generator, at_stage
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.stage import Stage

from ..errors import TrainingError

OF_PAIRS: dict[str, tuple[str, ...]] = {
    "content": ("content_raw", "content_normalised"),
    "truth": ("truth", "nearer_truth"),
    "ssim": ("ssim",),
}
"""Metrics that compare outputs with their contents or real drawings, and the logged names of each."""

RESTYLED_METRICS = (*METRICS, *OF_PAIRS)
"""All metrics of restyled images."""

PART = 64
"""Images per unit of work, which processes share; equal for any number of processes."""


# Held-out images
def spread_evenly(styles: Int64[Tensor, "n"], count: int, most: int) -> tuple[list[int], list[int]]:
    """Rows of up to `most` images of `count` styles, and a target style for each.

    Every style has an equal share, with the other styles as targets in turn. The rows of a style are evenly
    spaced, with another offset in each style, so that many subjects occur.
    """
    rows: list[int] = []
    target_styles: list[int] = []
    for style in range(count):
        own = (styles == style).nonzero().squeeze(1)
        share = min(len(own), most // count + (style < most % count))
        places = [int((pick + (style + 0.5) / count) * len(own) / share) for pick in range(share)]
        rows += own[places].tolist()
        target_styles += [(style + 1 + pick % (count - 1)) % count for pick in range(share)]
    return rows, target_styles


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out images and their target styles."""

    pairs: PairSet
    """The images, still unchanged, as pairs of content and output."""
    target_styles: Int64[Tensor, "n"]
    styles: int
    """Number of styles."""
    drawings: Drawings | None
    """Real drawings of the same subjects and the mean image of each style, for the metric `truth`."""

    @classmethod
    def load(cls, data: Path, *, most: int, truth: bool) -> "HeldOut":
        """Loads at most `most` images of a packed data set.

        Raises:
            TrainingError: the data set has one style, or `most` is below two per style.
        """
        test = load_pictures(data, "test")
        names = test.style_names
        if len(names) < 2:
            raise TrainingError(
                f"metrics.restyled needs two styles or more, and {data} has {len(names)}: leave it empty."
            )
        if most < 2 * len(names):
            raise TrainingError(
                f"metrics.restyled_contents is {most}; for {len(names)} styles it must be {2 * len(names)} "
                "or more."
            )
        rows, targets = spread_evenly(test.styles, len(names), most)
        subjects = tuple(test.subjects[row] for row in rows)
        pairs = PairSet(
            outputs=test.images[rows], contents=test.images[rows], subjects=subjects,
            styles=tuple(names[style] for style in targets),
        )  # fmt: skip
        drawings = _drawings(data, test, subjects) if truth else None
        return cls(
            pairs=pairs, target_styles=torch.tensor(targets), styles=len(names), drawings=drawings
        )  # fmt: skip

    @torch.no_grad()
    def restyled(self, generator: Generator, stage: Stage) -> UInt8[Tensor, "n 3 r r"]:
        """All images restyled to their targets, as `brushwork restyle --style` does, with the noise of seed
        0.

        Several processes share the work, and each gets all images.
        """
        processes, mine = Processes.joined(), dict[int, Tensor]()
        parts = torch.arange(len(self.target_styles)).split(PART)
        with at_stage(generator, stage):
            for number in range(processes.rank, len(parts), processes.count):
                rows = parts[number]
                images, styles = self.pairs.contents[rows], F.one_hot(self.target_styles[rows], self.styles)
                codes = content_style_codes(generator, images, styles.float())
                mine[number] = restyle(generator, images, codes, torch.zeros_like(rows), mode="resized")
        gathered = processes.gather(mine)
        return torch.cat([gathered[number] for number in range(len(parts))])


def _drawings(data: Path, test: Pictures, subjects: Sequence[str]) -> Drawings:
    """The images of these subjects in all styles, and of each style the mean of its training images."""
    wanted = set(subjects)
    rows = [row for row, subject in enumerate(test.subjects) if subject in wanted]
    train = load_pictures(data, "train")
    names = train.style_names
    means = torch.stack([style_mean_of(train, name) for name in names])
    return Drawings(
        test=test.subset(torch.tensor(rows)),
        train=replace(train, images=means, styles=torch.arange(len(names)), subjects=names),
    )


# Measuring
class RestyledMetrics:
    """Metrics of restyled held-out images, by their names in the log. Each of several processes must call it.

    Raises TrainingError for pair metrics without feature maps to take them of.
    """

    def __init__(self, metrics: Sequence[str], held_out: HeldOut, reference: Reference) -> None:
        self.metrics, self.held_out, self.reference = tuple(metrics), held_out, reference
        extractors = [space.extractor for space in reference.spaces]
        maps = next((extractor for extractor in extractors if isinstance(extractor, MapExtractor)), None)
        if maps is None:
            raise TrainingError(
                f"metrics.restyled needs feature maps, and {', '.join(e.name for e in extractors)} has none: "
                "add efficientnet-lite0 to metrics.features."
            )
        self.networks = PairNetworks(maps=maps)

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        # The means over styles are left out: all styles have equally many images.
        figures = self._measured(self.held_out.restyled(generator, stage)).summary().items()
        return {f"{RESTYLED}{name}": value for name, value in figures if not name.endswith("_style_mean")}

    @cached_property
    def baselines(self) -> dict[str, float]:
        """The metrics of unchanged contents and, for `truth`, of the mean image of each style."""
        found: dict[str, float] = {}
        for name, figure in self._measured(self.held_out.pairs.contents).figures.items():
            if name.partition("@")[0] in (*METRIC_INFO, "truth"):
                found[f"{RESTYLED}{name}_{BASELINES[UNCHANGED]}"] = figure.measured.value
            if STYLE_MEAN in figure.baselines:
                found[f"{RESTYLED}{name}_{BASELINES[STYLE_MEAN]}"] = figure.baselines[STYLE_MEAN].value
        return found

    def _measured(self, outputs: Tensor) -> Measurement:
        return measure_outputs(
            replace(self.held_out.pairs, outputs=outputs), self.networks, metrics=self.metrics,
            reference=self.reference, drawings=self.held_out.drawings,
        )  # fmt: skip
