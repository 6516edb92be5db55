"""Metrics of restyled images during training: held-out images, each restyled to one other style.

Images, target styles and seed are always the same, so the points of a curve differ by the generator alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.dataset import load_dataset
from brushwork.eval.features.extract import MapExtractor
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference
from brushwork.eval.results import METRIC_INFO, RESTYLED, UNCHANGED_SUFFIX, Measurement
from brushwork.eval.sources import opaque
from brushwork.models.generator import Generator, at_stage
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.stage import Stage

from ..errors import TrainingError

CONTENTS = 120
"""Number of restyled images; at least two per style."""
PART = 64
"""Images per unit of work, which processes share; equal for any number of processes."""


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


class RestyledMetrics:
    """Metrics of restyled held-out images of a packed data set, by their names in the log.

    Each of several processes must call it. Raises TrainingError if the data set has one style.
    """

    def __init__(self, metrics: Sequence[str], data: Path, reference: Reference) -> None:
        self.metrics, self.reference = tuple(metrics), reference
        test = load_dataset(data, "test")
        names = test.style_names
        if len(names) < 2:
            raise TrainingError(
                f"metrics.restyled needs two styles or more, and {data} has {len(names)}: leave it empty."
            )
        rows, targets = spread_evenly(test.styles, len(names), max(CONTENTS, 2 * len(names)))
        self.target_styles, self.styles = torch.tensor(targets), len(names)
        self.contents = PairSet(
            outputs=test.images[rows], contents=test.images[rows],
            subjects=tuple(test.subjects[row] for row in rows),
            styles=tuple(names[style] for style in targets),
        )  # fmt: skip
        maps = reference.spaces[0].extractor
        assert isinstance(maps, MapExtractor)
        self.networks = PairNetworks(maps=maps)

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        # The means over styles are left out: all styles have equally many images.
        figures = self._measured(self.restyled(generator, stage)).summary().items()
        return {f"{RESTYLED}{name}": value for name, value in figures if not name.endswith("_style_mean")}

    @torch.no_grad()
    def restyled(self, generator: Generator, stage: Stage) -> UInt8[Tensor, "n c h w"]:
        """All images restyled to their targets, as `brushwork restyle --style` does, with the noise of seed
        0.

        Several processes share the work, and each gets all images.
        """
        processes, mine = Processes.joined(), dict[int, Tensor]()
        parts = torch.arange(len(self.target_styles)).split(PART)
        with at_stage(generator, stage):
            for number in range(processes.rank, len(parts), processes.count):
                rows = parts[number]
                images = self.contents.contents[rows]
                styles = F.one_hot(self.target_styles[rows], self.styles).float()
                codes = content_style_codes(generator, images, styles)
                mine[number] = restyle(generator, images, codes, torch.zeros_like(rows), mode="resized")
        gathered = processes.gather(mine)
        return torch.cat([gathered[number] for number in range(len(parts))])

    @cached_property
    def baselines(self) -> dict[str, float]:
        """The metrics of unchanged contents."""
        figures = self._measured(self.contents.contents).figures.items()
        return {
            f"{RESTYLED}{name}{UNCHANGED_SUFFIX}": figure.measured.value
            for name, figure in figures
            if name.partition("@")[0] in METRIC_INFO
        }

    def _measured(self, outputs: Tensor) -> Measurement:
        return measure_outputs(
            replace(self.contents, outputs=opaque(outputs), contents=opaque(self.contents.contents)),
            self.networks, metrics=self.metrics,
            reference=self.reference,
        )  # fmt: skip
