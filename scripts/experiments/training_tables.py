"""The results of runs: a table for each collection, and curves, which are made from the tables' data."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.eval.report.plots import GRID, INK, LINES, MUTED, plain
from brushwork.eval.report.tables import NOTHING, number, with_spread
from brushwork.eval.results import RESTYLED, UNCHANGED, Score
from brushwork.scripts.bench.harness import Table
from brushwork.scripts.experiments.training_runs import FINISHED, Run, seconds_at
from brushwork.training.run.run_folder import RunFolder

Json = dict[str, Any]
Side = Literal["measured", "real", "unchanged"]
REAL = "held-out real"

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "FD": ("fd", "fd@hed-vgg16"),
    "KID": ("kid", "kid@hed-vgg16"),
    "recall, worst style": ("recall",),
    "coverage, worst style": ("coverage",),
    "diversity, worst style": ("diversity",),
    "style accuracy": ("accuracy",),
    "near-copies": ("copies",),
    "modes found, worst style": ("found",),
    "samples that show a mode": ("recognised",),
}
"""Titles, and their figures in a final measurement: distances by each evaluator, all else by the first."""
RESTYLED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "style accuracy": (f"{RESTYLED}accuracy",),
    "distance to the real drawing": (f"{RESTYLED}truth",),
    "nearer than both baselines": (f"{RESTYLED}nearer_truth",),
    "content distance": (f"{RESTYLED}content_normalised",),
    "FD of samples": ("fd", "fd@hed-vgg16"),
}
"""The same for generators that restyle."""


# Records
def record_of(run: Run) -> Json:
    """What the JSON file has of a complete run: its training, figures and curve."""
    images, measured = list(run.snapshots)[-1], run.measured
    seconds, config = seconds_at(images, run.folder), RunFolder(run.folder).read()
    names = [name for own in (*COLUMNS.values(), *RESTYLED_COLUMNS.values()) for name in own]
    sides: tuple[Side, ...] = ("measured", "real", "unchanged")
    known = {side: {name: figure_of(name, measured["final"], side) for name in names} for side in sides}
    figures = {
        side: {name: value for name, value in own.items() if value is not None} for side, own in known.items()
    }
    return {
        "variant": run.variant, "seed": run.seed,
        "reason": json.loads((run.folder / FINISHED).read_text())["reason"],
        "images": images, "minutes": seconds / 60, "img_per_s": images / seconds if seconds else None,
        "precision": config.setup.precision if config else None,
        "samples": sum(measured["final"]["samples"]), "figures": figures,
        "curve": [point_of(point) for point in measured["points"].values()],
        "curve_real": point_of({"minutes": None, **measured["real"]}),
    }  # fmt: skip


def figure_of(name: str, final: Json, side: Side) -> float | None:
    """A figure of the samples, the held-out images or the unchanged contents; of the worst style where it is
    of styles. None if it was not measured."""
    if name.startswith(RESTYLED):
        return final.get("restyled", {}).get(side, {}).get(name.removeprefix(RESTYLED))
    if name in ("found", "recognised"):
        modes = {"measured": final.get("modes"), "real": final.get("real_modes")}.get(side)
        worst_or_mean = min if name == "found" else statistics.mean
        return worst_or_mean(modes[name].values()) if modes else None
    figure = final["measures"]["figures"].get(name, {}).get(side)
    if figure is None:
        return None
    return min(figure["per_style"]) if name in ("recall", "coverage", "diversity") else figure["value"]


def point_of(point: Json) -> Json:
    """A point of a curve: diversity and recall of the worst style."""
    return {
        "minutes": point["minutes"], "fd": point["fd"],
        **{name: _least(point[name]) for name in ("diversity", "recall")},
    }  # fmt: skip


def _least(by_style: Mapping[str, float]) -> float:
    """The value of the worst style; NaN if a style has none."""
    return min(by_style.values()) if all(map(math.isfinite, by_style.values())) else math.nan


# Table
NOTE = (
    "Mean ± standard deviation over the runs. FD and KID by EfficientNet-Lite0 / HED-VGG16, the rest by the "
    "first, against the training images; {} samples. Held-out images are fewer than samples: their FD is "
    "biased upward more, and their recall and coverage are lower."
)
RESTYLED_NOTE = (
    "Mean ± standard deviation over the runs. 120 held-out images, each in one other style; FD by "
    "EfficientNet-Lite0 / HED-VGG16 of {} samples from latent codes."
)


def mean_and_deviation(values: Sequence[float | None]) -> str:
    """`0.81 ± 0.03`, the standard deviation (n - 1) with it if there are two values or more."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return NOTHING
    mean = statistics.mean(known)
    return (
        with_spread(Score(value=mean, spread=statistics.stdev(known))) if len(known) > 1 else number(mean, 3)
    )


def table(title: str, records: Sequence[Json]) -> Table:
    """A row for each variant on a collection, and one for its held-out images or unchanged contents. The
    records of the runs are the data; columns that no run has are left out."""
    restyles = any(f"{RESTYLED}accuracy" in record["figures"]["measured"] for record in records)
    known = RESTYLED_COLUMNS if restyles else COLUMNS
    columns = {
        heading: names for heading, names in known.items()
        if any(names[0] in record["figures"]["measured"] for record in records)
    }  # fmt: skip

    def cells(own: Sequence[Json], side: Side) -> list[str]:
        return [
            " / ".join(
                mean_and_deviation([record["figures"][side].get(name) for record in own]) for name in names
            ).replace(f"{NOTHING} / {NOTHING}", NOTHING)
            for names in columns.values()
        ]

    rows = []
    for variant in dict.fromkeys(record["variant"] for record in records):
        own = [record for record in records if record["variant"] == variant]
        images = mean_and_deviation([record["images"] / 1000 for record in own])
        rows.append((variant, str(len(own)), images, *cells(own, "measured")))
    last: Side = "unchanged" if restyles else "real"
    rows.append((UNCHANGED if restyles else REAL, "", "", *cells(records[:1], last)))
    note = (RESTYLED_NOTE if restyles else NOTE).format(max(record["samples"] for record in records))
    return Table(
        title=title, header=("", "runs", "thousand images", *columns), rows=rows, notes=(note,),
        data={"runs": list(records)},
    )  # fmt: skip


# Curves
PANELS = {"diversity": "diversity,\nworst style", "recall": "recall, worst style", "fd": "Fréchet distance"}
"""Titles of the rows by the figure of a point."""
DASHES = ("-", ":", "-.")
"""Of the variants beyond the number of colours."""


def curves(tables: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Curves over minutes: a row for each figure, a column for each table of a JSON file.

    Thin lines are runs, thick lines their medians, dashed lines held-out images.
    """
    runs = {title: own["data"]["runs"] for title, own in tables.items() if own["data"]}
    variants = list(dict.fromkeys(record["variant"] for own in runs.values() for record in own))
    size = (1.2 + 2.6 * len(runs), 0.6 + 1.9 * len(PANELS))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    grid = figure.subplots(len(PANELS), len(runs), squeeze=False, sharex="col")
    for column, (title, records) in enumerate(runs.items()):
        for row, name in enumerate(PANELS):
            _panel(grid[row, column], records, variants, name)
        grid[0, column].set_title(title, fontsize=10, color=INK, weight="bold")
        grid[-1, column].set_xlabel("minutes of training")
    for row, title in enumerate(PANELS.values()):
        grid[row, 0].set_ylabel(title)
    handles = {label: handle for axes in grid.ravel()
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    handles[REAL] = handles.pop(REAL)  # comes last
    fits = min(len(handles), 2 * len(runs))
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=fits, frameon=False, fontsize=9
    )
    return figure


def _panel(axes: Axes, records: Sequence[Json], variants: Sequence[str], name: str) -> None:
    for number_, variant in enumerate(variants):
        lines = [line_of(record, name) for record in records if record["variant"] == variant]
        colour, dash = LINES[number_ % len(LINES)], DASHES[number_ // len(LINES) % len(DASHES)]
        for line in lines:
            axes.plot(*line, color=colour, linewidth=0.7, alpha=0.55)
        if lines:
            minutes, values = interpolated(lines)
            axes.plot(
                minutes, np.median(values, axis=0), color=colour, linewidth=2.2, linestyle=dash, label=variant
            )
    real = _number(records[0]["curve_real"][name])
    axes.axhline(real, color=MUTED, linewidth=1.2, dashes=(4, 2), label=REAL)
    plain(axes, size=8.0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def line_of(record: Json, name: str) -> tuple[list[float], list[float]]:
    """Minutes and values of a run's snapshots."""
    points = sorted(record["curve"], key=lambda point: point["minutes"])
    return [point["minutes"] for point in points], [_number(point[name]) for point in points]


def _number(value: float | None) -> float:
    """JSON has null for NaN."""
    return math.nan if value is None else value


def interpolated(
    lines: Sequence[tuple[Sequence[float], Sequence[float]]], points: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Values of piecewise linear lines (x, y) where all are defined: x (T,) and values (lines, T)."""
    begin, end = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    at = np.linspace(begin, end, points)
    return at, np.stack([np.interp(at, x, y) for x, y in lines])
