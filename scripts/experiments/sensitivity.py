"""Which metric detects which fault, on real images: the table of docs/evaluation.md."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import torchvision.transforms.v2.functional as TF
import tyro

from brushwork.data.dataset import load_pictures
from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.results import METRIC_INFO, Measurement, Score
from brushwork.eval.sources import Stored
from brushwork.eval.suite import extractors_for, measure
from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run

COLUMNS = (
    ("fd", "kid", "precision", "recall", "density", "coverage", "diversity"),
    ("accuracy", "csls", "nearer_to_own", "gram", "mean_std", "copies", "nearest_ratio"),
)
METRICS = ("fd", "kid", "accuracy", "prdc", "similarity", "gram", "diversity", "copies")
UNHARMED = "unharmed"

Fault = Callable[[Stored, Stored, int], Stored]
"""(held-out images, training images, number of styles) -> the images to measure."""


@options
class SensitivityArguments:
    """Applies known faults to held-out real images and prints which metric detects them, in Markdown.

    Example, some minutes on a CPU:
        python scripts/experiments/sensitivity.py datasets/emoji-32
    """

    dataset: Annotated[Path, tyro.conf.Positional]
    """A packed data set with a test split."""
    features: str = "efficientnet-lite0"
    """The evaluator."""


# Faults
def unharmed(test: Stored, _train: Stored, _styles: int) -> Stored:
    return test


def other_labels(test: Stored, _train: Stored, styles: int) -> Stored:
    """Every image with the label of the next style."""
    return Stored(images=test.images, styles=(test.styles + 1) % styles)


def blurred(sigma: float) -> Fault:
    """Gaussian blur, in pixels."""

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
    """Training images, as many of each style as there are held-out images."""
    rows = [
        (train.styles == style).nonzero().squeeze(1)[: int((test.styles == style).sum())]
        for style in range(styles)
    ]
    chosen = torch.cat(rows)
    return Stored(images=train.images[chosen], styles=train.styles[chosen])


def collapsed(test: Stored, _train: Stored, styles: int) -> Stored:
    """Ten images of each style, repeated with a little noise."""
    source = torch.arange(len(test.styles))
    for style in range(styles):
        rows = (test.styles == style).nonzero().squeeze(1)
        source[rows] = rows[torch.arange(len(rows)) % 10]
    few = Stored(images=test.images[source], styles=test.styles)
    return noisy(2.0)(few, few, styles)


def one_style(test: Stored, _train: Stored, styles: int) -> Stored:
    """Images of the first style under every label, as if conditioning were ignored."""
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
def measure_faults(
    test: Stored,
    train: Stored,
    reference: Reference,
    *,
    faults: Sequence[str] = tuple(FAULTS),
    metrics: Sequence[str] = METRICS,
    cache: FeatureCache | None = None,
) -> dict[str, Measurement]:
    """Measurements of the labelled held-out images after each fault, by its name."""
    test, train = labelled(test), labelled(train)
    count = len(reference.style_names)
    return {
        name: measure(
            FAULTS[name](test, train, count), reference, metrics=metrics, cache=cache, progress=True
        )
        for name in faults
    }


def labelled(pictures: Stored) -> Stored:
    """The images that have a label."""
    keep = pictures.styles >= 0
    return Stored(images=pictures.images[keep], styles=pictures.styles[keep])


def detected(figure: str, harmed: Score, healthy: Score) -> bool:
    """Whether a distance is 1.5 times as large, or a share differs by a tenth and three standard errors."""
    if METRIC_INFO[figure].kind == "distance":
        return harmed.value > 1.5 * max(healthy.value, 1e-12)
    errors = ((harmed.spread or 0.0) ** 2 + (healthy.spread or 0.0) ** 2) ** 0.5
    return abs(harmed.value - healthy.value) > max(0.1, 3 * errors)


def table(measures: Mapping[str, Measurement], figures: Sequence[str]) -> str:
    """Markdown with a row for each fault: the value, then that of random weights. Bold is detected."""

    def cell(name: str, fault: str) -> str:
        harmed, healthy = measures[fault].figures[name], measures[UNHARMED].figures[name]
        parts = [(harmed.measured, healthy.measured)]
        if harmed.control is not None and healthy.control is not None:
            parts.append((harmed.control, healthy.control))
        return " / ".join(
            f"**{_number(score.value)}**" if detected(name, score, before) else _number(score.value)
            for score, before in parts
        )

    head = "| fault | " + " | ".join(METRIC_INFO[name].title for name in figures) + " |"
    rows = [f"| {fault} | " + " | ".join(cell(name, fault) for name in figures) + " |" for fault in measures]
    return "\n".join([head, "|---" * (len(figures) + 1) + "|", *rows])


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def main(args: SensitivityArguments) -> None:
    """Measures and prints."""
    test, train = (
        Stored(images=split.images, styles=split.styles)
        for split in (load_pictures(args.dataset, name) for name in ("test", "train"))
    )
    extractors = extractors_for([build_extractor(args.features)], METRICS)
    reference = load_reference(args.dataset, extractors, progress=True)
    measures = measure_faults(test, train, reference, cache=FeatureCache(user_cache()))
    print("\n\n".join(table(measures, columns) for columns in COLUMNS))


if __name__ == "__main__":
    parse_and_run(SensitivityArguments, main)
