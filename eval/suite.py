"""The suite: any metrics of any images against the real images of a `Reference`.

Every metric is also taken of held-out real images, and of both sets in the features of random weights, so
that each value has its ceiling and its control. A metric that cannot be taken of these images (too few, or
without styles) is left out with a note.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .errors import EvalError
from .features.extract import PLAIN, Extraction, Extractor, MapExtractor, Source, extract
from .features.statistics import StyleStatistics
from .metrics.frechet import Gaussian, frechet, gaussian_of
from .metrics.registry import DEFAULT, METRICS, View, applies, picks, require_known
from .reference import Labelled, Reference, Space
from .results import METRIC_INFO, Measurement, MetricResult, Score


def extractors_for(extractors: Sequence[Extractor], metrics: Sequence[str] = DEFAULT) -> list[Extractor]:
    """Returns these extractors, and the one of style statistics if a metric needs it.

    Raises EvalError for an unknown metric, for one of features that none of these has, and if style
    statistics are needed but no extractor has maps.
    """
    require_known(metrics)
    if "cmmd" in metrics and not any(applies("cmmd", extractor) for extractor in extractors):
        raise EvalError("cmmd is taken of CLIP's features: add --features clip.")
    if "gram" not in metrics:
        return list(extractors)
    return [*extractors, StyleStatistics(map_extractor(extractors, "The Gram distance"))]


def map_extractor(extractors: Sequence[Extractor], what: str) -> MapExtractor:
    """Returns the first extractor with feature maps, which `what` needs. Raises EvalError if none has any."""
    for extractor in extractors:
        if isinstance(extractor, MapExtractor):
            return extractor
    names = ", ".join(extractor.name for extractor in extractors)
    raise EvalError(f"{what} needs feature maps, and {names} has none: add --features efficientnet-lite0.")


# Measuring
def measure(
    source: Source,
    reference: Reference,
    *,
    metrics: Sequence[str] = DEFAULT,
    how: Extraction = PLAIN,
) -> Measurement:
    """Takes `metrics` of the images of `source`. Several processes share the images; each gets all results.

    If either side has no styles, all images form one group.

    Raises EvalError for an unknown metric, if no metric can be taken, for some images without a style among
    others with one, and for images larger than the real ones.
    """
    require_known(metrics)
    reference, styles = _matched(reference, source.styles)
    _require_size(source.take(torch.arange(1)), reference.size)
    everyone = [space.extractor for space in reference.all_spaces]
    features = extract(everyone, source, how, "images to measure")
    images = {
        extractor.name: Labelled(features=part, styles=styles)
        for extractor, part in zip(everyone, features, strict=True)
    }
    first = reference.spaces[0]
    results = _results(reference.spaces, metrics, images)
    protocol = _protocol(reference, metrics, torch.bincount(styles).tolist())
    return Measurement(
        style_names=reference.style_names, figures=results.figures, notes=tuple(results.notes),
        protocol={**protocol, **source.protocol},
        environment={"torch": torch.__version__, "processes": how.processes.count},
        picks=picks(View(images=first.scaled(images[first.extractor.name]), space=first)),
    )  # fmt: skip


def rehearsed(reference: Reference, metrics: Sequence[str], per_style: int) -> "Results":
    """Returns results for `per_style` training images of each style, which show what can be taken of so many
    samples. Raises EvalError if no metric can be taken."""
    images = {space.extractor.name: space.rehearsal(per_style) for space in reference.all_spaces}
    return _results(reference.spaces, metrics, images)


def measure_against(
    source: Source, gaussian: Gaussian, extractor: Extractor, how: Extraction = PLAIN
) -> Measurement:
    """Takes the Frechet distance to published statistics (`frechet.load_statistics`).

    Without the real images there is no other metric, no ceiling, no control and no style. Raises EvalError
    if the dimension of the statistics is not the extractor's.
    """
    features = extract([extractor], source, how, "images to measure")[0]
    score = Score(value=frechet(gaussian_of(features), gaussian))
    return Measurement(
        style_names=(),
        figures={"fd": MetricResult(about=METRIC_INFO["fd"], features=extractor.name, measured=score)},
        protocol={
            "features": {extractor.name: extractor.protocol}, "metrics": {"fd": METRICS["fd"].protocol},
            "against": f"statistics of {gaussian.count or 'an unknown number of'} images",
            "images": len(features), **source.protocol,
        },
        environment={"torch": torch.__version__, "processes": how.processes.count},
    )  # fmt: skip


def _matched(reference: Reference, styles: Tensor) -> tuple[Reference, Tensor]:
    """Returns reference and labels without styles, if either side has none."""
    missing = int((styles < 0).sum())
    if missing == len(styles) or not reference.style_names:
        return reference.restricted_to(()), torch.zeros_like(styles)
    if missing:
        raise EvalError(f"{missing} images to measure have no style: give each the one it claims.")
    return reference, styles


def _require_size(images: Tensor, size: tuple[int, int]) -> None:
    """Refuses larger images, sharper than all real ones. A generator that still grows gives smaller ones."""
    if images.shape[2] > size[0] or images.shape[3] > size[1]:
        raise EvalError(
            f"Images of {images.shape[3]}x{images.shape[2]} pixels cannot be measured against real ones of "
            f"{size[1]}x{size[0]}: pack the data set at their resolution."
        )


def with_metric(
    measurement: Measurement, metric: str, protocol: str, figures: Mapping[str, MetricResult]
) -> Measurement:
    """Returns the measurement with the results of one metric more, and its protocol."""
    metrics = {**measurement.protocol.get("metrics", {}), metric: protocol}
    both = {**measurement.protocol, "metrics": metrics}
    return replace(measurement, figures={**measurement.figures, **figures}, protocol=both)


def _protocol(reference: Reference, metrics: Sequence[str], images: list[int]) -> dict[str, Any]:
    first, spaces = reference.spaces[0], reference.spaces
    controls = [space.control.extractor for space in spaces if space.control]
    return {
        "features": {space.extractor.name: space.extractor.protocol for space in spaces},
        "features_that_hardly_vary": {
            space.extractor.name: f"{space.scale.left_out} of {space.extractor.dim}, left out"
            for space in reference.all_spaces
            if space.scale.left_out
        },
        "control": {extractor.name: extractor.protocol for extractor in controls},
        "metrics": {metric: METRICS[metric].protocol for metric in metrics},
        "against": "the training images alone; the real column is the test images",
        "styles": list(reference.style_names),
        "real_size": list(reference.size),
        "images_per_style": images,
        "real_train_images": len(first.raw_train.styles),
        "real_test_images": len(first.raw_test.styles),
        "real_fingerprint": reference.fingerprint,
    }


# Scores
def scores(metric: str, images: Labelled, space: Space) -> dict[str, Score]:
    """Returns scores of raw features in a space, by name. Raises EvalError if they cannot be taken."""
    return METRICS[metric].score(View(images=space.scaled(images), space=space))


def _held_out_scores(metric: str, space: Space) -> dict[str, Score]:
    if metric not in space.held_out_scores:
        space.held_out_scores[metric] = scores(metric, space.raw_test, space)
    return space.held_out_scores[metric]


@dataclass(kw_only=True)
class Results:
    """Results by name, and notes about what was left out, each once for all spaces."""

    figures: dict[str, MetricResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str, why: str) -> None:
        if (sentence := f"{what}: {why}") not in self.notes:
            self.notes.append(sentence)

    def attempt(self, what: str, score: Callable[[], dict[str, Score]]) -> dict[str, Score]:
        """Returns the finite scores, and notes why others are missing."""
        try:
            values = score()
        except EvalError as error:
            self.note(what, str(error))
            return {}
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            self.note(what, "The eigenvalues of its matrices did not converge.")
            return {}
        finite = {name: score for name, score in values.items() if math.isfinite(score.value)}
        if missing := [name for name in values if name not in finite]:
            self.note(what, f"{', '.join(missing)} came out as no number.")
        return finite


def _results(spaces: Sequence[Space], metrics: Sequence[str], images: Mapping[str, Labelled]) -> Results:
    """Takes every metric in every space that it applies to. Raises EvalError if none can be taken."""
    results = Results()
    pairs = [(space, metric) for space in spaces for metric in metrics if applies(metric, space.extractor)]
    if pairs and len(spaces[0].raw_test.styles) == 0:
        results.note("held-out images", "There are none, so no figure has its ceiling: pack a test split.")
    for space, metric in pairs:
        for name, result in _metric_results(metric, space, images, results).items():
            # Style statistics count as features of the first extractor.
            own = space is spaces[0] or isinstance(space.extractor, StyleStatistics)
            results.figures[name if own else f"{name}@{result.features}"] = result
    if pairs and not results.figures:
        raise EvalError(f"Nothing of this can be measured. {' '.join(results.notes)}")
    return results


def _metric_results(
    metric: str, space: Space, images: Mapping[str, Labelled], results: Results
) -> dict[str, MetricResult]:
    beside, unnoted = space.control, Results()
    real = control = control_real = {}
    measured = results.attempt(metric, lambda: scores(metric, images[space.extractor.name], space))
    if measured and len(space.raw_test.styles):
        real = results.attempt(f"{metric} of held-out images", lambda: _held_out_scores(metric, space))
    if measured and beside:
        control = unnoted.attempt(metric, lambda: scores(metric, images[beside.extractor.name], beside))
        if real:
            control_real = unnoted.attempt(metric, lambda: _held_out_scores(metric, beside))
    return {
        name: MetricResult(
            about=METRIC_INFO[name], features=space.extractor.name, measured=score, real=real.get(name),
            control=control.get(name), control_real=control_real.get(name),
        )
        for name, score in measured.items()
    }  # fmt: skip
