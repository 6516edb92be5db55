"""What a benchmark found as Markdown, which reads well in a terminal too, as JSON and as one plot."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.data.names import visible
from brushwork.eval.report.plots import figure_png
from brushwork.scripts.bench.harness import Finding, Machine, Race, Table

OURS, THEIRS = "#3056a0", "#9aa3b2"
"""Colours of the bars."""


# Words
def markdown(table: Table) -> str:
    """A heading, the table with its columns padded to one width, and its notes."""
    rows = [tuple(map(_cell, row)) for row in (table.header, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(table.header))]
    lines = [_line(row, widths) for row in rows]
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    text = [f"### {table.title}", "", lines[0], f"|{rule}|", *lines[1:]]
    return "\n".join([*text, *(f"\n{note}" for note in table.notes)])


def _cell(text: str) -> str:
    """Names of runs come from the disk: none ends its cell or its row."""
    return visible(text).replace("|", r"\|")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


# Files
def write_findings(
    folder: Path, name: str, machine: Machine, sizes: Mapping[str, Any], found: Mapping[str, Finding], *,
    head: str = "",
) -> str:  # fmt: skip
    """`name`.json with all rounds, and `name`.md: `head`, or else the machine in words, and all tables. What
    stands in the second."""
    text = "\n\n".join([head or machine.words(), *(markdown(finding.table()) for finding in found.values())])
    write_file(folder / f"{name}.md", f"{text}\n")
    write_rounds(folder / f"{name}.json", machine, sizes, found)
    return text


def write_rounds(
    path: Path, machine: Machine, sizes: Mapping[str, Any], found: Mapping[str, Finding]
) -> None:
    """Everything with all rounds, whole or not at all; what is not a number becomes null."""
    report = {
        "machine": {
            "processor": machine.processor, "cores": machine.cores, "threads": machine.threads,
            "versions": machine.versions,
        },
        "sizes": sizes,
        "parts": {name: finding.to_json() for name, finding in found.items()},
    }  # fmt: skip
    write_json(path, _finite(report))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Plot
def plot(path: Path, found: Mapping[str, Finding]) -> bool:
    """One panel a race, a bar a candidate: median seconds by the clock, and the range of all rounds.

    Whether there was a race to plot.
    """
    races = [finding for finding in found.values() if isinstance(finding, Race)]
    if not races:
        return False
    heights = [len(race.timings.names) + 1.4 for race in races]
    sheet = Figure(figsize=(8, 0.34 * sum(heights) + 0.3), dpi=120, layout="constrained")
    panels = sheet.subplots(len(races), squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, race in zip(panels[:, 0], races, strict=True):
        _bars(axes, race)
    write_file(path, figure_png(sheet))
    return True


def _bars(axes: Axes, race: Race) -> None:
    names, timings = race.timings.names, race.timings
    medians = [timings.median(name) for name in names]
    below = [m - min(timings.wall[name]) for m, name in zip(medians, names, strict=True)]
    above = [max(timings.wall[name]) - m for m, name in zip(medians, names, strict=True)]
    colours = [OURS if name.startswith(race.yardstick) else THEIRS for name in names]
    axes.barh(names, medians, xerr=(below, above), color=colours, height=0.7, ecolor="#1f2430", capsize=2)
    for place, (name, median, over) in enumerate(zip(names, medians, above, strict=True)):
        words = f"  {median:.3g} s" + (f", {race.pictures / median:.1f} img/s" if race.pictures else "")
        axes.text(median + over, place, f"{words} ({timings.ratio(name):.2f} x)", va="center", size=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(m + o for m, o in zip(medians, above, strict=True)))
    axes.set_title(race.title, loc="left", size=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
