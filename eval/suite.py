"""The measure: how near pictures are to the real ones, and whether they carry their style.

A `Reference` holds what the real pictures say once; `measure` takes any metrics of any pictures against it.
The same metrics are taken of held-out real pictures, and of both with the features of random weights, so
that every number stands beside its ceiling and its control. A metric that cannot be taken of these pictures
(too few, or without styles) is left out with a note, and the others are given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from brushwork.data.progress import Progress

from .errors import EvalError
from .features.cache import FeatureCache
from .features.extract import Extractor, MapExtractor, Source, extract
from .features.statistics import StyleStatistics
from .figures import FIGURES
from .measures import Measures, MetricResult, Picks, Score
from .metrics.frechet import Gaussian, frechet, gaussian_of
from .metrics.registry import DEFAULT, METRICS, View, applies, picks, require_known
from .metrics.similarity import NEIGHBOURS
from .metrics.style import PENALTY
from .processes import Processes
from .reference import Reference
from .spaces import Labelled, Space

Conditions = Mapping[str, Any]


def extractors_for(extractors: Sequence[Extractor], metrics: Sequence[str] = DEFAULT) -> list[Extractor]:
    """These extractors, and that of style statistics where a metric needs it.

    Raises EvalError for a metric that there is not, and if none of them has the feature maps that are needed.
    """
    require_known(metrics)
    if "gram" not in metrics:
        return list(extractors)
    network = next((extractor for extractor in extractors if isinstance(extractor, MapExtractor)), None)
    if network is None:
        names = ", ".join(extractor.name for extractor in extractors)
        raise EvalError(
            f"The Gram distance needs feature maps, and {names} has none: add --features efficientnet-lite0."
        )
    return [*extractors, StyleStatistics(network)]


# Measuring
def measure(
    source: Source,
    reference: Reference,
    *,
    metrics: Sequence[str] = DEFAULT,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
    label: str = "",
    conditions: Conditions = MappingProxyType({}),
) -> Measures:
    """Takes `metrics` of the pictures of `source`; several processes share the pictures, all get the result.

    `conditions` are choices made inside the source that change the numbers (truncation); they become part of
    the protocol. Where the pictures have no styles, or the real ones have none, all are of one group. Raises
    EvalError for a metric that there is not, if none can be taken, for a few pictures without a style among
    others, and for pictures larger than the real ones.
    """
    require_known(metrics)
    processes = processes or Processes()
    reference, styles = matched(reference, source.styles)
    _require_size(source.take(torch.arange(1)), reference.size)
    spaces = reference.all_spaces
    words = "pictures to measure" if progress else None
    features = extract(
        [space.extractor for space in spaces], source, cache=cache, processes=processes, progress=words
    )
    found = {
        space.extractor.name: Labelled(features=part, styles=styles)
        for space, part in zip(spaces, features, strict=True)
    }
    taken = _taken(reference.spaces, metrics, found, hidden=not (progress and processes.main))
    return Measures(
        style_names=reference.style_names,
        figures=taken.figures,
        notes=tuple(taken.notes),
        protocol=_protocol(reference, metrics, torch.bincount(styles).tolist())
        | dict(getattr(source, "how", {}))
        | dict(conditions),
        environment={"torch": torch.__version__, "processes": processes.count},
        picks=_picks(reference.spaces[0], found),
        label=label,
    )


def rehearsed(reference: Reference, metrics: Sequence[str], per_style: int) -> "Taken":
    """What can be taken of so many pictures of each style, and what cannot: training pictures stand for them.

    Raises EvalError if nothing can.
    """
    found = {space.extractor.name: space.dealt_out(per_style) for space in reference.all_spaces}
    return _taken(reference.spaces, metrics, found, hidden=True)


def measure_against(
    source: Source,
    gaussian: Gaussian,
    extractor: Extractor,
    *,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
    label: str = "",
    conditions: Conditions = MappingProxyType({}),
) -> Measures:
    """The Frechet distance to statistics that somebody published (`frechet.load_statistics`), and no more:
    without the pictures there is no ceiling, no control and no style.

    Raises EvalError where the statistics' dimension is not the extractor's.
    """
    processes = processes or Processes()
    if len(gaussian.mean) != extractor.dim:
        raise EvalError(
            f"The statistics have {len(gaussian.mean)} features and {extractor.name} {extractor.dim}: choose "
            "the --features that they were taken with."
        )
    words = "pictures to measure" if progress else None
    features = extract([extractor], source, cache=cache, processes=processes, progress=words)[0]
    score = Score(value=frechet(gaussian_of(features), gaussian))
    return Measures(
        style_names=(),
        figures={"fd": MetricResult(about=FIGURES["fd"], features=extractor.name, measured=score)},
        protocol={
            "features": {extractor.name: extractor.protocol}, "metrics": _words(["fd"]),
            "against": f"statistics of {gaussian.count or 'an unknown number of'} pictures",
            "images": len(features), **dict(getattr(source, "how", {})), **conditions,
        },
        environment={"torch": torch.__version__, "processes": processes.count},
        label=label,
    )  # fmt: skip


def matched(reference: Reference, styles: Tensor) -> tuple[Reference, Tensor]:
    """Real pictures and labels that can be compared: where either side has no styles, neither has any."""
    missing = int((styles < 0).sum())
    if missing == len(styles) or not reference.style_names:
        return reference.restricted_to(()), torch.zeros_like(styles)
    if missing:
        raise EvalError(f"{missing} images to measure have no style: give each the one it claims.")
    return reference, styles


# Figures
def scores(metric: str, features: Labelled, space: Space) -> dict[str, Score]:
    """One metric of raw features in a space, by figure. Raises EvalError where it cannot be taken."""
    return METRICS[metric].score(View(pictures=space.scaled(features), space=space))


def held_out_scores(metric: str, space: Space) -> dict[str, Score]:
    """The same of held-out real pictures; taken once."""
    if metric not in space.held_out_scores:
        space.held_out_scores[metric] = scores(metric, space.raw_test, space)
    return space.held_out_scores[metric]


def attempted(take: Callable[[], dict[str, Score]]) -> tuple[dict[str, Score], str]:
    """The scores that have a value, and why others have none."""
    try:
        found = take()
    except EvalError as error:
        return {}, str(error)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        return {}, "The eigenvalues of its matrices did not converge."
    finite = {name: score for name, score in found.items() if math.isfinite(score.value)}
    missing = [name for name in found if name not in finite]
    return finite, f"{', '.join(missing)} came out as no number." if missing else ""


@dataclass(kw_only=True)
class Taken:
    """Figures by name, and what was left out."""

    figures: dict[str, MetricResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str, why: str) -> None:
        """Once for all spaces that say the same."""
        sentence = f"{what}: {why}"
        if why and sentence not in self.notes:
            self.notes.append(sentence)


def _taken(
    spaces: Sequence[Space], metrics: Sequence[str], found: Mapping[str, Labelled], *, hidden: bool
) -> Taken:
    """Every metric in every space that it applies to. Raises EvalError if none can be taken."""
    taken = Taken()
    wanted = [(space, metric) for space in spaces for metric in metrics if applies(metric, space.extractor)]
    if wanted and len(spaces[0].raw_test.styles) == 0:
        taken.note("held-out pictures", "There are none, so no figure has its ceiling: pack a test split.")
    for space, metric in Progress(wanted, desc="figures", unit="metric", leave=False, disable=hidden):
        taken.figures |= _named(_figures(metric, space, found, taken), spaces[0])
    if wanted and not taken.figures:
        raise EvalError(f"Nothing of this can be measured. {' '.join(taken.notes)}")
    return taken


def _figures(
    metric: str, space: Space, found: Mapping[str, Labelled], taken: Taken
) -> dict[str, MetricResult]:
    measured, why = attempted(lambda: scores(metric, found[space.extractor.name], space))
    taken.note(metric, why)
    real = control = control_real = {}
    if measured and len(space.raw_test.styles):
        real, why = attempted(lambda: held_out_scores(metric, space))
        taken.note(f"{metric} of held-out pictures", why)
    beside = space.control
    if measured and beside:
        control, _ = attempted(lambda: scores(metric, found[beside.extractor.name], beside))
        if real:
            control_real, _ = attempted(lambda: held_out_scores(metric, beside))
    return {
        name: MetricResult(
            about=FIGURES[name], features=space.extractor.name, measured=score, real=real.get(name),
            control=control.get(name), control_real=control_real.get(name),
        )
        for name, score in measured.items()
    }  # fmt: skip


def _named(figures: dict[str, MetricResult], first: Space) -> dict[str, MetricResult]:
    """By metric in the first space, by metric@features in others. Style statistics belong to the first."""

    def key(name: str, figure: MetricResult) -> str:
        own = figure.features == first.extractor.name or name in ("gram", "mean_std")
        return name if own else f"{name}@{figure.features}"

    return {key(name, figure): figure for name, figure in figures.items()}


def _picks(space: Space, found: Mapping[str, Labelled]) -> Picks:
    return picks(View(pictures=space.scaled(found[space.extractor.name]), space=space))


# Protocol
def _protocol(reference: Reference, metrics: Sequence[str], images: list[int]) -> dict[str, Any]:
    controls = [space.control for space in reference.spaces if space.control]
    first = reference.spaces[0]
    return {
        "features": {space.extractor.name: space.extractor.protocol for space in reference.spaces},
        "control": {space.extractor.name: space.extractor.protocol for space in controls},
        "metrics": _words(metrics),
        "against": "the training pictures alone; the real column is the test pictures",
        "styles": list(reference.style_names),
        "real_size": list(reference.size),
        "images_per_style": images,
        "real_train_images": len(first.raw_train.styles),
        "real_test_images": len(first.raw_test.styles),
        "real_fingerprint": reference.fingerprint,
    }


def _words(metrics: Sequence[str]) -> dict[str, str]:
    """How each metric was taken, with its constants."""
    words = {
        "fd": "squared Frechet distance, covariance ddof 1, float64",
        "accuracy": f"ridge probe on one-hot styles with intercept, lambda {PENALTY:g}, on standardised "
        "features of the real training pictures; mean over the styles",
        "kid": "kernel (x.y/d + 1)^3, unbiased, 100 subsets of min(n, m, 1000), seed 2020",
        "prdc": "k = 5, strict <",
        "is": "10 splits, shuffled by seed 2020",
        "similarity": f"centred on the training pictures; CSLS over {NEIGHBOURS} neighbours",
        "gram": "means over a style of upper triangles (chw) and of channel means and deviations",
        "diversity": "mean distance of two pictures of a style (at most 20,000 pairs) over that of real ones",
        "copies": "nearest training picture, threshold the 1 % quantile of held-out pictures",
    }
    return {metric: words[metric] for metric in metrics}


def _require_size(images: Tensor, size: tuple[int, int]) -> None:
    """Larger pictures are sharper than all the real ones, and would be marked down for it.

    Smaller ones may pass: they come from a generator that is still growing, and lack what they lack.
    """
    if images.shape[2] > size[0] or images.shape[3] > size[1]:
        raise EvalError(
            f"Images of {images.shape[3]}x{images.shape[2]} pixels cannot be measured against real ones of "
            f"{size[1]}x{size[0]}: pack the data set at their resolution."
        )
