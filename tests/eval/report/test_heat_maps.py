"""Heat maps show the matrices that they are given, and their numbers can be read."""

import math

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure as Sheet

from brushwork.eval.report import heat_maps
from brushwork.eval.report.heat_maps import confusion_maps, similarity_maps
from brushwork.eval.results import METRIC_INFO, MetricResult, Score

NAMES = ("flat", "round")


def figure(
    name: str, measured: tuple[tuple[float, ...], ...], real: tuple[tuple[float, ...], ...]
) -> MetricResult:
    return MetricResult(
        about=METRIC_INFO[name], features="net", measured=Score(value=1.0, matrix=measured),
        real=Score(value=1.0, matrix=real) if real else None,
    )  # fmt: skip


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    kept: list[Sheet] = []

    def keep(sheet: Sheet) -> bytes:
        kept.append(sheet)
        return b""

    monkeypatch.setattr(heat_maps, "png", keep)
    return kept


def test_confusion_is_shown_beside_the_real_one(sheets: list[Sheet]) -> None:
    confusion_maps(figure("accuracy", ((0.25, 0.75), (1.0, 0.0)), ((0.9, 0.1), (0.004, 0.996))), NAMES)
    left, right = sheets[0].axes
    assert np.asarray(left.images[0].get_array()).tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert np.asarray(right.images[0].get_array()).tolist() == [[0.9, 0.1], [0.004, 0.996]]
    assert [image.get_clim() for axes in (left, right) for image in axes.images] == [(0, 1), (0, 1)]
    assert [text.get_text() for text in left.texts] == ["25", "75", "100"]
    assert [text.get_text() for text in right.texts] == ["90", "10", "100"]  # 0.4 % is left to the colour
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["Measured", "Held-out real pictures"]


def test_similarities_share_a_scale_that_zero_is_the_middle_of(sheets: list[Sheet]) -> None:
    similarity_maps(figure("csls", ((0.1, -0.4), (-0.2, 0.2)), ((0.3, -0.1), (0.0, 0.3))), NAMES)
    left, right, bar = sheets[0].axes
    assert [axes.images[0].get_clim() for axes in (left, right)] == [(-0.4, 0.4)] * 2
    assert [text.get_text() for text in left.texts] == ["0.10", "−0.40", "−0.20", "0.20"]
    assert bar.get_ylim() == (-0.4, 0.4)


def test_distances_begin_at_zero_and_dark_is_near(sheets: list[Sheet]) -> None:
    similarity_maps(figure("gram", ((0.01, 0.5), (0.5, 0.01)), ()), NAMES)
    axes = sheets[0].axes[0]
    assert axes.images[0].get_clim() == (0, 0.5)
    near, far = axes.images[0].to_rgba(np.array([0.01, 0.5]))[:, :3].sum(axis=1)
    assert near < far
    assert [text.get_text() for text in axes.texts] == ["0.010", "0.500", "0.500", "0.010"]


def test_many_styles_stand_below_each_other_without_numbers(sheets: list[Sheet]) -> None:
    matrix = tuple(tuple(1 / 30 for _ in range(30)) for _ in range(30))
    confusion_maps(figure("accuracy", matrix, matrix), tuple(f"style {i}" for i in range(30)))
    above, below, bar = sheets[0].axes
    assert above.get_position().y0 > below.get_position().y0
    assert len(above.texts) == 0
    assert bar.get_ylim() == (0, 1)


def test_missing_styles_and_nothing_but_zeros_are_drawn() -> None:
    gap = ((math.nan, math.nan), (0.5, 0.5))
    assert confusion_maps(figure("accuracy", gap, gap), NAMES).startswith(b"\x89PNG")
    zeros = ((0.0, 0.0), (0.0, 0.0))
    assert similarity_maps(figure("gram", zeros, ()), NAMES).startswith(b"\x89PNG")


@pytest.mark.parametrize("colours", ["Blues", "Blues_r", "RdBu"])
def test_numbers_can_be_read_on_every_colour(colours: str) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 : 1."""
    for step in range(101):
        rgba = matplotlib.colormaps[colours](step / 100)
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgba[:3]]
        ground = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        ink = 1.0 if heat_maps.readable_on(rgba) == "white" else 0.0
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5
