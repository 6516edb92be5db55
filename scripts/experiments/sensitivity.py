"""Which metric detects which fault, on real images: the table of docs/evaluation.md."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torchvision.transforms.v2.functional as TF
import tyro
from PIL import Image
from torch import Tensor

from brushwork.data.dataset import ImageDataset, load_dataset
from brushwork.eval.features.extract import PLAIN, Extraction, user_cache
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.results import METRIC_INFO, Measurement, Score
from brushwork.eval.sources import Stored
from brushwork.eval.suite import extractors_for, measure
from brushwork.models.options import options
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.documented import RESULTS, command_of, results_folder, write_results

COLUMNS = {
    "distributions": ("fd", "kid", "precision", "recall", "density", "coverage", "diversity"),
    "styles": ("accuracy", "csls", "nearer_to_own", "gram", "mean_std", "copies", "nearest_ratio"),
}
"""Figures by the name of their table."""
METRICS = ("fd", "kid", "accuracy", "prdc", "similarity", "gram", "diversity", "copies")
UNHARMED = "unharmed"

Fault = Callable[[Stored, Stored, int], Stored]
"""(held-out images, training images, number of styles) -> the images to measure."""


@options
class SensitivityArguments:
    """Applies known faults to held-out real images: which metric detects them?

    Example, some minutes on a CPU, after `make demo` or `brushwork fetch emoji` and `pack`:
        brushwork reproduce sensitivity
        brushwork reproduce sensitivity datasets/mine --results runs/sensitivity
    """

    dataset: Annotated[Path, tyro.conf.Positional] = Path("datasets/emoji-32")
    """A packed data set with a test split."""
    features: str = "efficientnet-lite0"
    """The evaluator."""
    quick: bool = False
    """Two faults and few metrics."""
    results: Path = RESULTS
    """Folder of sensitivity.json; the documents above it get the tables."""


# Faults
def of_images(change: Callable[[Tensor], Tensor]) -> Fault:
    """A fault of the held-out images alone."""
    return lambda test, _train, _styles: Stored(images=change(test.images), styles=test.styles)


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    """Compressed and decoded again."""
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    return torch.stack([torch.from_numpy(_through_jpeg(each, quality)).permute(2, 0, 1) for each in pictures])


def _through_jpeg(picture: Image.Image, quality: int) -> np.ndarray:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, in pixels."""
    size = 2 * round(3 * sigma) + 1
    return TF.gaussian_blur(images, [size, size], [sigma])


def noisy(images: Tensor, deviation: float) -> Tensor:
    """Gaussian noise, in grey levels, seeded."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + deviation * noise).round().clamp(0, 255).byte()


def other_labels(test: Stored, _train: Stored, styles: int) -> Stored:
    """Every image with the label of the next style."""
    return Stored(images=test.images, styles=(test.styles + 1) % styles)


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
    return Stored(images=noisy(test.images[source], 2.0), styles=test.styles)


def one_style(test: Stored, _train: Stored, styles: int) -> Stored:
    """Images of the first style under every label, as if conditioning were ignored."""
    rows = (test.styles == 0).nonzero().squeeze(1)
    chosen = rows[torch.arange(len(test.styles)) % len(rows)]
    return Stored(images=test.images[chosen], styles=test.styles)


FAULTS: dict[str, Fault] = {
    UNHARMED: of_images(lambda images: images),
    "labels exchanged": other_labels,
    "one style under all names": one_style,
    "blur, 0.5 px": of_images(partial(blurred, sigma=0.5)),
    "blur, 1 px": of_images(partial(blurred, sigma=1.0)),
    "noise, 8 levels": of_images(partial(noisy, deviation=8.0)),
    "noise, 24 levels": of_images(partial(noisy, deviation=24.0)),
    "JPEG, quality 75": of_images(partial(as_jpeg, quality=75)),
    "hue turned by a tenth": of_images(lambda images: TF.adjust_hue(images, 0.1)),
    "ten drawings a style": collapsed,
    "copies of training images": copied,
}


# Measuring
def measure_faults(
    test: Stored, train: Stored, reference: Reference, faults: Sequence[str] = tuple(FAULTS),
    metrics: Sequence[str] = METRICS, how: Extraction = PLAIN,
) -> dict[str, Measurement]:  # fmt: skip
    """Measurements of the held-out images after each fault, by its name. All images have labels."""
    count = len(reference.style_names)
    return {
        name: measure(FAULTS[name](test, train, count), reference, metrics=metrics, how=how)
        for name in faults
    }


def labelled(pictures: ImageDataset) -> Stored:
    """The images that have a label."""
    keep = pictures.styles >= 0
    return Stored(images=pictures.images[keep], styles=pictures.styles[keep])


def detected(figure: str, harmed: Score, healthy: Score) -> bool:
    """Whether a distance is 1.5 times as large, or a share differs by a tenth and three standard errors."""
    if METRIC_INFO[figure].kind == "distance":
        return harmed.value > 1.5 * max(healthy.value, 1e-12)
    errors = ((harmed.spread or 0.0) ** 2 + (healthy.spread or 0.0) ** 2) ** 0.5
    return abs(harmed.value - healthy.value) > max(0.1, 3 * errors)


def table(title: str, measures: Mapping[str, Measurement], figures: Sequence[str]) -> Table:
    """A row for each fault: the value, then that of random weights. Bold is detected."""

    def cell(name: str, fault: str) -> str:
        harmed, healthy = measures[fault].figures[name], measures[UNHARMED].figures[name]
        pairs = ((harmed.measured, healthy.measured), (harmed.control, healthy.control))
        return " / ".join(
            f"**{_number(score.value)}**" if detected(name, score, before) else _number(score.value)
            for score, before in pairs
            if score and before
        )

    header = ("fault", *(METRIC_INFO[name].title for name in figures))
    rows = [(fault, *(cell(name, fault) for name in figures)) for fault in measures]
    protocol = measures[UNHARMED].protocol
    images = sum(protocol["images_per_style"])
    note = f"{images:,} held-out images against {protocol['real_train_images']:,} training images."
    data = {fault: {name: each.figures[name].measured.value for name in figures}
            for fault, each in measures.items()}  # fmt: skip
    return Table(title=title, header=header, rows=rows, notes=(note,), data=data)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def run_experiment(args: SensitivityArguments) -> None:
    """Measures, and writes sensitivity.json."""
    test, train = (labelled(load_dataset(args.dataset, split)) for split in ("test", "train"))
    metrics = ("fd", "accuracy") if args.quick else METRICS
    faults = (UNHARMED, "labels exchanged") if args.quick else tuple(FAULTS)
    extractors = extractors_for([build_extractor(args.features)], metrics)
    how = Extraction(cache=user_cache(), progress=True)
    reference = load_reference(args.dataset, extractors, how=how)
    measures = measure_faults(test, train, reference, faults, metrics, how)
    known = measures[UNHARMED].figures
    tables = {
        title: table(title, measures, [name for name in names if name in known])
        for title, names in COLUMNS.items()
    }
    folder, command = results_folder(args.results, quick=args.quick), command_of("sensitivity", args)
    write_results(folder, "sensitivity", tables, machine(("torch",)), command=command)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(SensitivityArguments, run_experiment)


if __name__ == "__main__":
    main()
