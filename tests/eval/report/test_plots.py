"""Plots show the figures that they are given, read off the drawing before it becomes pixels."""

import math

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from brushwork.eval.report import plots
from brushwork.eval.report.plots import bars, confusion, curve, training_curves, worst_first
from brushwork.eval.results import METRIC_INFO, CurvePoint, MetricResult, Score

NAMES = ("flat", "round", "sketch")
Matrix = tuple[tuple[float, ...], ...]
HISTORY = [
    {"nimg": 0, "loss": 3.0},
    {"nimg": 1000, "fd": 900.0, "fd_style_mean": 1100.0, "fd_worst_style": 1500.0, "accuracy": 0.2},
    {"nimg": 2000, "fd": 500.0, "fd_style_mean": 700.0, "fd_worst_style": 900.0, "accuracy": 0.4},
    {"nimg": 3000, "fd": 600.0, "fd_style_mean": 800.0, "fd_worst_style": 950.0, "accuracy": 0.3},
]


def figure(
    name: str, *per_style: float, real: tuple[float, ...] = (), matrix: Matrix = (), real_matrix: Matrix = ()
) -> MetricResult:
    return MetricResult(
        about=METRIC_INFO[name], features="net",
        measured=Score(value=1.0, per_style=per_style, matrix=matrix),
        real=Score(value=1.0, per_style=real, matrix=real_matrix) if real or real_matrix else None,
    )  # fmt: skip


def points_of(line: Line2D) -> list[list[float]]:
    return np.asarray(line.get_xydata()).tolist()


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """The plots before they become pixels."""
    kept: list[Sheet] = []
    monkeypatch.setattr(plots, "png", lambda sheet: kept.append(sheet) or b"")
    return kept


@pytest.mark.parametrize(
    ("name", "values", "order"),
    [("fd", (2.0, 3.0, 1.0), [1, 0, 2]), ("accuracy", (0.2, 0.3, 0.1), [2, 0, 1]),
     ("fd", (math.nan, 3.0, 1.0), [1, 2, 0]), ("accuracy", (math.nan, 0.3, 0.1), [2, 1, 0])],
)  # fmt: skip
def test_the_worst_style_is_first(name: str, values: tuple[float, ...], order: list[int]) -> None:
    assert worst_first(figure(name, *values)) == order


def test_bars_have_values_names_and_marks(sheets: list[Sheet]) -> None:
    bars([figure("fd", 2.0, 3.0, 1.0, real=(0.5, 0.25, 0.75))], NAMES, [1, 0, 2])
    axes = sheets[0].axes[0]
    assert [bar.get_width() for bar in axes.containers[0]] == [3.0, 2.0, 1.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["round", "flat", "sketch"]
    marks = next(part for part in axes.collections if isinstance(part, LineCollection))
    assert [segment[0][0] for segment in marks.get_segments()] == [0.25, 0.5, 0.75]
    assert [text.get_text() for text in axes.texts] == ["3.00", "2.00", "1.00"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top


def test_panels_share_one_order(sheets: list[Sheet]) -> None:
    bars([figure("recall", 0.1, 0.2, 0.3), figure("kid", 4.0, 5.0, 6.0)], NAMES, [2, 0, 1])
    left, right = sheets[0].axes
    assert [bar.get_width() for bar in left.containers[0]] == [0.3, 0.1, 0.2]
    assert [bar.get_width() for bar in right.containers[0]] == [6.0, 4.0, 5.0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["sketch", "flat", "round"]
    assert (left.get_xlabel(), right.get_xlabel()) == ("more is better", "less is better")
    bars([figure("recall", 0.1, 0.2, 0.3)] * 4, NAMES, [0, 1, 2])
    assert [axes.axison for axes in sheets[1].axes] == [True] * 4 + [False] * 2, "surplus places stay empty"


def test_a_curve_has_a_panel_each(sheets: list[Sheet]) -> None:
    curve([CurvePoint(x=x, scores={"fd": 100 - 50 * x, "recall": x / 4}) for x in (0.5, 1.0)], "psi")
    left, right = sheets[0].axes
    assert [points_of(line) for line in left.lines] == [[[0.5, 75.0], [1.0, 50.0]]]
    assert [points_of(line) for line in right.lines] == [[[0.5, 0.125], [1.0, 0.25]]]
    assert [text.get_text() for text in left.texts] == ["75.0", "50.0"]
    assert left.get_xlabel() == "psi"
    assert list(left.get_xticks()) == [0.5, 1.0]


def test_training_curves_mark_the_best_point(sheets: list[Sheet]) -> None:
    training_curves(HISTORY)
    found = {axes.get_title(loc="left"): axes for axes in sheets[0].axes}
    assert set(found) == {"Frechet distance", "style accuracy"}
    for title, best in (("Frechet distance", [2.0, 500.0]), ("style accuracy", [2.0, 0.4])):
        ring = next(line for line in found[title].lines if line.get_fillstyle() == "none")
        assert points_of(ring) == [best]
    lines = found["Frechet distance"].lines
    assert [points_of(line)[0] for line in lines[:3]] == [[1.0, 1100.0], [1.0, 1500.0], [1.0, 900.0]]
    assert points_of(found["style accuracy"].lines[0]) == [[1.0, 0.2], [2.0, 0.4], [3.0, 0.3]]


def test_baselines_lie_across_the_panel_of_restyled_pictures(sheets: list[Sheet]) -> None:
    """They are in the log once, and as often again as the run was resumed."""
    baselines = {"restyled_truth_unchanged": 0.5}
    training_curves([
        {"nimg": 1000, "restyled_truth": 0.9, "restyled_nearer_truth": 0.1, **baselines},
        {"nimg": 2000, "restyled_truth": 0.4, "restyled_nearer_truth": 0.3},
        {"nimg": 3000, "restyled_truth": 0.6, "restyled_nearer_truth": 0.2, **baselines},
    ])  # fmt: skip
    truth, nearer = sheets[0].axes
    assert truth.get_title(loc="left") == "restyled: distance to the\nreal drawing"
    lines = {str(line.get_label()): line for line in truth.lines}
    assert np.unique(np.asarray(lines["content unchanged"].get_ydata())) == 0.5
    assert points_of(next(line for line in truth.lines if line.get_fillstyle() == "none")) == [[2.0, 0.4]]
    assert points_of(next(line for line in nearer.lines if line.get_fillstyle() == "none")) == [[2.0, 0.3]]
    assert len(nearer.lines) == 2, "it has no baselines"


def test_confusion_is_shown_beside_the_real_one(sheets: list[Sheet]) -> None:
    measured, real = ((0.25, 0.75), (1.0, 0.0)), ((0.9, 0.1), (0.004, 0.996))
    confusion(figure("accuracy", matrix=measured, real_matrix=real), NAMES[:2])
    left, right = sheets[0].axes
    for axes, matrix in ((left, measured), (right, real)):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), matrix)
    assert [axes.images[0].get_clim() for axes in (left, right)] == [(0, 1), (0, 1)]
    assert [text.get_text() for text in left.texts] == ["25", "75", "100"]
    assert [text.get_text() for text in right.texts] == ["90", "10", "100"]  # 0.4 % is left to the colour
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["Measured", "Held-out real images"]


def test_shares_of_a_style_without_pictures_are_left_out(sheets: list[Sheet]) -> None:
    confusion(figure("accuracy", matrix=((math.nan, math.nan), (0.0, 1.0))), NAMES[:2])
    assert [text.get_text() for text in sheets[0].axes[0].texts] == ["100"]
