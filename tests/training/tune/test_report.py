"""Tables, CSV files and plots of a study."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image

from brushwork.training.config import TrainConfig
from brushwork.training.tune import report
from brushwork.training.tune.plan import Plan
from brushwork.training.tune.report import (
    importance_table,
    metric_title,
    short_names,
    study_plots,
    trial_line,
    trial_table,
    write_trials,
)

RATE = "optimizer.generator_lr"
SPACE = {
    RATE: FloatDistribution(0.001, 0.1, log=True),
    "batch": CategoricalDistribution((8, 16, 32)),
    "loss.mixing": CategoricalDistribution((0.5,)),
}


def make_trial(end: str, measured: tuple[float, ...], rate: float, batch: int) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE if end == "complete" else TrialState.PRUNED,
        value=measured[-1] if measured else None, intermediate_values=dict(enumerate(measured, 1)),
        params={RATE: rate, "batch": batch, "loss.mixing": 0.5}, distributions=SPACE,
        user_attrs={"end": end},
    )  # fmt: skip


STUDY = optuna.create_study()
STUDY.add_trials(
    [
        make_trial("complete", (9.0, 5.0), 0.01, 8),
        make_trial("pruned", (8.0,), 0.02, 16),
        make_trial("diverged", (), 0.1, 32),
        make_trial("complete", (7.0, 3.0), 0.0123456, 32),
    ]
)
TRIALS = STUDY.trials


@pytest.fixture
def plan(make_config: Callable[..., TrainConfig]) -> Plan:
    config = make_config()
    return Plan(base=config, trial=config, space=dict(SPACE), metric="fd", better="less")


def test_names_are_short_where_they_stay_unique() -> None:
    names = ["generator.w_dim", "x.w_dim", "a.batch"]
    assert short_names(names) == ["generator.w_dim", "x.w_dim", "batch"]


def test_the_table_has_one_line_per_trial_and_marks_the_best() -> None:
    lines = [line.split() for line in trial_table(TRIALS, TRIALS[3], "fd").splitlines()]
    assert lines[0] == ["trial", "end", "fd", "measured", "generator_lr", "batch", "mixing"]
    assert lines[3][:4] == ["2", "diverged", "–", "0"]
    assert lines[4] == ["3", "complete", "3.000", "2", "0.0123", "32", "0.500", "<-", "best"]
    assert sum("best" in line for line in lines) == 1
    settings = "generator_lr=0.0200 batch=16 mixing=0.500"
    assert trial_line(TRIALS[1], "fd") == f"trial 1: pruned, fd 8.000 | {settings}"
    assert importance_table({RATE: 0.75, "batch": 0.25}).split()[1:] == [RATE, "75%", "batch", "25%"]


def test_the_csv_file_holds_every_value_in_full(tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.csv", TRIALS, "fd")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert (float(rows[3][RATE]), int(rows[3]["batch"]), float(rows[3]["fd"])) == (0.0123456, 32, 3.0)
    assert (rows[2]["fd"], rows[2]["end"], rows[1]["measured"]) == ("", "diverged", "1")


def test_the_plots_show_complete_trials_over_time_and_searched_fields(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(report, "figure_png", lambda figure: figures.append(figure) or b"")
    assert list(study_plots(STUDY, plan)) == ["history.png", "slices.png"]
    history, slices = figures[0].axes[0], {axes.get_xlabel(): axes for axes in figures[1].axes}
    assert history.get_ylabel() == "Frechet distance (less is better)"
    assert np.asarray(history.collections[0].get_offsets()).tolist() == [[0, 5], [3, 3]]
    rates = slices["generator_lr"].collections[0].get_offsets()
    assert np.asarray(rates).tolist() == [[0.01, 5], [0.0123456, 3]]
    assert "batch" in slices
    assert "mixing" not in slices, "it has one choice"
    assert history.get_yscale() == "linear"
    wide = optuna.create_study()
    wide.add_trials([*TRIALS, make_trial("complete", (500.0,), 0.05, 8)])
    study_plots(wide, plan)
    assert figures[2].axes[0].get_yscale() == figures[3].axes[0].get_yscale() == "log"


def test_the_plots_are_png_files_and_need_a_complete_trial(plan: Plan) -> None:
    for png in study_plots(STUDY, plan).values():
        with Image.open(io.BytesIO(png)) as image:
            assert np.asarray(image.convert("L")).std() > 1
    empty = optuna.create_study()
    empty.add_trials(TRIALS[1:3])
    assert study_plots(empty, plan) == {}
    restyled = replace(plan, metric="restyled_truth@vgg", better="less")
    assert metric_title(restyled) == "restyled: distance to the real drawing, vgg (less is better)"
