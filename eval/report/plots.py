"""The plots of the report, as PNG bytes: bars, curves and heat maps of figures.

Plots have one of two widths, so that their letters have one size on the page. They use matplotlib's objects,
not its global state.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Sheet
from matplotlib.transforms import Bbox

from brushwork.data.lettering import readable

from ..results import RESTYLED, UNCHANGED, UNCHANGED_SUFFIX, CurvePoint, MetricResult, about_logged
from .tables import minus, number, numbers, shortened

INK, MUTED, ACCENT, MARK, GRID = "#1f2430", "#596275", "#3056a0", "#b54708", "#e6e9ef"
"""Colours of text, secondary text, measured values, real values and lines of a grid."""

LINES = (ACCENT, MARK, "#1b7f5f", "#7a3b8f")
"""Colours of the lines of one panel."""

WIDTH, NARROW, DPI = 8.4, 3.6, 144
"""Width of plots in inches on a page and on a phone, and pixels per inch."""

MANY = 10
"""Number of styles above which plots are laid out more closely."""

Line = list[tuple[float, float]]
History = Sequence[Mapping[str, float | int]]
"""Lines of metrics.jsonl."""


# Bars
def worst_first(figure: MetricResult) -> list[int]:
    """Returns the indices of the styles, the worst first. Styles without a value (NaN) come last."""
    sign = -1 if figure.about.better == "less" else 1
    values = figure.measured.per_style
    return sorted(range(len(values)), key=lambda s: math.inf if math.isnan(values[s]) else sign * values[s])


def bars(
    figures: Sequence[MetricResult], style_names: Sequence[str], order: Sequence[int], width: float = WIDTH
) -> bytes:
    """Plots figures of each style as bars, a panel each, the styles from top to bottom in `order`."""
    wide = len(figures) == 1 and width == WIDTH
    bar_height = (0.42 if wide else 0.24) / (1 if len(order) <= MANY else 1.5)  # inches
    sheet, panels = _panels(len(figures), len(order) * bar_height + 1.2, width, sharey=True)
    for axes, figure in zip(panels, figures, strict=True):
        _bars(axes, figure, order, style_names, size=9.0 if wide else 7.0)
        _title(axes, figure.about.title)
        axes.set_xlabel(f"{figure.about.better} is better")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = 2 if width == WIDTH else 1
    sheet.legend(
        handles[::-1], labels[::-1], loc="outside upper left", ncols=columns, frameon=False, fontsize=9.0
    )
    return png(sheet)


def _bars(
    axes: Axes, figure: MetricResult, order: Sequence[int], style_names: Sequence[str], *, size: float
) -> None:
    values = [figure.measured.per_style[s] for s in order]
    real = [figure.real.per_style[s] for s in order] if figure.real and figure.real.per_style else []
    places = np.arange(len(order))
    axes.barh(places, np.nan_to_num(values), height=0.62, color=ACCENT, label="measured")
    if real:
        axes.vlines(real, places - 0.4, places + 0.4, color=MARK, linewidth=2.2, label="held-out real images")
    low, high = (float(limit(0, *np.nan_to_num([*values, *real]))) for limit in (min, max))
    span = (high - low) or 1.0
    # Numbers have a column of their own: beside a mark they would seem to belong to it.
    column = span * (0.09 if size > 8 else 0.28)
    axes.set_xlim(low - (0.03 * span if low < 0 else 0), high + column)
    axes.set_ylim(len(order) - 0.4, -0.6)
    for place, text in enumerate(numbers(values, 3)):
        where = axes.get_yaxis_transform()
        label = axes.text(1, place, minus(text), transform=where, ha="right", va="center", fontsize=size)
        label.set_in_layout(False)  # it lies inside, and layout takes time for every text
    plain(axes, size=size)
    axes.locator_params(axis="x", nbins=8 if size > 8 else 5)
    axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= high])
    axes.set_yticks(places, [axis_name(style_names[s]) for s in order])
    if low < 0:
        axes.axvline(0, color=MUTED, linewidth=0.6)


# Curves
def curve(points: Sequence[CurvePoint], across: str, width: float = WIDTH) -> bytes:
    """Plots scores over a parameter, a panel each."""
    names = list(dict.fromkeys(name for point in points for name in point.scores))
    sheet, panels = _panels(len(names), 2.3, width)
    for axes, name in zip(panels, names, strict=True):
        line = [(point.x, point.scores[name]) for point in points if name in point.scores]
        axes.plot(*zip(*line, strict=True), color=ACCENT, marker="o", markersize=4.5)
        for point in line:
            _annotate(axes, point, below=False, colour=INK)
        _title(axes, _words(name))
        _line_axes(axes, size=8.0, margins=(0.08, 0.2), across=across)
        axes.set_xticks([point.x for point in points])
    return png(sheet)


def training_curves(history: History) -> bytes | None:
    """Plots the figures of a log over thousands of images, a panel each, the best point marked. None without
    figures. Thin lines are `<figure>_style_mean` and `<figure>_worst_style`, horizontal ones baselines."""
    names = [name for name in dict.fromkeys(key for line in history for key in line) if about_logged(name)]
    curves = {name: points for name in names if (points := _over_kimg(history, name))}
    if not curves:
        return None
    sheet, panels = _panels(len(curves), 2.3)
    for axes, (name, line) in zip(panels, curves.items(), strict=True):
        _lines_beside(axes, history, name, line)
        axes.plot(*zip(*line, strict=True), color=ACCENT, marker="o", markersize=2.5, linewidth=1.6)
        about = about_logged(name)
        less = about is not None and about.better == "less"
        best = (min if less else max)(line, key=lambda point: point[1])
        axes.plot(*best, "o", color=MARK, markersize=7, fillstyle="none", markeredgewidth=1.8)
        _annotate(axes, best, below=less, colour=MARK)
        _title(axes, _words(name))
        _line_axes(axes, size=8.0, margins=(0.1, 0.2), across="thousand images")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=7.0)
    return png(sheet)


def _lines_beside(axes: Axes, history: History, name: str, line: Line) -> None:
    """Plots the mean over the styles, the worst style and the baselines beside a curve."""
    for suffix, words, dashes in (
        ("style_mean", "mean over styles", "--"),
        ("worst_style", "worst style", ":"),
    ):
        beside = _over_kimg(history, f"{name}_{suffix}")
        if beside and beside != line:
            axes.plot(*zip(*beside, strict=True), dashes, color=MUTED, linewidth=1, label=words)
    if level := _over_kimg(history, name + UNCHANGED_SUFFIX):
        axes.axhline(level[-1][1], color=LINES[2], linewidth=1.2, dashes=(4, 2), label=UNCHANGED)


def _over_kimg(history: History, name: str) -> Line:
    points = {line["nimg"] / 1000: line[name] for line in history if "nimg" in line and name in line}
    return sorted((x, value) for x, value in points.items() if value is not None and math.isfinite(value))


def _words(name: str) -> str:
    """Returns the title of a figure of a log: `restyled: SSIM`, `Frechet distance, inception`."""
    figure, _, features = name.partition("@")
    about = about_logged(figure)
    title = about.title if about else figure.replace("_", " ")
    prefix = "restyled: " if about and figure.startswith(RESTYLED) else ""
    return prefix + ", ".join(filter(None, [title, features]))


def _line_axes(axes: Axes, *, size: float, margins: tuple[float, float], across: str) -> None:
    plain(axes, size=size)
    axes.margins(*margins)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlabel(across)


def _annotate(axes: Axes, point: tuple[float, float], *, below: bool, colour: str) -> None:
    """Writes the value of a point above or below it."""
    axes.annotate(
        minus(number(point[1], 3)), point, (0, -6 if below else 6), textcoords="offset points", ha="center",
        va="top" if below else "bottom", fontsize=8, color=colour,
    )  # fmt: skip


# Confusion
def confusion(figure: MetricResult, style_names: Sequence[str], width: float = WIDTH) -> bytes:
    """Plots the shares of each style that are recognised as every style, beside those of held-out real
    images: in percent for few styles, else by colour. Maps of many styles, and narrow ones, stand below
    each other."""
    scores = [score for score in (figure.measured, figure.real) if score is not None and score.matrix]
    count, names = len(style_names), [axis_name(name) for name in style_names]
    beside = len(scores) if count <= MANY and width == WIDTH else 1
    below = len(scores) // beside
    margin = 0.5 + 0.07 * max(map(len, names))  # of the names, in inches
    numbered = count <= 2 * MANY
    cell = min(0.8, (width - margin - (0.3 if numbered else 1.0) - 0.2 * (beside - 1)) / (count * beside))
    height = below * (count * cell + 0.3) + 0.4 + margin * (0.7 if count <= MANY else 1)
    sheet = Sheet(figsize=(width, height), dpi=DPI, layout="compressed")
    panels = sheet.subplots(below, beside, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    colours = ScalarMappable(Normalize(0, 1), "Blues")
    for axes, score, title in zip(panels, scores, ("Measured", "Held-out real images"), strict=False):
        axes.imshow(score.matrix, cmap=colours.cmap, norm=colours.norm)
        if numbered:
            _write_shares(axes, score.matrix, size=min(8.0, 21 * cell))
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        plain(axes, size=9.0 if cell > 0.24 else 7.5)
        axes.set_yticks(range(count), names)
    for axes in panels[-beside:]:
        turn = 40 if count <= MANY else 90
        axes.set_xticks(range(count), names, rotation=turn, ha="right" if turn < 90 else "center")
        axes.set_xlabel("style recognised (%)")
    panels[0].set_ylabel("target style")
    if not numbered:
        bar = sheet.colorbar(colours, ax=panels, shrink=0.8 / below, aspect=24, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=8, length=0, colors=INK)
    return png(sheet)


def _write_shares(axes: Axes, matrix: Sequence[Sequence[float]], *, size: float) -> None:
    """Writes the shares from half a percent on into their cells, white on dark blue."""
    for (row, column), value in np.ndenumerate(matrix):
        if value >= 0.005:
            colour = "white" if value > 0.72 else "black"
            text = f"{100 * value:.0f}"
            label = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
            label.set_in_layout(False)


# Drawing
def _panels(
    count: int, row_height: float, width: float = WIDTH, *, sharey: bool = False
) -> tuple[Sheet, list[Axes]]:
    """Returns a figure with `count` panels, row by row. Surplus places stay empty."""
    columns = min(3 if width == WIDTH else 1, count)
    rows = math.ceil(count / columns)
    sheet = Sheet(figsize=(width, row_height * rows), dpi=DPI, layout="constrained")
    grid = sheet.subplots(rows, columns, sharey=sharey, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return sheet, grid[:count]


def _title(axes: Axes, words: str) -> None:
    axes.set_title(textwrap.fill(words, 28), loc="left", fontsize=9, color=INK, weight="bold")


def plain(axes: Axes, *, size: float) -> None:
    """Removes frame and ticks, and sets labels in letters of `size` points."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=size)
    axes.xaxis.label.set(color=MUTED, size=size)
    axes.yaxis.label.set(color=MUTED, size=size)


def axis_name(style: str) -> str:
    """Returns a style's name for an axis: in the font's letters, shortened, dollar signs escaped."""
    return shortened(readable(style), 24).replace("$", r"\$")


def png(sheet: Sheet) -> bytes:
    """Returns a figure as PNG bytes at its full width, without empty space above and below."""
    engine = sheet.get_layout_engine()
    if engine is not None:  # lay out once, before the bounds are taken
        engine.execute(sheet)
        sheet.set_layout_engine("none")
    box = sheet.get_tightbbox()
    inside = Bbox([[0, box.y0 - 0.04], [sheet.get_figwidth(), box.y1 + 0.04]])
    return figure_png(sheet, bbox_inches=inside)


def figure_png(figure: Sheet, *, dpi: int | None = None, bbox_inches: Bbox | None = None) -> bytes:
    """Returns a figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi or figure.dpi, bbox_inches=bbox_inches)
    return buffer.getvalue()
