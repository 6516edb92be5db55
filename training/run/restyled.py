"""Restyled pictures, measured while training: held-out contents, each redrawn in one other style.

The contents, their goals and the seed are the same every time, so that the points of a curve differ by the
generator alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.pictures import Pictures, load_pictures
from brushwork.eval.features.extract import MapExtractor
from brushwork.eval.metrics.registry import METRICS
from brushwork.eval.pairs.figures import BASELINES, RESTYLED, STYLE_MEAN, UNCHANGED, Drawings
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.pairs.truth import style_mean_of
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference
from brushwork.eval.results import METRIC_INFO, Measurement
from brushwork.models.generator import Generator, at_stage
from brushwork.models.restyle import content_style_codes, restyle
from brushwork.models.stage import Stage

from ..errors import TrainingError

OF_PAIRS: dict[str, tuple[str, ...]] = {
    "content": ("content_raw", "content_normalised"),
    "truth": ("truth", "nearer_truth"),
    "ssim": ("ssim",),
    "cfsd": ("cfsd",),
}
"""Metrics of outputs beside their contents that need nothing but the data set, and the figures of each."""

RESTYLED_METRICS = (*METRICS, *OF_PAIRS)
"""What can be asked of restyled pictures."""

PART = 64
"""Pictures redrawn as one and dealt out to the processes: the same whatever their number."""


# What is redrawn
def spread_evenly(styles: Int64[Tensor, "n"], count: int, most: int) -> tuple[list[int], list[int]]:
    """Rows of `most` pictures of `count` styles (or of all that there are), and the style to redraw each in.

    Every style has its share, each in the other styles in turn. A style's rows lie evenly over its pictures,
    and at other places than another's, so that many subjects come up.
    """
    rows: list[int] = []
    goals: list[int] = []
    for style in range(count):
        own = (styles == style).nonzero().squeeze(1)
        share = min(len(own), most // count + (style < most % count))
        places = [int((pick + (style + 0.5) / count) * len(own) / share) for pick in range(share)]
        rows += own[places].tolist()
        goals += [(style + 1 + pick % (count - 1)) % count for pick in range(share)]
    return rows, goals


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out pictures, and the style that each is to be redrawn in."""

    images: UInt8[Tensor, "n 3 r r"]
    goals: Int64[Tensor, "n"]
    subjects: tuple[str, ...]
    style_names: tuple[str, ...]
    drawings: Drawings | None
    """The same subjects as they were really drawn, and the mean of each style: for the metric `truth`."""

    @classmethod
    def load(cls, data: Path, *, most: int, truth: bool) -> "HeldOut":
        """At most `most` pictures of a packed data set.

        Raises TrainingError for a data set of one style, and for fewer pictures than two for each style.
        """
        test = load_pictures(data, "test")
        names = test.style_names
        if len(names) < 2:
            raise TrainingError(
                f"metrics.restyled redraws pictures in other styles, and {data} has {len(names)}: leave it "
                "empty."
            )
        if most < 2 * len(names):
            raise TrainingError(
                f"metrics.restyled_contents is {most}; for {len(names)} styles it must be {2 * len(names)} "
                "or more."
            )
        rows, goals = spread_evenly(test.styles, len(names), most)
        subjects = tuple(test.subjects[row] for row in rows)
        drawings = None
        if truth:
            drawings = Drawings(test=of_subjects(test, subjects), train=style_means_of(data))
        return cls(
            images=test.images[rows], goals=torch.tensor(goals), subjects=subjects, style_names=names,
            drawings=drawings,
        )  # fmt: skip

    def beside(self, outputs: UInt8[Tensor, "n 3 r r"]) -> PairSet:
        """The contents with what became of them."""
        styles = tuple(self.style_names[goal] for goal in self.goals.tolist())
        return PairSet(
            outputs=outputs, contents=self.images, styles=styles, subjects=self.subjects,
            sources=self.subjects,
        )  # fmt: skip

    @torch.no_grad()
    def restyled(self, generator: Generator, stage: Stage) -> UInt8[Tensor, "n 3 r r"]:
        """All of them at their own resolution, by their own looks under the new style's name, with the noise
        of seed 0: as `brushwork restyle --style` does it.

        Several processes share the work, and all get the whole.
        """
        processes, mine = Processes.joined(), dict[int, Tensor]()
        parts = torch.arange(len(self.goals)).split(PART)
        with at_stage(generator, stage):
            for number in range(processes.rank, len(parts), processes.count):
                rows = parts[number]
                images, styles = self.images[rows], F.one_hot(self.goals[rows], len(self.style_names))
                codes = content_style_codes(generator, images, styles.float())
                mine[number] = restyle(generator, images, codes, torch.zeros_like(rows), mode="resized")
        found = processes.gather(mine)
        return torch.cat([found[number] for number in range(len(parts))])


def of_subjects(pictures: Pictures, subjects: Sequence[str]) -> Pictures:
    """These subjects alone, in every style."""
    wanted = set(subjects)
    rows = [row for row, subject in enumerate(pictures.subjects) if subject in wanted]
    return Pictures(
        images=pictures.images[rows], styles=pictures.styles[rows],
        subjects=tuple(pictures.subjects[row] for row in rows), style_names=pictures.style_names,
        fingerprint=pictures.fingerprint, background=pictures.background,
    )  # fmt: skip


def style_means_of(data: Path) -> Pictures:
    """One training picture a style, which is the mean of all: so small that it can be kept, and the mean of
    itself."""
    train = load_pictures(data, "train")
    names = train.style_names
    return Pictures(
        images=torch.stack([style_mean_of(train, name) for name in names]), styles=torch.arange(len(names)),
        subjects=names, style_names=names, fingerprint=train.fingerprint, background=train.background,
    )  # fmt: skip


# Measuring
class RestyledMetrics:
    """Figures of restyled held-out pictures, by their names in the log. Several processes each must call it.

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
        # The mean over the styles says nothing more: all have the same share of the pictures.
        figures = self._measured(self.held_out.restyled(generator, stage)).summary()
        return {
            f"{RESTYLED}{name}": value
            for name, value in figures.items()
            if not name.endswith("_style_mean")
        }  # fmt: skip

    @cached_property
    def baselines(self) -> dict[str, float]:
        """What contents that nothing was done to score, and for `truth` what the mean of the style scores.

        How well they keep their own content goes without saying.
        """
        found: dict[str, float] = {}
        for name, figure in self._measured(self.held_out.images).figures.items():
            if name.partition("@")[0] in (*METRIC_INFO, "truth"):
                found[f"{RESTYLED}{name}_{BASELINES[UNCHANGED]}"] = figure.measured.value
            if STYLE_MEAN in figure.baselines:
                found[f"{RESTYLED}{name}_{BASELINES[STYLE_MEAN]}"] = figure.baselines[STYLE_MEAN].value
        return found

    def _measured(self, outputs: Tensor) -> Measurement:
        return measure_outputs(
            self.held_out.beside(outputs), self.networks, metrics=self.metrics, reference=self.reference,
            drawings=self.held_out.drawings,
        )  # fmt: skip
