"""Results: matching controls, the worst style, JSON and logs."""

import json
import math

import pytest

from brushwork.eval import results
from brushwork.eval.results import METRIC_INFO, CurvePoint, Measurement, MetricInfo, MetricResult, Score

SHARE, DISTANCE = results.share("a share", ""), results.distance("a distance", "")


@pytest.mark.parametrize(
    ("measured", "control", "real", "matches"),
    [
        (0.5, 0.52, None, True),  # two of sqrt(2) hundredths
        (0.5, 0.53, None, False),
        (0.5, 0.47, None, False),
        (0.0, 0.0, 0.6, False),  # no control explains a collapse
        (0.29, 0.29, 0.6, False),
        (0.31, 0.31, 0.6, True),
        (0.0, 0.0, 0.0, True),
    ],
)
def test_a_share_matches_within_two_errors_and_not_far_below_the_ceiling(
    measured: float, control: float, real: float | None, matches: bool
) -> None:
    result = MetricResult(
        about=SHARE, features="f", measured=Score(value=measured, spread=0.01),
        control=Score(value=control, spread=0.01), real=None if real is None else Score(value=real),
    )  # fmt: skip
    assert result.control_matches is matches


@pytest.mark.parametrize(
    ("control_real", "matches"), [(0.84, True), (0.82, True), (0.75, False), (0.95, False)]
)
def test_a_share_matches_only_if_the_control_misses_as_much(control_real: float, matches: bool) -> None:
    """.75 of a ceiling of .84: a control that gives real images .75, too, sees no difference."""
    measured, real, control = (Score(value=value, spread=0.01) for value in (0.75, 0.84, 0.75))
    result = MetricResult(
        about=SHARE, features="f", measured=measured, real=real, control=control,
        control_real=Score(value=control_real),
    )  # fmt: skip
    assert result.control_matches is matches


def test_a_fault_that_is_nowhere_is_not_excused() -> None:
    none = Score(value=0.0, spread=0.0)
    about = METRIC_INFO["copies"]
    assert about.better == "less"
    result = MetricResult(
        about=about, features="f", measured=none, real=none, control=none, control_real=none
    )
    assert not result.control_matches


@pytest.mark.parametrize(
    ("scores", "matches"),
    [
        ((800, 100, 0.8, 0.1), True),
        ((800, 100, 2.0, 0.1), True),  # the control sees even more
        ((800, 100, 0.4, 0.1), False),
        ((800, 100, 0.4, -0.1), False),  # there is no ratio to a negative estimate
        ((100, 100, 0.1, 0.1), False),  # at the ceiling there is no difference to see
    ],
)
def test_a_distance_matches_by_its_ratio_to_that_of_real_images(
    scores: tuple[float, ...], matches: bool
) -> None:
    measured, real, control, control_real = (Score(value=float(value)) for value in scores)
    result = MetricResult(
        about=DISTANCE, features="f", measured=measured, real=real, control=control, control_real=control_real
    )
    assert result.control_matches is matches


@pytest.mark.parametrize(
    ("about", "per_style", "worst"),
    [(DISTANCE, (2.0, 3.0, 1.0), 1), (SHARE, (2.0, 3.0, 1.0), 2), (SHARE, (2.0, math.nan), None)],
)
def test_the_worst_style(about: MetricInfo, per_style: tuple[float, ...], worst: int | None) -> None:
    score = Score(value=2.0, per_style=per_style)
    assert MetricResult(about=about, features="f", measured=score).worst() == worst


def measurement() -> Measurement:
    score = Score(value=3.0, per_style=(2.0, 4.0), spread=0.5, matrix=((0.0, math.nan), (1.0, 2.0)))
    figure = MetricResult(
        about=DISTANCE, features="f", measured=score, baselines={"nothing": Score(value=9.0)}
    )
    return Measurement(
        style_names=("a", "b"), figures={"fd": figure}, protocol={"n": 2}, label="words",
        curves={"truncation": (CurvePoint(x=0.5, scores={"fd": 7.0}),)},
    )  # fmt: skip


def test_collapsed_styles_are_named() -> None:
    def warning(*shares: float) -> str:
        diversity = MetricResult(about=SHARE, features="f", measured=Score(value=0.5, per_style=shares))
        names = tuple("abcdefgh"[: len(shares)])
        return Measurement(style_names=names, figures={"diversity": diversity}, protocol={}).warning

    assert warning(0.9, 0.5) == ""
    assert warning(0.9, 0.49) == "1 of 2 styles draws one image: b"
    assert warning(0.1, 0.9, 0.2) == "2 of 3 styles draw one image: a, c"
    assert warning(*[0.1] * 7, 1.0) == "7 of 8 styles draw one image: a, b, c, d and 3 more"
    assert measurement().warning == ""


def test_summary_and_json_are_plain() -> None:
    """JSON has no NaN."""
    assert measurement().summary() == {"fd": 3.0, "fd_style_mean": 3.0, "fd_worst_style": 4.0}
    found = json.loads(json.dumps(measurement().to_json(), allow_nan=False))
    assert found["figures"]["fd"]["measured"] == {
        "value": 3.0, "spread": 0.5, "per_style": [2.0, 4.0], "matrix": [[0.0, None], [1.0, 2.0]],
    }  # fmt: skip
    assert found["label"] == "words"
    assert found["figures"]["fd"]["worst_style"] == "b"
    assert found["figures"]["fd"]["baselines"]["nothing"]["value"] == 9.0
    assert found["curves"] == {"truncation": [{"x": 0.5, "fd": 7.0}]}


@pytest.mark.parametrize(
    ("about", "first", "second", "told"),
    [
        (DISTANCE, (800, 400), (300, 100), False),  # 2 times the real distance and 3 times
        (DISTANCE, (800, 400), (500, 100), True),
        (SHARE, (0.0, 0.6), (0.3, 0.6), True),
        (SHARE, (0.01, 0.6), (0.05, 0.6), False),  # both are bad
        (DISTANCE, (1, -0.1), (5, 0.1), False),  # an unbiased estimate may be negative
        (results.share("copies", "", better="less"), (0.2, 0.01), (0.01, 0.01), False),
    ],
)
def test_evaluators_disagree_where_one_sees_twice_as_much(
    about: MetricInfo, first: tuple[float, float], second: tuple[float, float], told: bool
) -> None:
    figures = {
        name: MetricResult(
            about=about,
            features=name[-3:],
            measured=Score(value=float(values[0])),
            real=Score(value=float(values[1])),
        )
        for name, values in (("one", first), ("one@two", second))
    }
    found = Measurement(style_names=(), figures=figures, protocol={}).disagreements
    assert len(found) == told
    if told:
        assert about.title in found[0]
        assert "by one, " in found[0]
        assert found[0].endswith("by two")
