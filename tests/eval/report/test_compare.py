"""Reports are compared if their protocols are equal; else every difference is named."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brushwork.eval.errors import EvalError
from brushwork.eval.report.compare import compare, comparison_table, read_report, verdict
from brushwork.eval.report.page import write_report
from brushwork.eval.results import METRIC_INFO, Measurement, MetricResult, Score


def measures(fd: float = 50.0, accuracy: float = 0.5, *, spread: float = 0.01) -> Measurement:
    scores = {"fd": Score(value=fd, per_style=(fd, fd)), "accuracy": Score(value=accuracy, spread=spread)}
    figures = {
        name: MetricResult(about=METRIC_INFO[name], features="net", measured=score)
        for name, score in scores.items()
    }
    protocol = {"features": {"net": "64 px"}, "images": [200, 200], "seed": 0, "real": (32, 32)}
    return Measurement(style_names=("flat", "sketch"), figures=figures, protocol=protocol, label=f"fd {fd}")


def report(**protocol: Any) -> dict[str, Any]:
    found = measures().to_json()
    return {**found, "protocol": {**found["protocol"], **protocol}}


@pytest.mark.parametrize(
    ("difference", "better", "spread", "expected"),
    [
        (-1.0, "less", None, "better"),
        (1.0, "less", None, "worse"),
        (0.0, "more", 0.1, "equal"),
        (0.2, "more", 0.101, "within the spread"),
        (0.2, "more", 0.099, "better"),
        (-0.2, "more", 0.099, "worse"),
        (None, "less", 0.1, "unknown"),
    ],
)
def test_verdict(difference: float | None, better: Any, spread: float | None, expected: str) -> None:
    assert verdict(difference, better, spread) == expected


def test_each_figure_is_compared(tmp_path: Path) -> None:
    write_report(replace(measures(60.0, 0.52), environment={"torch": "1"}), tmp_path, grids={})
    earlier = read_report(tmp_path)
    fd, accuracy = compare(measures(50.0, 0.5).to_json(), earlier)
    assert (fd.name, fd.theirs, fd.ours, fd.difference, fd.spread) == ("fd", 60.0, 50.0, -10.0, None)
    assert fd.verdict == "better"
    assert accuracy.spread == pytest.approx(0.01 * math.sqrt(2))
    assert accuracy.verdict == "within the spread"
    back = compare(earlier, measures(50.0, 0.5).to_json())
    assert [change.verdict for change in back] == ["worse", "within the spread"]
    earlier["figures"]["fd"]["measured"] = {"value": 40}
    earlier["figures"]["accuracy"]["measured"] = {"value": None}
    assert [change.verdict for change in compare(report(), earlier)] == ["worse", "unknown"]


def test_every_differing_field_is_named_with_both_values() -> None:
    theirs = report(seed=7, images=[200, 100], real=[32, 32], mirrored=0, many=5, few=5.0)
    del theirs["protocol"]["features"]
    ours = report(psi=0.7, mirrored=False, many=None, few=5)
    ours["style_names"] = ["sketch", "flat"]
    with pytest.raises(EvalError) as error:
        compare(ours, theirs)
    text = str(error.value)
    assert 'styles: ["flat", "sketch"] there, ["sketch", "flat"] here' in text
    assert "mirrored: 0 there, false here" in text
    assert "many: 5 there, null here" in text
    assert "few" not in text, "equal numbers"
    assert "images: [200, 100] there, [200, 200] here" in text
    assert "seed: 7 there, 0 here" in text
    assert "psi: absent there, 0.7 here" in text
    assert "features: absent there" in text
    assert "real" not in text.replace("reports", "")  # a tuple is the list that it becomes in a file


def test_reports_without_a_common_figure_are_refused() -> None:
    ours, theirs = report(), report()
    del ours["figures"]["fd"]
    del theirs["figures"]["accuracy"]
    with pytest.raises(EvalError, match="no figure in common"):
        compare(ours, theirs)


def one_figure(figure: str) -> bytes:
    return f'{{"protocol": {{}}, "style_names": [], "figures": {{"fd": {figure}}}}}'.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "Invalid JSON"),
        (b'{"protocol": {}, "style_names": []}', "figures: Field required"),
        (b'{"protocol": {}, "style_names": [3], "figures": {}}', "style_names.0"),
        (one_figure('{"better": "less", "measured": {}}'), "figures.fd.measured.value: Field required"),
        (one_figure('{"better": "less", "measured": {"value": NaN}}'), "figures.fd.measured.value"),
        (one_figure('{"better": "less", "measured": {"value": 1' + "0" * 400 + "}}"), "measured.value"),
        (one_figure('{"better": "up", "measured": {"value": 1}}'), "figures.fd.better"),
    ],
)
def test_what_is_no_report_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(EvalError, match=words) as error:
        read_report(path)
    assert "some.json" in str(error.value)
    assert "brushwork measure" in str(error.value)


def test_the_table_has_values_and_verdicts() -> None:
    text = comparison_table(measures(50.0, 0.5).to_json(), measures(60.0, 0.52).to_json())
    lines = text.splitlines()
    assert lines[:2] == ["theirs: fd 60.0", "ours:   fd 50.0"]
    fd = next(line for line in lines if line.startswith("fd"))
    assert fd.split() == ["fd", "60.00", "50.00", "-10.00", "better"]
    accuracy = next(line for line in lines if line.startswith("accuracy"))
    assert accuracy.split(maxsplit=4) == ["accuracy", "0.5200", "0.5000", "-0.02000", "within the spread"]
    assert "without a spread" in text
    assert max(map(len, lines)) <= 100


def test_evaluators_that_disagree_on_a_change_are_named() -> None:
    def two(fd: float, other: float) -> dict[str, Any]:
        here, there = measures(fd), measures(other)
        second = {"fd@hed": replace(there.figures["fd"], features="hed")}
        return replace(here, figures={**here.figures, **second}).to_json()

    table = comparison_table(two(40.0, 60.0), two(50.0, 50.0))
    assert "The evaluators disagree on fd: better by net, worse by hed." in table
    assert "disagree" not in comparison_table(two(40.0, 40.0), two(50.0, 50.0))
