"""What a search has found, to read: a table, a CSV file, a picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from brushwork.data import files
from brushwork.eval.pairs.figures import RESTYLED, about_logged
from brushwork.eval.report.plots import ACCENT, DPI, INK, MARK, MUTED, WIDTH, plain, png
from brushwork.eval.report.tables import NOTHING, aligned, number

from .search_space import Choice, Dimension, Range, Space, Value
from .study import Record

COLUMNS = 4
"""Panels of fields beside each other."""


# Text
def short_names(names: Sequence[str]) -> list[str]:
    """`optimizer.generator_lr` -> `generator_lr`, where no other field ends alike."""
    ends = [name.rpartition(".")[2] for name in names]
    return [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)]


def setting(value: Value) -> str:
    """A searched field's value: whole numbers as they are, others to three digits."""
    return str(value) if isinstance(value, int) else number(value, 3)


def trial_line(record: Record, figure: str) -> str:
    """What became of one trial, for the terminal while others follow."""
    value = NOTHING if record.value is None else number(record.value)
    settings = zip(short_names(list(record.values)), record.values.values(), strict=True)
    words = " ".join(f"{name}={setting(value)}" for name, value in settings)
    return f"trial {record.number}: {record.end}, {figure} {value} | {words}"


def trial_table(found: Sequence[Record], best: Record | None, names: Sequence[str], figure: str) -> str:
    """One line a trial, the best one marked."""
    heads = ["trial", "end", figure, "measured", *short_names(names), ""]
    rows = [
        [
            str(record.number), record.end, NOTHING if record.value is None else number(record.value),
            str(len(record.measured)), *(setting(record.values[name]) for name in names),
            "<- best" if best is not None and record.number == best.number else "",
        ]
        for record in found
    ]  # fmt: skip
    last = len(heads) - 1
    return "\n".join(aligned([heads, *rows], left=(1, last), flexible=()))


def importance_lines(parts: Mapping[str, float]) -> str:
    """Each field's part in reaching the best values."""
    rows = [[name, f"{part:.0%}"] for name, part in parts.items()]
    return "\n".join(aligned([["importance", ""], *rows]))


def write_csv(path: Path, found: Sequence[Record], names: Sequence[str], figure: str) -> None:
    """One row a trial, every value in full."""
    files.write_csv(path, [
        {
            "trial": record.number, "end": record.end, figure: "" if record.value is None else record.value,
            "measured": len(record.measured), **{name: record.values[name] for name in names},
        }
        for record in found
    ])  # fmt: skip


# Picture
def tuning_picture(
    found: Sequence[Record], space: Space, figure: str, better: Literal["less", "more"]
) -> bytes | None:
    """The value of every trial with the best so far, and below it against each field, as a PNG; None as long
    as nothing was measured."""
    if not any(record.measured for record in found):
        return None
    searched = [dimension for dimension in space if len(dimension.ends) > 1]
    columns = max(1, min(COLUMNS, len(searched)))
    rows = math.ceil(len(searched) / columns)
    sheet = Sheet(figsize=(WIDTH, 2.7 + 2.1 * rows), dpi=DPI, layout="constrained")
    grid = sheet.add_gridspec(1 + rows, columns, height_ratios=[2.7, *[2.1] * rows])
    wide = sheet.add_subplot(grid[0, :])
    draw_course(wide, found, better)
    _dress(wide, found, better)
    wide.set_xlabel("trial")
    wide.set_ylabel(_title(figure, better))
    wide.locator_params(axis="x", integer=True)
    names = short_names([dimension.name for dimension in searched])
    for i, (dimension, name) in enumerate(zip(searched, names, strict=True)):
        axes = sheet.add_subplot(grid[1 + i // columns, i % columns], sharey=wide)
        draw_field(axes, found, dimension)
        _dress(axes, found, better)
        axes.set_xlabel(name)
        axes.tick_params(labelleft=i % columns == 0)
    handles, labels = wide.get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False, fontsize=9.0)
    return png(sheet)


def draw_field(axes: Axes, found: Sequence[Record], dimension: Dimension) -> None:
    """Values by what the field was, over all that it could be."""
    values = [record.values[dimension.name] for record in found]
    if isinstance(dimension, Choice):
        options = dimension.options
        _points(axes, found, [options.index(value) for value in values])
        axes.set_xticks(range(len(options)), [f"{option:g}" for option in options])
        axes.set_xlim(-0.5, len(options) - 0.5)
        return
    _points(axes, found, values)
    axes.set_xscale("log" if dimension.log else "linear")
    places = [place_in(dimension, share) for share in (0.0, 0.5, 1.0)]
    axes.set_xticks(places, [f"{place:.2g}" for place in places])
    axes.minorticks_off()
    axes.set_xlim(place_in(dimension, -0.1), place_in(dimension, 1.1))


def place_in(span: Range, share: float) -> float:
    """From the lower end, share 0, to the upper, share 1, evenly in the range's own measure."""
    if span.log:
        return span.low * (span.high / span.low) ** share
    return span.low + (span.high - span.low) * share


def draw_course(axes: Axes, found: Sequence[Record], better: Literal["less", "more"]) -> None:
    """Values by trial, with a line through the best so far."""
    _points(axes, found, [record.number for record in found])
    xs, ys = best_so_far(found, better)
    if xs:
        axes.step([*xs, found[-1].number], [*ys, ys[-1]], where="post", color=MARK, label="best so far")


def best_so_far(found: Sequence[Record], better: Literal["less", "more"]) -> tuple[list[int], list[float]]:
    """Numbers and values of the complete trials that were better than all before them."""
    xs: list[int] = []
    ys: list[float] = []
    for record in found:
        if record.end != "complete" or record.value is None:
            continue
        if not ys or (record.value < ys[-1] if better == "less" else record.value > ys[-1]):
            xs.append(record.number)
            ys.append(record.value)
    return xs, ys


def _points(axes: Axes, found: Sequence[Record], xs: Sequence[Value]) -> None:
    """Complete trials as dots; pruned ones, at the value they had then, as rings; diverged ones as ticks."""
    for end, marker, colour, fill in (
        ("complete", "o", ACCENT, ACCENT), ("pruned", "o", MUTED, "none"), ("diverged", "x", INK, INK),
    ):  # fmt: skip
        chosen = [
            (x, record.value)
            for x, record in zip(xs, found, strict=True)
            if record.end == end and record.value is not None
        ]
        if chosen:
            axes.plot(
                *zip(*chosen, strict=True), marker, color=colour, markerfacecolor=fill, markersize=4.5,
                label=end,
            )  # fmt: skip


def _dress(axes: Axes, found: Sequence[Record], better: Literal["less", "more"]) -> None:
    values = [record.value for record in found if record.value is not None]
    # A distance may be many times that of the best, beside which nothing else would be seen.
    if better == "less" and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    plain(axes, size=8.0)
    axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
    axes.margins(x=0.08, y=0.1)


def _title(figure: str, better: str) -> str:
    about, features = about_logged(figure), figure.partition("@")[2]
    title = about.title if about else figure
    if figure.startswith(RESTYLED):
        title = f"restyled: {title}"
    return f"{title}{f', {features}' if features else ''} ({better} is better)"
