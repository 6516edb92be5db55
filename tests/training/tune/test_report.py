"""Tables and CSV files of a study."""

import csv
import io
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from brushwork.training.tune.report import (
    short_names,
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


def test_the_csv_file_holds_every_value_in_full(tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.csv", TRIALS, "fd")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert (float(rows[3][RATE]), int(rows[3]["batch"]), float(rows[3]["fd"])) == (0.0123456, 32, 3.0)
    assert (rows[2]["fd"], rows[2]["end"], rows[1]["measured"]) == ("", "diverged", "1")
