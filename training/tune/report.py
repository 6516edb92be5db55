"""Results of a study for the reader: a table, a CSV file, and Optuna's plots."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization.matplotlib import plot_optimization_history, plot_slice

from brushwork.data.files import write_csv
from brushwork.eval.pairs.figures import RESTYLED, about_logged
from brushwork.eval.report.plots import figure_png
from brushwork.eval.report.tables import NOTHING, aligned, number

from .plan import Plan


# Text
def short_names(names: Sequence[str]) -> list[str]:
    """`optimizer.generator_lr` -> `generator_lr`, unless another field ends alike."""
    ends = [name.rpartition(".")[2] for name in names]
    return [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)]


def trial_row(trial: FrozenTrial, metric: str) -> dict[str, Any]:
    """One trial by column: its number, end, last measurement, number of measurements, and settings."""
    return {
        "trial": trial.number, "end": trial.user_attrs["end"], metric: trial.value,
        "measured": len(trial.intermediate_values), **trial.params,
    }  # fmt: skip


def _cell(value: Any, digits: int = 4) -> str:
    if value is None:
        return NOTHING
    return number(value, digits) if isinstance(value, float) else str(value)


def trial_line(trial: FrozenTrial, metric: str) -> str:
    """One finished trial as a line for the terminal."""
    names = short_names(list(trial.params))
    settings = [f"{name}={_cell(x, 3)}" for name, x in zip(names, trial.params.values(), strict=True)]
    value = _cell(trial.value)
    return f"trial {trial.number}: {trial.user_attrs['end']}, {metric} {value} | {' '.join(settings)}"


def trial_table(trials: Sequence[FrozenTrial], best: FrozenTrial | None, metric: str) -> str:
    """All trials as a table; the best one is marked."""
    names = list(trials[0].params)
    rows = [["trial", "end", metric, "measured", *short_names(names), ""]]
    for trial in trials:
        row = trial_row(trial, metric)
        settings = [_cell(row.pop(name), 3) for name in names]
        mark = "<- best" if best is not None and trial.number == best.number else ""
        rows.append([*map(_cell, row.values()), *settings, mark])
    return "\n".join(aligned(rows, left=(1, len(rows[0]) - 1), flexible=()))


def importance_table(importances: Mapping[str, float]) -> str:
    """The importance of every field as a table."""
    rows = [[name, f"{share:.0%}"] for name, share in importances.items()]
    return "\n".join(aligned([["importance", ""], *rows]))


def write_trials(path: Path, trials: Sequence[FrozenTrial], metric: str) -> None:
    """Write a CSV file with one row per trial and every value in full."""
    write_csv(path, [trial_row(trial, metric) for trial in trials])


# Plots
def study_plots(study: optuna.Study, plan: Plan) -> dict[str, bytes]:
    """Return Optuna's plots as PNG files by name: the values of complete trials over time (history.png) and
    over every searched field (slices.png). There are none before the first complete trial."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = [trial.value for trial in complete if trial.value is not None]
    if not values:
        return {}
    title = metric_title(plan)
    fields = [name for name, distribution in plan.space.items() if not distribution.single()]
    labels = dict(zip(fields, short_names(fields), strict=True))
    log_scale = plan.better == "less" and 0 < 10 * min(values) < max(values)
    matplotlib.use("Agg")  # Optuna's plots use pyplot, whose default backend may open windows
    pngs = {}
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plots are experimental; one trial makes an axis singular
        plots: dict[str, Any] = {"history.png": plot_optimization_history(study, target_name=title)}
        if fields:
            plots["slices.png"] = plot_slice(study, params=fields, target_name=title)
        for name, plot in plots.items():
            for axes in np.ravel(plot):
                axes.set_xlabel(labels.get(axes.get_xlabel(), axes.get_xlabel()))
                axes.tick_params(axis="x", which="minor", labelrotation=60, labelsize=7)
                if log_scale:
                    axes.set_yscale("log")
            figure = np.ravel(plot)[0].figure
            pngs[name] = figure_png(figure)
            pyplot.close(figure)
    return pngs


def metric_title(plan: Plan) -> str:
    """`fd@inception` -> `Frechet distance, inception (less is better)`."""
    about, features = about_logged(plan.metric), plan.metric.partition("@")[2]
    title = about.title if about else plan.metric
    prefix = "restyled: " if plan.metric.startswith(RESTYLED) else ""
    return f"{prefix}{title}{f', {features}' if features else ''} ({plan.better} is better)"
