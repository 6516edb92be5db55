"""The report of the runs: results.json, a table of medians, curves, and a grid of each variant."""

import json
import math
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.eval.report.plots import INK, LINES, MUTED, figure_png, plain
from brushwork.eval.report.tables import NOTHING, number
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.bench.quality import interpolated
from brushwork.scripts.bench.report import markdown
from brushwork.scripts.experiments.collection_measurement import CURVE_FILE, FINAL_FILE, is_complete
from brushwork.scripts.experiments.collection_runs import FINISHED, Run, seconds_at, snapshots
from brushwork.training.run.run_folder import RunFolder

NOTE = (
    "Medians over the runs, with the range in brackets. Diversity is a share of that of real pictures. The "
    "reference is the training split alone. The last row has the held-out pictures in place of samples; its "
    "modes are those of the training pictures. There are fewer held-out pictures than samples, so their FD "
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
    def curve(self) -> Json:
        return json.loads((self.run.folder / CURVE_FILE).read_text())

    @cached_property
    def final(self) -> Json:
        return json.loads((self.run.folder / FINAL_FILE).read_text())

    @cached_property
    def training(self) -> Json:
        """Why the training ended, its images and minutes, images a second and precision."""
        folder, images = self.run.folder, list(snapshots(self.run.folder))[-1]
        seconds, config = seconds_at(images, folder), RunFolder(folder).read()
        return {
            "reason": json.loads((folder / FINISHED).read_text())["reason"],
            "images": images, "minutes": seconds / 60,
            "img_per_s": images / seconds if seconds else None,
            "precision": config.setup.precision if config else None,
        }  # fmt: skip

    def to_json(self) -> Json:
        run = self.run
        return {
            "collection": run.collection, "variant": run.variant, "seed": run.seed, **self.training,
            "curve": self.curve, "final": self.final,
        }  # fmt: skip


def write_report(folder: Path, runs: Sequence[Run]) -> None:
    """Writes the report of those runs that are complete, if there are any."""
    results = [Result(run=run) for run in runs if is_complete(run)]
    if not results:
        return
    here = machine(("torch",))
    content = {
        "machine": {"processor": here.processor, "cores": here.cores, "torch": here.versions["torch"]},
        "precision": sorted({result.training["precision"] for result in results}),
        "runs": [result.to_json() for result in results],
    }
    write_json(folder / "results.json", content)
    write_file(folder / "table.md", f"{markdown(table(results))}\n")
    write_file(folder / "curves.png", figure_png(curves(results)))
    for result in results:
        grids = sorted((result.run.folder / "samples").glob("*px.png"))
        if result.run.seed == 0 and grids:
            name = f"grid-{result.run.collection}-{result.run.variant}.png"
            shutil.copyfile(grids[-1], folder / name)


# Table
@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric of the table: its name in a final measurement, over all styles or of the worst."""

    title: str
    figure: str
    worst_style: bool = False

    def of(self, final: Json, side: Side) -> float | None:
        """The value of the samples or of the held-out images; None if it was not measured."""
        if self.figure in ("found", "recognised"):
            modes = final.get("modes" if side == "measured" else "real_modes")
            values = list(modes[self.figure].values()) if modes else []
            return (min(values) if self.worst_style else statistics.mean(values)) if values else None
        figure = final["measures"]["figures"].get(self.figure, {}).get(side)
        if figure is None:
            return None
        return min(figure["per_style"]) if self.worst_style else figure["value"]


def columns(evaluators: Sequence[str]) -> list[Column]:
    """The columns of the table: distances by each evaluator, all else by the first."""
    distances = [
        Column(title=f"{title} {evaluator}", figure=name if i == 0 else f"{name}@{evaluator}")
        for name, title in (("fd", "FD"), ("kid", "KID"))
        for i, evaluator in enumerate(evaluators)
    ]
    return [
        *(
            Column(title=f"{name}, worst style", figure=name, worst_style=True)
            for name in ("diversity", "recall", "coverage")
        ),
        Column(title="precision", figure="precision"),
        *distances,
        Column(title="accuracy", figure="accuracy"),
        Column(title="copies", figure="copies"),
        Column(title="modes, worst style", figure="found", worst_style=True),
        Column(title="modes, mean", figure="found"),
        Column(title="recognised", figure="recognised"),
    ]


def median_and_range(values: Sequence[float]) -> str:
    """The median, with the range if it is not a single value: `0.81 (0.78..0.85)`."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return NOTHING
    low, middle, high = (number(value, 3) for value in (min(known), statistics.median(known), max(known)))
    return middle if low == high else f"{middle} ({low}..{high})"


def table(results: Sequence[Result]) -> Table:
    """A row for each variant on each collection, and one for the held-out images of each collection."""
    shown = columns(results[0].run.evaluators)

    def cells(own: Sequence[Result], side: Side) -> list[str]:
        values = [[column.of(result.final, side) for result in own] for column in shown]
        return [median_and_range([value for value in one if value is not None]) for one in values]

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
        header=("collection", "variant", "runs", "thousand images", *(column.title for column in shown)),
        rows=tuple(rows),
        notes=(NOTE,),
    )


# Curves
PANELS: dict[str, Callable[[Json], float]] = {
    "diversity in pixels,\nworst style": lambda point: least(point["pixel_diversity"]),
    "diversity in features,\nworst style": lambda point: least(point["diversity"]),
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
    axes.axhline(value(results[0].curve["real"]), color=MUTED, linewidth=1.2, dashes=(4, 2), label=REAL)
    plain(axes, size=8.0)
    axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def line_of(result: Result, value: Callable[[Json], float]) -> tuple[list[float], list[float]]:
    """Minutes and values of a run's snapshots."""
    points = sorted(result.curve["points"].values(), key=lambda point: point["minutes"])
    return [point["minutes"] for point in points], [value(point) for point in points]
