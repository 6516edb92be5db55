"""Curves of the runs over minutes of training, a column a collection, and grids of their last pictures."""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.eval.report.plots import INK, LINES, MUTED, plain
from brushwork.scripts.experiments.collection_results import Result

Json = dict[str, Any]
Line = tuple[np.ndarray, np.ndarray]
"""Minutes (T,) and values (T,)."""

PANELS: dict[str, Callable[[Json], float]] = {
    "diversity in pixels,\nworst style": lambda point: least(point["pixel_diversity"]),
    "diversity in features,\nworst style": lambda point: least(point["diversity"]),
    "recall, worst style": lambda point: least(point["recall"]),
    "Fréchet distance": lambda point: point["fd"],
}
"""Rows of the picture: titles, and what is shown of the figures at a snapshot."""
STEPS = 200
"""Of a median that is drawn."""


def least(by_style: dict[str, float]) -> float:
    """Of the worst style; NaN where one has no figure."""
    return min(by_style.values()) if all(map(math.isfinite, by_style.values())) else math.nan


def line_of(result: Result, value: Callable[[Json], float]) -> Line:
    """One figure of a run at its snapshots."""
    points = sorted(result.curve["points"].values(), key=lambda point: point["minutes"])
    return np.array([p["minutes"] for p in points]), np.array([value(p) for p in points], dtype=float)


def median_line(lines: Sequence[Line]) -> Line:
    """The median over runs, where all of them have values; straight lines lie between snapshots."""
    begin, end = max(minutes[0] for minutes, _ in lines), min(minutes[-1] for minutes, _ in lines)
    at = np.linspace(begin, end, STEPS)
    return at, np.median([np.interp(at, *line) for line in lines], axis=0)


def curves(results: Sequence[Result]) -> Figure:
    """A row a figure, a column a collection. Thin lines: runs. Thick ones: medians. Dashes: real pictures."""
    collections = list(dict.fromkeys(result.run.collection for result in results))
    variants = list(dict.fromkeys(result.run.variant for result in results))
    size = (1.2 + 2.6 * len(collections), 0.6 + 1.9 * len(PANELS))
    sheet = Figure(figsize=size, dpi=120, layout="constrained")
    grid = sheet.subplots(len(PANELS), len(collections), squeeze=False, sharex="col")
    for row, (title, value) in enumerate(PANELS.items()):
        for column, collection in enumerate(collections):
            here = [result for result in results if result.run.collection == collection]
            axes = grid[row, column]
            _panel(axes, here, variants, value)
            axes.set_ylim(bottom=0)
            if column == 0:
                axes.set_ylabel(title)
            if row == 0:
                axes.set_title(collection, fontsize=10, color=INK, weight="bold")
            if row == len(PANELS) - 1:
                axes.set_xlabel("minutes of training")
    handles = {label: handle for axes in grid.ravel()
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    real = handles.pop("held-out real")
    sheet.legend(
        [*handles.values(), real], [*handles, "held-out real"], loc="outside upper center",
        ncols=len(handles) + 1, frameon=False, fontsize=9,
    )  # fmt: skip
    return sheet


def _panel(
    axes: Axes, results: Sequence[Result], variants: Sequence[str], value: Callable[[Json], float]
) -> None:
    for number, variant in enumerate(variants):
        lines = [line_of(result, value) for result in results if result.run.variant == variant]
        colour = LINES[number % len(LINES)]
        for line in lines:
            axes.plot(*line, color=colour, linewidth=0.7, alpha=0.55)
        if lines:
            axes.plot(*median_line(lines), color=colour, linewidth=2.2, label=variant)
    level = value(results[0].curve["real"])
    axes.axhline(level, color=MUTED, linewidth=1.2, dashes=(4, 2), label="held-out real")
    plain(axes, size=8.0)
    axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
    axes.set_xlim(left=0)


def copy_grid(result: Result, folder: Path) -> None:
    """The run's last grid of samples as `grid-<collection>-<variant>.png`."""
    found = sorted((result.run.folder / "samples").glob("*px.png"))
    if found:
        shutil.copyfile(found[-1], folder / f"grid-{result.run.collection}-{result.run.variant}.png")
