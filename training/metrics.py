"""Measurements in the loop: the evaluation's suite on samples of the averaged generator."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from brushwork.eval.extractors import build_extractor
from brushwork.eval.metrics import FIGURES, METRICS
from brushwork.eval.plots import training_curves
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.sources import Samples
from brushwork.eval.suite import extractors_for, measure
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.synthesis import Stage

from .errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """What is measured while training, every `every.metrics_kimg`."""

    names: tuple[str, ...] = ("fd", "accuracy")
    """Metrics, as `brushwork measure --metrics` takes them."""
    features: tuple[str, ...] = ("efficientnet-lite0",)
    """Feature extractors; figures in all but the first have its name after theirs: fd@inception."""
    per_style: int = 200
    """Samples of each style."""
    best_by: str = "fd"
    """The figure by which snapshots/best.safetensors is kept."""
    inception_weights: Path | None = None
    """File of the published Inception weights, for `features inception`."""

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in METRICS:
                raise TrainingError(f"metrics.names has {name!r}; choose from {', '.join(METRICS)}.")
        if self.per_style < 2:
            raise TrainingError(f"metrics.per_style is {self.per_style}; it must be 2 or more.")
        given = [figure for name in self.names for figure in METRICS[name].figures]
        figure, _, features = self.best_by.partition("@")
        if given and (figure not in given or features not in ("", *self.features[1:])):
            raise TrainingError(
                f"metrics.best_by is {self.best_by!r}, which is not measured; choose from {', '.join(given)}."
            )


class InLoopMetrics:
    """Figures of a generator against a packed data set; the real side is built once, when it is prepared.

    Several processes measure together; each must call it.
    """

    def __init__(self, config: MetricsConfig, data: Path) -> None:
        self.config, self.data = config, data
        self.device = torch.device("cpu")

    @cached_property
    def reference(self) -> Reference:
        """What the real pictures say."""
        config = self.config
        weights = {"inception": config.inception_weights} if config.inception_weights else {}
        extractors = [build_extractor(name, self.device, weights=weights) for name in config.features]
        return load_reference(
            self.data, extractors_for(extractors, config.names), control=False, processes=Processes.joined()
        )

    def prepare(self, device: torch.device) -> None:
        """Builds the real side now, so that data which cannot be measured shows before hours of training."""
        self.device = device
        _ = self.reference

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        """Short figures for the log, by name."""

        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            return sample(generator, styles, seeds, stage=stage)

        reference = self.reference
        samples = Samples(sampler=sampler, count=len(reference.style_names), per_style=self.config.per_style)
        measures = measure(samples, reference, metrics=self.config.names, processes=Processes.joined())
        return measures.summary()


# The best so far
def is_best(history: Sequence[Mapping[str, float | int]], figure: str) -> bool:
    """Whether the newest measurement in the log has the best value of `figure`; a tie goes to the older."""
    values = [line[figure] for line in history if figure in line]
    if not values:
        return False
    better = FIGURES[figure.partition("@")[0]].better
    return all(values[-1] < old if better == "less" else values[-1] > old for old in values[:-1])


def draw_curves(path: Path, history: Sequence[Mapping[str, float | int]]) -> None:
    """Draws the figures over the course of training as a PNG; nothing while there are none."""
    picture = training_curves(history)
    if picture is not None:
        partial = path.with_suffix(".partial")
        partial.write_bytes(picture)
        os.replace(partial, path)
