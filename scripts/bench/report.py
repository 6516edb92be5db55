"""Reports of benchmarks: Markdown that also reads well in a terminal, JSON with all rounds, and a plot."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.data.names import visible
from brushwork.eval.report.plots import figure_png
from brushwork.scripts.bench.harness import Comparison, Machine, Part, Table

OURS, THEIRS = "#3056a0", "#9aa3b2"
"""Colours of the bars."""
ERROR_BARS = "#1f2430"


# Text
def markdown(table: Table) -> str:
    """A heading, the table with aligned columns, and its notes."""
    rows = [tuple(map(_cell, row)) for row in (table.header, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(table.header))]
    lines = [_line(row, widths) for row in rows]
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    text = [f"### {table.title}", "", lines[0], f"|{rule}|", *lines[1:]]
    return "\n".join([*text, *(f"\n{note}" for note in table.notes)])


def _cell(text: str) -> str:
    """Escapes what would end a cell or a row: names of runs come from the disk."""
    return visible(text).replace("|", r"\|")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


# Files
def write_report(
    folder: Path,
    name: str,
    machine: Machine,
    sizes: Mapping[str, Any],
    parts: Mapping[str, Part],
    *,
    head: str = "",
    figure: Figure | None = None,
) -> str:
    """Writes `name`.json, `name`.md and, if there is something to plot, `name`.png.

    `head` is the first line of the Markdown, by default the machine. Without a `figure`, the plot shows the
    parts that are comparisons. Returns the Markdown, followed by a sentence that names the files.
    """
    text = "\n\n".join([head or machine.describe(), *(markdown(part.table) for part in parts.values())])
    write_file(folder / f"{name}.md", f"{text}\n")
    report = {
        "machine": asdict(machine), "sizes": sizes, "parts": {key: part.data for key, part in parts.items()}
    }  # fmt: skip
    write_json(folder / f"{name}.json", _finite(report))
    figure = figure or comparison_plot(parts)
    if figure is not None:
        write_file(folder / f"{name}.png", figure_png(figure))
    others = f"{name}.md" + (f", {name}.png" if figure is not None else "")
    return f"{text}\n\nAll rounds: {folder / f'{name}.json'}; {others} beside it"


def _finite(value: Any) -> Any:
    """Replaces NaN and infinities by None."""
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Plots
def comparison_plot(parts: Mapping[str, Part]) -> Figure | None:
    """A panel for each comparison, a bar for each candidate: median seconds and the range of all rounds.

    Returns None if no part is a comparison.
    """
    comparisons = [part for part in parts.values() if isinstance(part, Comparison)]
    if not comparisons:
        return None
    heights = [len(comparison.timings.names) + 1.4 for comparison in comparisons]
    figure = Figure(figsize=(8, 0.34 * sum(heights) + 0.3), dpi=120, layout="constrained")
    panels = figure.subplots(len(comparisons), squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, comparison in zip(panels[:, 0], comparisons, strict=True):
        _bars(axes, comparison)
    return figure


def _bars(axes: Axes, comparison: Comparison) -> None:
    timings, images = comparison.timings, comparison.images
    names = timings.names
    medians = [timings.median(name) for name in names]
    below = [m - min(timings.wall[name]) for m, name in zip(medians, names, strict=True)]
    above = [max(timings.wall[name]) - m for m, name in zip(medians, names, strict=True)]
    colours = [OURS if name.startswith(comparison.baseline) else THEIRS for name in names]
    axes.barh(names, medians, xerr=(below, above), color=colours, height=0.7, ecolor=ERROR_BARS, capsize=2)
    for place, (name, median, over) in enumerate(zip(names, medians, above, strict=True)):
        text = f"  {median:.3g} s" + (f", {images / median:.1f} img/s" if images else "")
        axes.text(median + over, place, f"{text} ({timings.ratio(name):.2f} x)", va="center", size=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(m + o for m, o in zip(medians, above, strict=True)))
    axes.set_title(comparison.title, loc="left", size=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
