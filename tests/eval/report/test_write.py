"""What a reader gets: JSON that says all, a page beside it, nothing half-written."""

import json
import math
import os
from pathlib import Path

import pytest
from PIL import Image

from brushwork.eval.errors import EvalError
from brushwork.eval.report.write import write_report
from brushwork.eval.results import METRIC_INFO, CurvePoint, Measurement, MetricResult, Score


def measured(fd: float = 70.5, recall: float = 0.5) -> Measurement:
    score = Score(value=fd, per_style=(fd, math.nan))
    return Measurement(
        style_names=("flat", "sketch"),
        figures={"fd": MetricResult(about=METRIC_INFO["fd"], features="net", measured=score)},
        protocol={"seed": 0},
        curves={"truncation": (CurvePoint(x=1.0, scores={"recall": recall}),)},
    )


def test_json_is_the_measures_and_the_page_says_them(tmp_path: Path) -> None:
    report = write_report(measured(), tmp_path / "new" / "folder")
    found = json.loads(report.json.read_text(encoding="utf-8"))
    assert found == measured().to_json()
    assert found["figures"]["fd"]["measured"] == {"value": 70.5, "per_style": [70.5, None]}
    assert "70.50" in report.page.read_text(encoding="utf-8")
    assert sorted(path.name for path in report.json.parent.iterdir()) == ["report.html", "report.json"]


def test_pictures_are_shown_and_drawn_ones_saved(tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    Image.new("RGB", (9, 5), "red").save(there)
    drawn = Image.new("RGB", (7, 3), "blue")
    titles = ("Nächste: training pictures!", "nachste training-pictures", "???")
    report = write_report(
        measured(), tmp_path / "out", pictures={"There": there, **dict.fromkeys(titles, drawn)}
    )
    names = ["nachste-training-pictures-2.png", "nachste-training-pictures.png", "picture.png"]
    assert sorted(path.name for path in report.page.parent.glob("*.png")) == names
    with Image.open(report.page.parent / names[0]) as image:
        assert image.size == (7, 3)
    assert report.page.read_text(encoding="utf-8").count('class="grid"') == 4


def test_a_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_report(measured(), tmp_path).json.read_text(encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EvalError, match="No space left"):
        write_report(measured(3.0), tmp_path)
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == old
    assert len(list(tmp_path.iterdir())) == 2


def test_a_missing_picture_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="absent"):
        write_report(measured(), tmp_path / "out", pictures={"Samples": tmp_path / "absent.png"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", [measured(fd=math.inf), measured(recall=math.nan)])
def test_figures_that_json_cannot_hold_are_refused(broken: Measurement, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="no finite number"):
        write_report(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalError, match="choose another --out"):
        write_report(measured(), tmp_path / "file" / "out")


def test_reports_can_be_read_by_others(tmp_path: Path) -> None:
    report = write_report(measured(), tmp_path)
    assert report.page.stat().st_mode & 0o777 == 0o644
