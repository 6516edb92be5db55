"""Metrics during training, of samples and restyled images of the averaged generator."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.features.extract import Extraction, user_cache
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.independence import independent
from brushwork.eval.metrics.registry import METRICS
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.results import RESTYLED, about_logged
from brushwork.eval.sources import Samples
from brushwork.eval.suite import extractors_for, measure, rehearsed
from brushwork.models.generator import Generator
from brushwork.models.options import options
from brushwork.models.pretrained.frozen import FrozenNetwork
from brushwork.models.sampling import sample
from brushwork.models.stage import Stage

from ..errors import TrainingError
from .restyled import RestyledMetrics

EVALUATOR = "efficientnet-lite0"
COPIED = 0.1
"""Share of near-copies above which a run copies; of held-out images it is .01."""
CONTENT_FIGURES = ("content_raw", "content_normalised")


@options
class MetricsConfig:
    """Metrics during training, in features of EfficientNet-Lite0, every `interval.metrics_kimg`."""

    names: tuple[str, ...] = ("fd", "accuracy")
    """Metrics, as `brushwork measure --metrics` takes them."""
    per_style: Annotated[int, Interval(ge=2, le=10**6)] = 200
    """Samples per style."""
    restyled: tuple[str, ...] = ()
    """Metrics of 120 restyled held-out images, logged as restyled_...: content and those of `names`; they
    need generator.encoders."""
    best_by: str = "fd"
    """Metric by which snapshots/best.safetensors is chosen, e.g. fd or restyled_accuracy."""

    def __post_init__(self) -> None:
        for field, known in (("names", tuple(METRICS)), ("restyled", (*METRICS, "content"))):
            for name in getattr(self, field):
                if name not in known:
                    raise TrainingError(f"metrics.{field} has {name!r}; choose from {', '.join(known)}.")
        logged = [figure for name in self.names for figure in METRICS[name].figures]
        for name in self.restyled:
            figures = CONTENT_FIGURES if name == "content" else METRICS[name].figures
            logged += [f"{RESTYLED}{figure}" for figure in figures]
        if logged and self.best_by not in logged:
            raise TrainingError(
                f"metrics.best_by is {self.best_by!r}, which is not measured; choose from "
                f"{', '.join(logged)}."
            )


class InLoopMetrics:
    """Metrics of a generator against a packed data set, whose features are computed once.

    Several processes measure together, so each of them must call it.
    """

    def __init__(self, config: MetricsConfig, data: Path) -> None:
        self.config, self.data = config, data
        self.device = torch.device("cpu")
        self.baselines_logged = False

    @cached_property
    def reference(self) -> Reference:
        """The features of the real images."""
        metrics = [*self.config.names, *(name for name in self.config.restyled if name in METRICS)]
        extractors = extractors_for([build_extractor(EVALUATOR, self.device)], metrics)
        return load_reference(
            self.data,
            extractors,
            control=False,
            how=Extraction(cache=user_cache(), processes=Processes.joined()),
        )

    @cached_property
    def restyled(self) -> RestyledMetrics | None:
        """The metrics of restyled images; None if there are none."""
        names = self.config.restyled
        return RestyledMetrics(names, self.data, self.reference) if names else None

    def require_independent(self, looked_through: Sequence[FrozenNetwork]) -> None:
        """Raises TrainingError if the evaluator gave gradients to a run from which this one starts."""
        try:
            independent((EVALUATOR,), looked_through, chosen=True)
        except EvalError as error:
            raise TrainingError(
                f"metrics are in features of {EVALUATOR}, which gave the run of start_from its gradients: "
                "turn them off by --interval.metrics-kimg 0."
            ) from error

    def prepare(self, device: torch.device) -> None:
        """Computes the features of real images and tries every metric, so that errors show before training.

        Metrics that cannot be computed are left out, with a message.

        Raises:
            TrainingError: the metric of `best_by` is left out.
            EvalError: all metrics are left out.
        """
        self.device = device
        if self.config.names:
            self._rehearse()
        if self.restyled is not None:
            _ = self.restyled.baselines

    def _rehearse(self) -> None:
        config, found = self.config, rehearsed(self.reference, self.config.names, self.config.per_style)
        if not config.best_by.startswith(RESTYLED) and config.best_by not in found.figures:
            raise TrainingError(
                f"metrics.best_by is {config.best_by!r}, which cannot be measured of {self.data} "
                f"({' '.join(found.notes)}): choose from {', '.join(found.figures)}."
            )
        if found.notes and Processes.joined().main:
            print("\n".join(f"not measured: {note}" for note in found.notes))

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        """Metrics for the log, by name; the first call adds the baselines of restyled images, which never
        change."""
        figures = self._of_samples(generator, stage) if self.config.names else {}
        if self.restyled is None:
            return figures
        baselines = {} if self.baselines_logged else self.restyled.baselines
        self.baselines_logged = True
        return figures | self.restyled(generator, stage) | baselines

    def _of_samples(self, generator: Generator, stage: Stage) -> dict[str, float]:
        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            return sample(generator, styles, seeds, stage=stage)

        reference = self.reference
        samples = Samples(sampler=sampler, count=len(reference.style_names), per_style=self.config.per_style)
        how = Extraction(processes=Processes.joined())
        try:
            return measure(samples, reference, metrics=self.config.names, how=how).summary()
        except EvalError as error:  # a metric that worked before training does not end it
            if how.processes.main:
                print(f"not measured: {error}")
            return {}


def is_best(history: Sequence[Mapping[str, float | int]], figure: str) -> bool:
    """Whether the last metrics in the log have the best value of `figure`, better than all before."""
    values = [line[figure] for line in measurements(history) if figure in line]
    if not values:
        return False
    about = about_logged(figure)
    less = about is not None and about.better == "less"
    return all(values[-1] < old if less else values[-1] > old for old in values[:-1])


def why_give_up(history: Sequence[Mapping[str, float | int]], figure: str, patience: int) -> str:
    """Why a run should stop: in the last `patience` measurements `figure` was never the best so far, or more
    than a tenth of the samples were near-copies; empty if neither holds."""
    lines = measurements(history)
    if len(lines) <= patience:
        return ""
    if not any(is_best(lines[: len(lines) - back], figure) for back in range(patience)):
        last = "measurement" if patience == 1 else f"{patience} measurements"
        return f"{figure} did not improve in the last {last}"
    if all(line.get("copies", 0.0) > COPIED for line in lines[-patience:]):
        return f"more than {COPIED:.0%} of the samples are near-copies of training images"
    return ""


def measurements(history: Sequence[Mapping[str, float | int]]) -> list[Mapping[str, float | int]]:
    """The log entries of metrics, without those of status lines, which have losses."""
    return [line for line in history if "loss_g" not in line]
