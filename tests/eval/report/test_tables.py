"""Numbers keep their digits, and tables fit a terminal."""

import math
from dataclasses import replace

import pytest

from brushwork.eval.report.tables import aligned, number, numbers, rounded, table, with_spread
from brushwork.eval.results import METRIC_INFO, Measurement, MetricResult, Score

NAMES = ("flat", "round", "sketch")


def score(value: float, *per_style: float, spread: float | None = None) -> Score:
    return Score(value=value, per_style=per_style, spread=spread)


def figure(name: str, measured: Score, *beside: Score, features: str = "net") -> MetricResult:
    """`beside`: of held-out real images, of the control, of the control's real images."""
    real, control, control_real = (*beside, None, None, None)[:3]
    return MetricResult(
        about=METRIC_INFO[name], features=features, measured=measured, real=real, control=control,
        control_real=control_real,
    )  # fmt: skip


def measured(names: tuple[str, ...] = NAMES) -> Measurement:
    count = len(names)
    confusion = tuple(tuple(0.5 if r == c else 0.5 / (count - 1) for c in range(count)) for r in range(count))
    accuracy = Score(value=0.5, per_style=(0.5,) * count, spread=0.012, matrix=confusion)
    fd = [100.0 + 10 * s for s in range(count)]
    baselines = {"content unchanged": score(80.25)}
    return Measurement(
        style_names=names,
        figures={
            "fd": figure("fd", score(737.44, *fd), score(136.9, *[20.0] * count), score(223.1), score(190.8)),
            "accuracy": figure("accuracy", accuracy, accuracy, score(0.51, spread=0.012), score(0.5)),
            "fd@other": replace(figure("fd", score(61.2), features="other"), baselines=baselines),
        },
        protocol={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (737.44, "737.4"), (1145.4, "1145"), (0.48514, "0.4851"), (-0.0021, "-0.002100"),
     (0.99996, "1.0000"), (2.9e-5, "2.900e-05"), (12345678.0, "1.235e+07"), (math.nan, "–"),
     (-math.inf, "-inf")],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [(0.48514, 0.0112, "0.485 ± 0.011"), (0.94, 0.004, "0.9400 ± 0.0040"), (2.91, 0.12, "2.91 ± 0.12"),
     (-0.0021, 0.0039, "-0.0021 ± 0.0039"), (737.44, None, "737.4"), (5.0, 0.0, "5.000 ± 0"),
     (250.0, 30.0, "250 ± 30"), (0.5, 0.00001, "0.5000 ± 1e-05"), (-2.9e-5, 1.2e-4, "-2.900e-05 ± 0.00012"),
     (0.0, 0.01, "0 ± 0.01"), (math.nan, 0.1, "–")],
)  # fmt: skip
def test_value_and_spread_end_at_the_same_decimal(value: float, spread: float | None, text: str) -> None:
    assert with_spread(score(value, spread=spread)) == text
    assert rounded(score(value, spread=spread)) == text.split(" ")[0]


def test_numbers_of_a_column_have_the_decimals_of_the_largest() -> None:
    assert numbers([1314.2, 0.51, -88.0]) == ["1314", "1", "-88"]
    assert numbers([0.0837, 0.84, math.nan]) == ["0.0837", "0.8400", "–"]
    assert numbers([0.0, 0.0]) == ["0", "0"]


def test_columns_line_up_and_flexible_ones_are_shortened() -> None:
    assert aligned([["a", "1.25"], ["longer", "10.50"]]) == ["a        1.25", "longer  10.50"]
    rows = [["x" * 80, "y" * 80], ["a", "b"]]
    lines = aligned(rows, left=(0, 1), flexible=(0, 1))
    assert max(map(len, lines)) == 100
    assert lines[1].index("b") == lines[0].index("y")
    assert aligned(rows[:1], left=(), flexible=()) == ["x" * 80 + "  " + "y" * 80]


def test_table_has_a_row_a_figure_and_a_row_a_style() -> None:
    lines = table(measured()).splitlines()
    fd = next(line for line in lines if line.startswith("  fd"))
    assert fd.split() == ["fd", "less", "737.4", "136.9", "223.1", "190.8", "sketch"]
    accuracy = next(line for line in lines if line.startswith("  accuracy"))
    assert accuracy.split()[:8] == ["accuracy", "more", "0.500", "±", "0.012", "0.500", "0.510", "0.5000"]
    assert [line for line in lines if line.endswith(":")] == ["net:", "other:"]
    assert next(line for line in lines if "<- worst" in line).split()[:3] == ["sketch", "120.0", "20.00"]
    assert next(line for line in lines if "content unchanged" in line).split()[-1] == "80.25"
    assert [line.split()[0] for line in lines if line.endswith("  *")] == ["accuracy"]
    assert "no evidence" in table(measured())
    heads = lines[0]
    for head, text in (("real", "136.9"), ("control", "223.1")):
        right = next(line for line in lines if text in line).index(text) + len(text)
        assert heads.index(head) + len(head) == right, "numbers stand below their heading"


def test_thirty_long_names_fit_a_terminal() -> None:
    names = tuple(f"woodblock prints of the Edo period, workshop number {i}" for i in range(30))
    text = table(measured(names))
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("woodblock") == 30 + 1, "each style, and the worst where they differ"


def test_a_collapse_stands_above_the_table_and_notes_below() -> None:
    plain = measured()
    diversity = figure("diversity", score(0.4, 0.2, 0.9, 0.1))
    notes = ("prdc: 5 nearest neighbours need 6 images a side at least and one has 4: add some. " * 2,)
    lines = table(replace(plain, figures={**plain.figures, "diversity": diversity}, notes=notes)).splitlines()
    assert lines[0].startswith("2 of 3 styles draw one image: flat, sketch. To try: ")
    assert lines[-2].startswith("left out: prdc: 5 nearest")
    assert max(map(len, lines)) <= 100
    assert "one image" not in table(plain)


def test_disagreements_stand_below_the_figures() -> None:
    first = figure("fd", score(90.0), score(100.0), features="a")
    second = figure("fd", score(900.0), score(100.0), features="b")
    found = table(Measurement(style_names=(), figures={"fd": first, "fd@b": second}, protocol={}))
    assert "disagreement: Frechet distance: 0.9 times that of held-out images by a, 9 times by b" in found
