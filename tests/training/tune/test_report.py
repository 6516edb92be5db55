"""What is read of a search shows what was found: a table, a CSV file, a picture."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Sheet
from PIL import Image

from brushwork.training.tune import report as module
from brushwork.training.tune.report import (
    best_so_far,
    importance_lines,
    place_in,
    short_names,
    trial_line,
    trial_table,
    tuning_picture,
    write_csv,
)
from brushwork.training.tune.search_space import Choice, Range
from brushwork.training.tune.study import Record, best_of

RATE, BATCH = "optimizer.generator_lr", "batch"
SPACE = (Range(RATE, 0.001, 0.1, log=True), Choice(BATCH, (8, 16, 32)), Choice("loss.mixing", (0.5,)))
NAMES = [dimension.name for dimension in SPACE]


def record(number: int, end: str, measured: tuple[float, ...], rate: float, batch: int) -> Record:
    values = {RATE: rate, BATCH: batch, "loss.mixing": 0.5}
    return Record(number=number, end=end, measured=measured, values=values)  # type: ignore[arg-type]


FOUND = [
    record(0, "complete", (9.0, 5.0), 0.01, 8),
    record(1, "pruned", (8.0,), 0.02, 16),
    record(2, "diverged", (), 0.1, 32),
    record(4, "complete", (7.0, 3.0), 0.0123456, 32),
    record(5, "complete", (6.0, 4.0), 0.002, 8),
]


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    kept: list[Sheet] = []

    def keep(sheet: Sheet) -> bytes:
        kept.append(sheet)
        return b""

    monkeypatch.setattr(module, "png", keep)
    return kept


def test_the_best_is_the_best_complete_trial() -> None:
    assert best_of(FOUND, "less") == FOUND[3]
    assert best_of(FOUND, "more") == FOUND[0], "a pruned trial is never the best"
    assert best_of(FOUND[1:3], "less") is None
    assert best_of([FOUND[0], record(6, "complete", (5.0,), 0.1, 8)], "less") == FOUND[0], "a tie: the older"
    assert best_so_far(FOUND, "less") == ([0, 4], [5.0, 3.0])
    assert best_so_far(FOUND, "more") == ([0], [5.0])


def test_names_are_short_where_that_is_clear() -> None:
    assert short_names([RATE, BATCH]) == ["generator_lr", "batch"]
    assert short_names(["generator.w_dim", "x.w_dim", "batch"]) == ["generator.w_dim", "x.w_dim", "batch"]


def test_the_table_has_a_line_for_each_trial_and_marks_the_best() -> None:
    lines = trial_table(FOUND, FOUND[3], NAMES, "fd").splitlines()
    assert lines[0].split() == ["trial", "end", "fd", "measured", "generator_lr", "batch", "mixing"]
    assert lines[4].split() == ["4", "complete", "3.000", "2", "0.0123", "32", "0.500", "<-", "best"]
    assert lines[3].split()[:4] == ["2", "diverged", "–", "0"]
    assert sum("best" in line for line in lines) == 1
    assert "best" not in trial_table(FOUND[1:2], None, NAMES, "fd")
    assert (
        trial_line(FOUND[1], "fd") == "trial 1: pruned, fd 8.000 | generator_lr=0.0200 batch=16 mixing=0.500"
    )
    assert importance_lines({RATE: 0.75, BATCH: 0.25}).split() == ["importance", RATE, "75%", BATCH, "25%"]


def test_the_file_holds_every_value_in_full(tmp_path: Path) -> None:
    write_csv(tmp_path / "trials.csv", FOUND, NAMES, "fd")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "4", "5"]
    assert (float(rows[3][RATE]), int(rows[3][BATCH]), float(rows[3]["fd"])) == (0.0123456, 32, 3.0)
    assert (rows[2]["fd"], rows[2]["end"], rows[1]["measured"]) == ("", "diverged", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_the_picture_shows_every_measured_trial_against_every_searched_field(sheets: list[Sheet]) -> None:
    tuning_picture(FOUND, SPACE, "fd", "less")
    course, rate, batch = sheets[0].axes  # what could be one thing only has no panel
    assert course.get_ylabel() == "Frechet distance (less is better)"
    shown = {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in course.get_lines()}
    assert shown["complete"] == [[0, 5], [4, 3], [5, 4]]
    assert shown["pruned"] == [[1, 8]]
    assert shown["best so far"] == [[0, 5], [4, 3], [5, 3]]
    assert "diverged" not in shown, "it was never measured"
    assert np.asarray(rate.get_lines()[0].get_xydata())[:, 0].tolist() == [0.01, 0.0123456, 0.002]
    assert rate.get_xscale() == "log"
    assert [tick.get_text() for tick in rate.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    assert np.asarray(batch.get_lines()[0].get_xydata())[:, 0].tolist() == [0, 2, 0]
    assert [tick.get_text() for tick in batch.get_xticklabels()] == ["8", "16", "32"]


def test_distances_that_differ_greatly_stand_on_a_logarithmic_axis(sheets: list[Sheet]) -> None:
    wide = [*FOUND, record(6, "complete", (500.0,), 0.05, 8)]
    tuning_picture(FOUND, SPACE, "fd", "less")
    tuning_picture(wide, SPACE, "fd", "less")
    tuning_picture(wide, SPACE, "accuracy", "more")
    assert [sheet.axes[0].get_yscale() for sheet in sheets] == ["linear", "log", "linear"]


def test_the_picture_is_a_png_and_there_is_none_without_measurements() -> None:
    assert tuning_picture(FOUND[2:3], SPACE, "fd", "less") is None
    picture = tuning_picture(FOUND, SPACE[2:], "fd", "less")
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        assert np.asarray(image.convert("L")).std() > 1


def test_places_in_a_range() -> None:
    shares = (0.0, 0.5, 1.0)
    log = Range("x", 1, 100, log=True, whole=True)
    assert [place_in(log, share) for share in shares] == pytest.approx([1, 10, 100])
    assert [place_in(Range("x", -1.0, 3.0), share) for share in shares] == [-1, 1, 3]
