"""Results of a study for the reader: a table and a CSV file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from brushwork.data.files import write_csv
from brushwork.eval.report.tables import NOTHING, aligned, number


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


def write_trials(path: Path, trials: Sequence[FrozenTrial], metric: str) -> None:
    """Write a CSV file with one row per trial and every value in full."""
    write_csv(path, [trial_row(trial, metric) for trial in trials])
