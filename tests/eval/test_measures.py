"""Results: which control counts as a match, which style is worst, what goes into JSON and logs."""

import json
import math
from dataclasses import replace

import pytest

from brushwork.eval.measures import About, Better, CurvePoint, Measures, MetricResult, Score

SHARE = About(title="a share", better="more", kind="share", note="")
DISTANCE = About(title="a distance", better="less", kind="distance", note="")


def share(measured: float, control: float, spread: float = 0.01) -> MetricResult:
    scores = (Score(value=value, spread=spread) for value in (measured, control))
    return MetricResult(about=SHARE, features="f", measured=next(scores), control=next(scores))


def distance(measured: float, real: float, control: float, control_real: float) -> MetricResult:
    values = (Score(value=float(value)) for value in (measured, real, control, control_real))
    return MetricResult(
        about=DISTANCE, features="f", measured=next(values), real=next(values), control=next(values),
        control_real=next(values),
    )  # fmt: skip


# The control
def test_a_share_matches_within_two_errors() -> None:
    assert share(0.5, 0.52).control_matches  # two of sqrt(2) hundredths
    assert not share(0.5, 0.53).control_matches
    assert not share(0.5, 0.47).control_matches


def test_a_distance_matches_by_how_often_it_is_that_of_real_pictures() -> None:
    """Whatever the scale of either space."""
    assert distance(800, 100, 0.8, 0.1).control_matches
    assert distance(800, 100, 2.0, 0.1).control_matches  # sees even more
    assert not distance(800, 100, 0.4, 0.1).control_matches
    assert not distance(800, 100, 0.4, -0.1).control_matches  # nothing to be a multiple of
    assert not distance(100, 100, 0.1, 0.1).control_matches  # at the ceiling, there is nothing to see


def test_no_control_excuses_a_share_far_below_the_real_one() -> None:
    def recall(measured: float, real: float, control: float) -> MetricResult:
        figure = share(measured, control)
        return replace(figure, real=Score(value=real))

    assert not recall(0.0, 0.6, 0.0).control_matches, "a collapse, whatever random weights see"
    assert not recall(0.29, 0.6, 0.29).control_matches
    assert recall(0.31, 0.6, 0.31).control_matches
    assert recall(0.0, 0.0, 0.0).control_matches


def test_without_a_control_nothing_matches() -> None:
    assert not MetricResult(about=SHARE, features="f", measured=Score(value=1.0)).control_matches
    lonely = MetricResult(about=DISTANCE, features="f", measured=Score(value=1.0), control=Score(value=1.0))
    assert not lonely.control_matches


# Styles
@pytest.mark.parametrize(("better", "worst"), [("less", 1), ("more", 2)])
def test_the_worst_style_depends_on_the_direction(better: Better, worst: int) -> None:
    about = About(title="", better=better, kind="distance", note="")
    score = Score(value=2.0, per_style=(2.0, 3.0, 1.0))
    assert MetricResult(about=about, features="f", measured=score).worst() == worst


def test_a_style_without_pictures_makes_none_the_worst() -> None:
    score = Score(value=2.0, per_style=(2.0, math.nan))
    assert MetricResult(about=SHARE, features="f", measured=score).worst() is None


def measures() -> Measures:
    score = Score(value=3.0, per_style=(2.0, 4.0), spread=0.5, matrix=((0.0, math.nan), (1.0, 2.0)))
    figure = MetricResult(
        about=DISTANCE, features="f", measured=score, baselines={"nothing": Score(value=9.0)}
    )
    return Measures(
        style_names=("a", "b"), figures={"fd": figure}, protocol={"n": 2}, label="words",
        curves={"truncation": (CurvePoint(x=0.5, scores={"fd": 7.0}),)},
    )  # fmt: skip


def test_styles_that_draw_one_picture_are_named() -> None:
    def warning(*shares: float) -> str:
        diversity = MetricResult(about=SHARE, features="f", measured=Score(value=0.5, per_style=shares))
        names = tuple("abcdefgh"[: len(shares)])
        return Measures(style_names=names, figures={"diversity": diversity}, protocol={}).warning

    assert warning(0.9, 0.5) == ""
    assert warning(0.9, 0.49) == "1 of 2 styles draws one picture: b"
    assert warning(0.1, 0.9, 0.2) == "2 of 3 styles draw one picture: a, c"
    assert warning(*[0.1] * 7, 1.0) == "7 of 8 styles draw one picture: a, b, c, d and 3 more"
    assert measures().warning == "", "nothing is said where diversity was not measured"


def test_summary_is_flat() -> None:
    assert measures().summary() == {"fd": 3.0, "fd_style_mean": 3.0, "fd_worst_style": 4.0}


def test_json_is_plain_and_has_no_nan() -> None:
    found = json.loads(json.dumps(measures().to_json(), allow_nan=False))
    assert found["figures"]["fd"]["measured"] == {
        "value": 3.0, "spread": 0.5, "per_style": [2.0, 4.0], "matrix": [[0.0, None], [1.0, 2.0]],
    }  # fmt: skip
    assert found["figures"]["fd"]["worst_style"] == "b"
    assert found["figures"]["fd"]["baselines"]["nothing"]["value"] == 9.0
    assert found["curves"] == {"truncation": [{"x": 0.5, "fd": 7.0}]}
