"""A report is JSON with every value, a page and grids beside it, and nothing half-written."""

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


def test_a_report_has_json_page_and_grids(tmp_path: Path) -> None:
    grid = Image.new("RGB", (7, 3), "blue")
    out = tmp_path / "new" / "folder"
    write_report(measured(), out, grids={"Nearest to a Training one": grid})
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert found == measured().to_json()
    assert found["figures"]["fd"]["measured"] == {"value": 70.5, "per_style": [70.5, None]}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "70.50" in page
    assert page.count('class="grid"') == 1
    assert (out / "report.html").stat().st_mode & 0o777 == 0o644, "others can read it"
    names = ["nearest-to-a-training-one.png", "report.html", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    with Image.open(out / names[0]) as image:
        assert image.size == (7, 3)


def test_a_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(measured(), tmp_path, grids={})
    old = (tmp_path / "report.json").read_text(encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EvalError, match=r"No space left.*free some space"):
        write_report(measured(3.0), tmp_path, grids={})
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == old
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("broken", [measured(fd=math.inf), measured(recall=math.nan)])
def test_figures_that_json_cannot_hold_are_refused(broken: Measurement, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="no finite number"):
        write_report(broken, tmp_path, grids={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalError, match="/file' is a file: name a folder with --out"):
        write_report(measured(), tmp_path / out, grids={})
