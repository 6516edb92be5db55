"""The report of the runs: results.json, a table of medians, curves, and a grid of each variant."""

import json
import math
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.eval.report.plots import GRID, INK, LINES, MUTED, figure_png, plain
from brushwork.eval.report.tables import NOTHING, number
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.bench.quality import interpolated
from brushwork.scripts.experiments.collection_runs import EVALUATORS, FINISHED, Run, seconds_at
from brushwork.training.run.run_folder import RunFolder

NOTE = (
    "Medians over the runs, with the range in brackets. Diversity is a share of that of real images. The "
    "reference is the training split alone. The last row has the held-out images in place of samples; its "
    "modes are those of the training images. There are fewer held-out images than samples, so their FD "
    "is biased upward more, and their recall and coverage are lower."
)
REAL = "held-out real"

Json = dict[str, Any]
Side = Literal["measured", "real"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A complete run with its measurements."""

    run: Run

    @cached_property
    def measured(self) -> Json:
        """See `measure_run`."""
        return self.run.measured

    @cached_property
    def training(self) -> Json:
        """Why the training ended, its images and minutes, images a second and precision."""
        folder, images = self.run.folder, list(self.run.snapshots)[-1]
        seconds, config = seconds_at(images, folder), RunFolder(folder).read()
        return {
            "reason": json.loads((folder / FINISHED).read_text())["reason"],
            "images": images, "minutes": seconds / 60,
            "img_per_s": images / seconds if seconds else None,
            "precision": config.setup.precision if config else None,
        }  # fmt: skip

    def to_json(self) -> Json:
        run = self.run
        about = {"collection": run.collection, "variant": run.variant, "seed": run.seed}
        return {**about, **self.training, **self.measured}


def write_report(folder: Path, runs: Sequence[Run]) -> None:
    """Writes the report of those runs that are complete, if there are any."""
    results = [Result(run=run) for run in runs if run.is_complete]
    if not results:
        return
    write_json(
        folder / "results.json",
        {"machine": asdict(machine(("torch",))), "runs": [result.to_json() for result in results]},
    )
    write_file(folder / "table.md", f"{table(results).markdown()}\n")
    write_file(folder / "curves.png", figure_png(curves(results)))
    for result in results:
        grids = sorted((result.run.folder / "samples").glob("*px.png"))
        if result.run.seed == 0 and grids:
            name = f"grid-{result.run.collection}-{result.run.variant}.png"
            shutil.copyfile(grids[-1], folder / name)


# Table
COLUMNS = {
    "diversity, worst style": "diversity",
    "recall, worst style": "recall",
    "coverage, worst style": "coverage",
    "precision": "precision",
    **{
        f"{title} {evaluator}": f"{name}@{evaluator}" if number else name
        for name, title in (("fd", "FD"), ("kid", "KID"))
        for number, evaluator in enumerate(EVALUATORS)
    },
    "accuracy": "accuracy",
    "copies": "copies",
    "modes, worst style": "found",
    "modes, mean": "found",
    "recognised": "recognised",
}
"""Titles, and the metrics in a final measurement: distances by each evaluator, all else by the first."""


def value_of(title: str, final: Json, side: Side) -> float | None:
    """The value of a column for the samples or the held-out images; None if it was not measured."""
    metric, of_worst = COLUMNS[title], title.endswith("worst style")
    if metric in ("found", "recognised"):
        modes = final.get("modes" if side == "measured" else "real_modes")
        values = list(modes[metric].values()) if modes else []
        return (min(values) if of_worst else statistics.mean(values)) if values else None
    figure = final["measures"]["figures"].get(metric, {}).get(side)
    if figure is None:
        return None
    return min(figure["per_style"]) if of_worst else figure["value"]


def median_and_range(values: Sequence[float | None]) -> str:
    """The median, with the range if it is not a single value: `0.81 (0.78..0.85)`."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return NOTHING
    low, middle, high = (number(value, 3) for value in (min(known), statistics.median(known), max(known)))
    return middle if low == high else f"{middle} ({low}..{high})"


def table(results: Sequence[Result]) -> Table:
    """A row for each variant on each collection, and one for the held-out images of each collection."""

    def cells(own: Sequence[Result], side: Side) -> list[str]:
        finals = [result.measured["final"] for result in own]
        return [median_and_range([value_of(title, final, side) for final in finals]) for title in COLUMNS]

    rows = []
    for collection in dict.fromkeys(result.run.collection for result in results):
        here = [result for result in results if result.run.collection == collection]
        for variant in dict.fromkeys(result.run.variant for result in here):
            own = [result for result in here if result.run.variant == variant]
            images = median_and_range([result.training["images"] / 1000 for result in own])
            rows.append((collection, variant, str(len(own)), images, *cells(own, "measured")))
        rows.append((collection, REAL, "", "", *cells(here[:1], "real")))
    return Table(
        title="Variants on several collections",
        header=("collection", "variant", "runs", "thousand images", *COLUMNS),
        rows=rows,
        notes=(NOTE,),
    )


BRIEF = {
    "FD": ("FD efficientnet-lite0", "FD hed-vgg16"),
    "KID": ("KID efficientnet-lite0", "KID hed-vgg16"),
    "recall, worst style": ("recall, worst style",),
    "coverage, worst style": ("coverage, worst style",),
    "diversity, worst style": ("diversity, worst style",),
    "style accuracy": ("accuracy",),
    "near-copies": ("copies",),
}
"""Columns of the tables in the docs, and those of the whole table that stand in each."""
BRIEF_NOTE = (
    "Medians over the runs, with the range in brackets; FD and KID by EfficientNet-Lite0 and by HED-VGG16, "
    "the rest by the first. The reference is the training split. Held-out images are fewer than samples, so "
    "their FD is biased upward more, and their recall and coverage are lower."
)


def brief_table(results: Sequence[Result], collection: str) -> Table:
    """A row for each variant on one collection, and one for its held-out images."""
    here = [result for result in results if result.run.collection == collection]

    def cells(own: Sequence[Result], side: Side) -> list[str]:
        finals = [result.measured["final"] for result in own]
        return [
            " / ".join(
                median_and_range([value_of(title, final, side) for final in finals]) for title in titles
            )
            for titles in BRIEF.values()
        ]

    rows = []
    for variant in dict.fromkeys(result.run.variant for result in here):
        own = [result for result in here if result.run.variant == variant]
        images = median_and_range([result.training["images"] / 1000 for result in own])
        rows.append((variant, str(len(own)), images, *cells(own, "measured")))
    rows.append((REAL, "", "", *cells(here[:1], "real")))
    return Table(
        title=collection, header=("", "runs", "thousand images", *BRIEF), rows=rows, notes=(BRIEF_NOTE,),
        data={"runs": [
            {"variant": result.run.variant, "seed": result.run.seed, **result.training} for result in here
        ]},
    )  # fmt: skip


# Curves
PANELS: dict[str, Callable[[Json], float]] = {
    "diversity,\nworst style": lambda point: least(point["diversity"]),
    "recall, worst style": lambda point: least(point["recall"]),
    "Fréchet distance": lambda point: point["fd"],
}
"""Titles of the rows, and the value of a snapshot."""


def least(by_style: dict[str, float]) -> float:
    """The value of the worst style; NaN if a style has none."""
    return min(by_style.values()) if all(map(math.isfinite, by_style.values())) else math.nan


def curves(results: Sequence[Result]) -> Figure:
    """Curves over minutes: a row for each metric, a column for each collection.

    Thin lines are runs, thick lines their medians, dashed lines held-out images.
    """
    collections = list(dict.fromkeys(result.run.collection for result in results))
    variants = list(dict.fromkeys(result.run.variant for result in results))
    size = (1.2 + 2.6 * len(collections), 0.6 + 1.9 * len(PANELS))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    grid = figure.subplots(len(PANELS), len(collections), squeeze=False, sharex="col")
    for row, (title, value) in enumerate(PANELS.items()):
        for column, collection in enumerate(collections):
            here = [result for result in results if result.run.collection == collection]
            _panel(grid[row, column], here, variants, value)
        grid[row, 0].set_ylabel(title)
    for column, collection in enumerate(collections):
        grid[0, column].set_title(collection, fontsize=10, color=INK, weight="bold")
        grid[-1, column].set_xlabel("minutes of training")
    handles = {label: handle for axes in grid.ravel()
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    handles[REAL] = handles.pop(REAL)  # comes last
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9
    )
    return figure


def _panel(
    axes: Axes, results: Sequence[Result], variants: Sequence[str], value: Callable[[Json], float]
) -> None:
    for number_, variant in enumerate(variants):
        lines = [line_of(result, value) for result in results if result.run.variant == variant]
        colour = LINES[number_ % len(LINES)]
        for line in lines:
            axes.plot(*line, color=colour, linewidth=0.7, alpha=0.55)
        if lines:
            minutes, values = interpolated(lines)
            axes.plot(minutes, np.median(values, axis=0), color=colour, linewidth=2.2, label=variant)
    axes.axhline(value(results[0].measured["real"]), color=MUTED, linewidth=1.2, dashes=(4, 2), label=REAL)
    plain(axes, size=8.0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def line_of(result: Result, value: Callable[[Json], float]) -> tuple[list[float], list[float]]:
    """Minutes and values of a run's snapshots."""
    points = sorted(result.measured["points"].values(), key=lambda point: point["minutes"])
    return [point["minutes"] for point in points], [value(point) for point in points]
