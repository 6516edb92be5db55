"""Reproduces the table of docs/evaluation.md: which metric sees which fault, on real pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torchvision.transforms.v2.functional as TF
import tyro

from brushwork.data.pictures import load_pictures
from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.results import METRIC_INFO, Measurement, MetricResult, Score
from brushwork.eval.sources import Stored
from brushwork.eval.suite import extractors_for, measure
from brushwork.models.options import options

COLUMNS = (
    ("fd", "kid", "precision", "recall", "density", "coverage", "diversity"),
    ("accuracy", "csls", "nearer_to_own", "gram", "mean_std", "copies", "nearest_ratio"),
)


@options
class SensitivityArguments:
    """Harms held-out real pictures in known ways and says which metric sees it, in Markdown.

    Example, some minutes on a CPU:
        python scripts/experiments/sensitivity.py datasets/emoji-32
    """

    dataset: Annotated[Path, tyro.conf.Positional]
    """A packed data set with a test split."""
    features: str = "efficientnet-lite0"
    """The evaluator."""


def main(args: SensitivityArguments) -> None:
    """Measures and prints."""
    test, train = (
        Stored(images=split.images, styles=split.styles)
        for split in (load_pictures(args.dataset, name) for name in ("test", "train"))
    )
    reference = load_reference(
        args.dataset, extractors_for([build_extractor(args.features)], METRICS), progress=True
    )
    found = measure_faults(test, train, reference, cache=FeatureCache(user_cache()))
    print("\n\n".join(table(found, columns) for columns in COLUMNS))

    parse_and_run(SensitivityArguments, main)


Fault = Callable[[Stored, Stored, int], Stored]
"""(held-out pictures, training pictures, number of styles) -> the pictures to measure."""

METRICS = ("fd", "kid", "accuracy", "prdc", "similarity", "gram", "diversity", "copies")

UNHARMED = "unharmed"


# Faults
def unharmed(test: Stored, _train: Stored, _styles: int) -> Stored:
    return test


def other_labels(test: Stored, _train: Stored, styles: int) -> Stored:
    """Every style's pictures under the next style's name."""
    return Stored(images=test.images, styles=(test.styles + 1) % styles)


def blurred(sigma: float) -> Fault:
    def fault(test: Stored, _train: Stored, _styles: int) -> Stored:
        size = 2 * round(3 * sigma) + 1
        return Stored(images=TF.gaussian_blur(test.images, [size, size], [sigma]), styles=test.styles)

    return fault


def noisy(deviation: float) -> Fault:
    """Gaussian noise, in grey levels, seeded."""

    def fault(test: Stored, _train: Stored, _styles: int) -> Stored:
        noise = torch.randn(test.images.shape, generator=torch.Generator().manual_seed(0))
        images = (test.images + deviation * noise).round().clamp(0, 255).byte()
        return Stored(images=images, styles=test.styles)

    return fault


def hue_shifted(turn: float) -> Fault:
    """The hue turned by this share of a circle; black, white and grey stay."""

    def fault(test: Stored, _train: Stored, _styles: int) -> Stored:
        return Stored(images=TF.adjust_hue(test.images, turn), styles=test.styles)

    return fault


def copied(test: Stored, train: Stored, styles: int) -> Stored:
    """Training pictures, as many of each style as there are held-out ones."""
    rows = [
        (train.styles == style).nonzero().squeeze(1)[: int((test.styles == style).sum())]
        for style in range(styles)
    ]
    chosen = torch.cat(rows)
    return Stored(images=train.images[chosen], styles=train.styles[chosen])


def collapsed(test: Stored, _train: Stored, styles: int) -> Stored:
    """Ten drawings of each style over and over, each with a little noise of its own."""
    source = torch.arange(len(test.styles))
    for style in range(styles):
        rows = (test.styles == style).nonzero().squeeze(1)
        source[rows] = rows[torch.arange(len(rows)) % 10]
    few = Stored(images=test.images[source], styles=test.styles)
    return noisy(2.0)(few, few, styles)


def one_style(test: Stored, _train: Stored, styles: int) -> Stored:
    """The first style's pictures under every name, as if conditioning were ignored."""
    rows = (test.styles == 0).nonzero().squeeze(1)
    chosen = rows[torch.arange(len(test.styles)) % len(rows)]
    return Stored(images=test.images[chosen], styles=test.styles)


FAULTS: dict[str, Fault] = {
    UNHARMED: unharmed,
    "labels exchanged": other_labels,
    "one style under all names": one_style,
    "blur, 0.5 px": blurred(0.5),
    "blur, 1 px": blurred(1.0),
    "noise, 8 levels": noisy(8.0),
    "noise, 24 levels": noisy(24.0),
    "hue turned by a tenth": hue_shifted(0.1),
    "ten drawings a style": collapsed,
    "copies of training pictures": copied,
}


# Measuring
@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Figures of every fault, and the ones of the unharmed pictures first."""

    measures: Mapping[str, Measurement]

    def figures(self, name: str) -> dict[str, MetricResult]:
        """One figure of every fault."""
        return {fault: measures.figures[name] for fault, measures in self.measures.items()}


def measure_faults(
    test: Stored,
    train: Stored,
    reference: Reference,
    *,
    faults: Sequence[str] = tuple(FAULTS),
    metrics: Sequence[str] = METRICS,
    cache: FeatureCache | None = None,
) -> Sensitivity:
    """Measures labelled held-out pictures, harmed by each fault in turn."""
    count = len(reference.style_names)
    test, train = labelled(test), labelled(train)
    return Sensitivity(
        measures={
            name: measure(
                FAULTS[name](test, train, count), reference, metrics=metrics, cache=cache, progress=True
            )
            for name in faults
        }
    )


def labelled(pictures: Stored) -> Stored:
    """Without the unlabelled ones."""
    keep = pictures.styles >= 0
    return Stored(images=pictures.images[keep], styles=pictures.styles[keep])


# Reading
def seen(figure: str, harmed: Score, healthy: Score) -> bool:
    """Whether a fault shows: a distance half as large again, a share changed by a tenth and three errors."""
    if METRIC_INFO[figure].kind == "distance":
        return harmed.value > 1.5 * max(healthy.value, 1e-12)
    errors = ((harmed.spread or 0.0) ** 2 + (healthy.spread or 0.0) ** 2) ** 0.5
    return abs(harmed.value - healthy.value) > max(0.1, 3 * errors)


def table(found: Sensitivity, figures: Sequence[str]) -> str:
    """Markdown, a row a fault: the evaluator's value and, after a bar, that of random
    weights. Bold is what shows."""

    def cell(name: str, fault: str) -> str:
        harmed, healthy = found.figures(name)[fault], found.figures(name)[UNHARMED]
        parts = [(harmed.measured, healthy.measured)]
        if harmed.control is not None and healthy.control is not None:
            parts.append((harmed.control, healthy.control))
        return " / ".join(
            f"**{_number(score.value)}**" if seen(name, score, before) else _number(score.value)
            for score, before in parts
        )

    head = "| fault | " + " | ".join(METRIC_INFO[name].title for name in figures) + " |"
    rows = [
        f"| {fault} | " + " | ".join(cell(name, fault) for name in figures) + " |" for fault in found.measures
    ]
    return "\n".join([head, "|---" * (len(figures) + 1) + "|", *rows])


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


if __name__ == "__main__":
    from brushwork.scripts.cli import parse_and_run
