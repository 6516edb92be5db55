"""The results: each figure beside its ceiling and its control, and all of a measurement with its protocol."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Int64
from torch import Tensor

from .collapse import COLLAPSED, one_picture

Better = Literal["less", "more"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one set of pictures. Per-style entries and rows of `matrix` follow the style names."""

    value: float
    per_style: tuple[float, ...] = ()
    spread: float | None = None
    """How far `value` would scatter if it were taken again; which kind, the metric's description says."""
    matrix: tuple[tuple[float, ...], ...] = ()
    """Style claimed by style compared with, where the metric has one: confusion, similarity, distance."""

    def to_json(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"value": _plain(self.value)}
        if self.spread is not None:
            parts["spread"] = _plain(self.spread)
        if self.per_style:
            parts["per_style"] = [_entry(value) for value in self.per_style]
        if self.matrix:
            parts["matrix"] = [[_entry(value) for value in row] for row in self.matrix]
        return parts


@dataclass(frozen=True, kw_only=True)
class About:
    """What a figure is, whatever it is taken of."""

    title: str
    better: Better
    kind: Literal["distance", "share"]
    """A distance has a scale of its own in every feature space; a share means the same in all."""
    note: str
    """One sentence for the report: what it says, and what its spread is."""


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric in one feature space: of what was measured, and of what it has to be read against."""

    about: About
    features: str
    """Name of the feature extractor."""
    measured: Score
    real: Score | None = None
    """The same of held-out real pictures: what a perfect generator would reach."""
    control: Score | None = None
    """The same in the features of random weights: what no learnt perception is needed for."""
    control_real: Score | None = None
    baselines: Mapping[str, Score] = field(default_factory=dict)
    """What trivial answers score, by name; figures of pairs have them."""

    @property
    def control_matches(self) -> bool:
        """Whether random weights show as much: then the figure is no evidence of learnt perception.

        Shares are compared as they are, within two standard errors. Distances differ in scale from space to
        space, so how many times the held-out real pictures' distance they are is compared, within 5 %.

        A share below half of the real pictures' is a finding of its own, which no control excuses: recall 0
        where real pictures have 0.6 is a collapse, whatever random weights see.
        """
        if self.control is None or self._far_below_real:
            return False
        if self.about.kind == "share":
            slack = 2 * math.hypot(self.measured.spread or 0.0, self.control.spread or 0.0)
            return abs(self.measured.value - self.control.value) <= slack
        if self.real is None or self.control_real is None:
            return False
        if min(self.real.value, self.control_real.value) <= 0:  # an unbiased estimate of next to nothing
            return False
        ratio = self.measured.value / self.real.value
        return self.control.value / self.control_real.value >= 0.95 * ratio > 0.95

    @property
    def _far_below_real(self) -> bool:
        shares = self.about.kind == "share" and self.about.better == "more"
        return shares and self.real is not None and self.measured.value < self.real.value / 2

    def worst(self) -> int | None:
        """Index of the style that comes out worst; None without styles."""
        values = self.measured.per_style
        if not values or any(math.isnan(value) for value in values):
            return None
        return values.index(max(values) if self.about.better == "less" else min(values))

    def to_json(self, style_names: tuple[str, ...]) -> dict[str, Any]:
        worst = self.worst()
        scores = {"measured": self.measured, "real": self.real, "control": self.control,
                  "control_real": self.control_real}  # fmt: skip
        return {
            "title": self.about.title,
            "better": self.about.better,
            "features": self.features,
            **{name: score.to_json() for name, score in scores.items() if score is not None},
            "baselines": {name: score.to_json() for name, score in self.baselines.items()},
            "worst_style": None if worst is None else style_names[worst],
            "control_matches": self.control_matches,
        }


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Some scores at one setting of a knob."""

    x: float
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Picks:
    """Pictures worth looking at, as indices into what was measured: best and worst of each style by the
    probe's margin, and those nearest to a training picture with the index of that one."""

    best: tuple[Int64[Tensor, "_k"], ...]
    worst: tuple[Int64[Tensor, "_k"], ...]
    nearest: Int64[Tensor, "k"]
    nearest_train: Int64[Tensor, "k"]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """A measurement. Two of them may be compared if their protocols are equal (see `compare`).

    `figures` by name: a metric in the first evaluator's features has the metric's own name (`fd`), in
    others' it is followed by theirs (`fd@inception`).
    """

    style_names: tuple[str, ...]
    figures: Mapping[str, MetricResult]
    protocol: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What should not matter and may still be wanted: versions, device. No part of the protocol."""
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    picks: Picks | None = None
    label: str = ""
    """What was measured, in words: no part of the protocol."""
    notes: tuple[str, ...] = ()
    """What was left out, and why: metrics that cannot be taken, pictures that cannot be read."""

    @property
    def warning(self) -> str:
        """Which styles draw one picture, by their diversity; nothing where none does."""
        diversity = self.figures.get("diversity")
        shares = diversity.measured.per_style if diversity else ()
        collapsed = [
            name for name, share in zip(self.style_names, shares, strict=bool(shares)) if share < COLLAPSED
        ]
        return one_picture(collapsed, len(self.style_names))

    def summary(self) -> dict[str, float]:
        """The floats that a curve over training shows: each figure, its mean and worst over the styles."""
        values: dict[str, float] = {}
        for name, figure in self.figures.items():
            values[name] = figure.measured.value
            worst = figure.worst()
            if worst is not None:
                per_style = figure.measured.per_style
                values[f"{name}_style_mean"] = sum(per_style) / len(per_style)
                values[f"{name}_worst_style"] = per_style[worst]
        return values

    def to_json(self) -> dict[str, Any]:
        """Everything but the picks, as plain values."""
        return {
            "label": self.label,
            "warning": self.warning,
            "notes": list(self.notes),
            "protocol": dict(self.protocol),
            "environment": dict(self.environment),
            "style_names": list(self.style_names),
            "figures": {name: figure.to_json(self.style_names) for name, figure in self.figures.items()},
            "curves": {
                name: [{"x": point.x, **point.scores} for point in points]
                for name, points in self.curves.items()
            },
        }


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else value


def _entry(value: float) -> float | None:
    """Of one style: without pictures it has none."""
    return value if math.isfinite(value) else None
