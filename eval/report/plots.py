"""The report's plots, as PNG bytes: drawn by matplotlib's objects, which touch no global state.

All are drawn for one width, so that their letters come out equal below each other.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.transforms import Bbox

from brushwork.data.lettering import readable

from ..pairs.figures import BASELINES, RESTYLED, about_logged
from ..results import METRIC_INFO, CurvePoint, MetricResult
from .tables import minus, number, numbers, shortened

INK, MUTED, ACCENT, MARK = "#1f2430", "#596275", "#3056a0", "#b54708"
"""Text, secondary text, what was measured, the real level: apart in lightness too, for any eye."""

LINES = (ACCENT, MARK, "#1b7f5f", "#7a3b8f")
"""Colours of the lines of one panel."""

WIDTH, DPI = 8.4, 144
"""Of every plot: inches, and pixels an inch."""

MANY = 10
"""Styles from which on plots are laid out more closely."""


# Bars
def worst_first(figure: MetricResult) -> list[int]:
    """Indices of the styles, the worst first; those without a figure come last."""
    sign = -1 if figure.about.better == "less" else 1
    values = figure.measured.per_style
    return sorted(range(len(values)), key=lambda s: math.inf if math.isnan(values[s]) else sign * values[s])


def style_bars(figure: MetricResult, style_names: Sequence[str]) -> bytes:
    """A figure of each style, worst on top, with the level of held-out real pictures as a mark."""
    count = len(style_names)
    sheet = Sheet(
        figsize=(WIDTH, 0.9 + count * (0.42 if count <= MANY else 0.27)), dpi=DPI, layout="constrained"
    )
    axes = sheet.subplots()
    _bars(axes, figure, worst_first(figure), style_names, size=9.0)
    axes.set_xlabel(f"{figure.about.title} ({figure.about.better} is better)")
    handles, labels = axes.get_legend_handles_labels()
    sheet.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=2, frameon=False, fontsize=9.0)
    return png(sheet)


def small_multiples(
    figures: Sequence[MetricResult], style_names: Sequence[str], order: Sequence[int]
) -> bytes:
    """The same for several figures, one panel each, styles from top to bottom in `order`."""
    row_height = len(order) * (0.24 if len(order) <= MANY else 0.17) + 0.75
    sheet, panels = _panels(len(figures), row_height, sharey=True)
    for axes, figure in zip(panels, figures, strict=True):
        _bars(axes, figure, order, style_names, size=7.0)
        _title(axes, figure.about.title)
        axes.set_xlabel(f"{figure.about.better} is better")
    return png(sheet)


def _bars(
    axes: Axes, figure: MetricResult, order: Sequence[int], style_names: Sequence[str], *, size: float
) -> None:
    values = [figure.measured.per_style[s] for s in order]
    places = range(len(order))
    axes.barh(places, [_or_zero(value) for value in values], height=0.62, color=ACCENT, label="measured")
    levels = figure.real.per_style if figure.real else ()
    real = [levels[s] if levels else math.nan for s in order]
    if levels:
        bottoms, tops = [i - 0.4 for i in places], [i + 0.4 for i in places]
        axes.vlines(real, bottoms, tops, color=MARK, linewidth=2.2, label="held-out real pictures")
    low, high = (limit(0.0, *map(_or_zero, values), *map(_or_zero, real)) for limit in (min, max))
    span = (high - low) or 1.0
    # The numbers stand in a column of their own: behind a mark they would seem to be the mark's.
    column = span * (0.09 if size > 8 else 0.28)
    axes.set_xlim(low - (0.03 * span if low < 0 else 0), high + column)
    axes.set_ylim(len(order) - 0.4, -0.6)
    for i, text in enumerate(numbers(values, 3)):
        where = axes.get_yaxis_transform()
        label = axes.text(1, i, minus(text), transform=where, ha="right", va="center", fontsize=size)
        label.set_in_layout(False)  # it is inside, and every text that counts costs time
    plain(axes, size=size)
    axes.locator_params(axis="x", nbins=8 if size > 8 else 5)
    axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= high])
    axes.set_yticks(places, [axis_name(style_names[s]) for s in order])
    if low < 0:
        axes.axvline(0, color=MUTED, linewidth=0.6)


# Curves
def curve(points: Sequence[CurvePoint], across: str) -> bytes:
    """Scores over the settings of a knob, each point with its value; shares of one figure in one panel.

    Figures that are distances have a panel each. `across` says what the knob is.
    """
    names = list(dict.fromkeys(name for point in points for name in point.scores))
    shares = [name for name in names if _kind(name) == "share"]
    groups = [[name] for name in names if name not in shares] + ([shares] if shares else [])
    sheet, panels = _panels(len(groups), 2.9, columns=2)
    for axes, group in zip(panels, groups, strict=True):
        lines = {
            name: [(point.x, point.scores[name]) for point in points if name in point.scores]
            for name in group
        }
        for (name, line), colour, marker in zip(lines.items(), LINES * 4, "osD^" * 4, strict=False):
            axes.plot(
                *zip(*line, strict=True), color=colour, marker=marker, markersize=4.5, label=_words(name)
            )
            _point_values(axes, line, [other for other in lines.values() if other is not line])
        if len(group) == 1:
            _title(axes, _words(group[0]))
        else:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, fontsize=9.0)
        plain(axes, size=9.0)
        axes.margins(x=0.08, y=0.16)
        axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
        axes.set_xticks([point.x for point in points])
        axes.set_xlabel(across)
    return png(sheet)


def _point_values(
    axes: Axes, line: list[tuple[float, float]], others: list[list[tuple[float, float]]]
) -> None:
    """Each point's value, above it or, where another line is higher, below; three lines have no room."""
    if len(others) > 1:
        return
    for i, (x, value) in enumerate(line):
        under = bool(others) and i < len(others[0]) and others[0][i][1] > value
        axes.annotate(
            minus(number(value, 3)), (x, value), (0, -6 if under else 6), textcoords="offset points",
            ha="center", va="top" if under else "bottom", fontsize=8, color=INK,
        )  # fmt: skip


def training_curves(history: Sequence[Mapping[str, float | int]]) -> bytes | None:
    """Figures over thousands of images, one panel a figure with its best point marked; None without any.

    `history` are lines of metrics.jsonl: those that have `nimg` and names of figures count. The mean and the
    worst of the styles, `<figure>_style_mean` and `<figure>_worst_style`, run along as thin lines; the
    baselines of a figure of restyled pictures, `<figure>_unchanged` and so on, lie across its panel.
    """
    names = [name for name in dict.fromkeys(key for line in history for key in line) if about_logged(name)]
    curves = {name: found for name in names if (found := _over_kimg(history, name))}
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
        axes.annotate(
            minus(number(best[1], 3)), best, (0, -7 if less else 7), ha="center",
            va="top" if less else "bottom", textcoords="offset points", fontsize=8, color=MARK,
        )  # fmt: skip
        _title(axes, _words(name))
        plain(axes, size=8.0)
        axes.margins(x=0.1, y=0.2)
        axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
        axes.set_xlabel("thousand images")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=7.0)
    return png(sheet)


def _lines_beside(
    axes: Axes, history: Sequence[Mapping[str, float | int]], name: str, line: list[tuple[float, float]]
) -> None:
    """What a curve is read against: the mean and the worst of the styles, and baselines."""
    for suffix, words, dashes in (
        ("style_mean", "mean over styles", "--"),
        ("worst_style", "worst style", ":"),
    ):
        beside = _over_kimg(history, f"{name}_{suffix}")
        if beside and beside != line:
            axes.plot(*zip(*beside, strict=True), dashes, color=MUTED, linewidth=1, label=words)
    for (words, suffix), colour in zip(BASELINES.items(), LINES[2:], strict=True):
        level = _over_kimg(history, f"{name}_{suffix}")
        if level:
            axes.axhline(level[-1][1], color=colour, linewidth=1.2, dashes=(4, 2), label=words)


def _over_kimg(history: Sequence[Mapping[str, float | int]], name: str) -> list[tuple[float, float]]:
    points = {line["nimg"] / 1000: line[name] for line in history if "nimg" in line and name in line}
    return sorted((x, value) for x, value in points.items() if value is not None and math.isfinite(value))


def _bare(name: str) -> str:
    return name.partition("@")[0]


def _kind(name: str) -> str:
    return METRIC_INFO[_bare(name)].kind if _bare(name) in METRIC_INFO else "distance"


def _words(name: str) -> str:
    bare, _, features = name.partition("@")
    about = about_logged(bare)
    title = about.title if about else bare.replace("_", " ")
    restyled = "restyled: " if about and bare.startswith(RESTYLED) else ""
    return f"{restyled}{title}, {features}" if features else f"{restyled}{title}"


# Drawing
def _panels(
    count: int, row_height: float, *, columns: int = 3, sharey: bool = False
) -> tuple[Sheet, list[Axes]]:
    """Panels row by row, and nothing in the places that are left over."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    sheet = Sheet(figsize=(WIDTH, row_height * rows), dpi=DPI, layout="constrained")
    grid = sheet.subplots(rows, columns, sharey=sharey, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return sheet, grid[:count]


def _title(axes: Axes, words: str) -> None:
    axes.set_title(textwrap.fill(words, 28), loc="left", fontsize=9, color=INK, weight="bold")


def plain(axes: Axes, *, size: float) -> None:
    """No frame, no ticks, letters of `size`."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=size)
    axes.xaxis.label.set(color=MUTED, size=size)
    axes.yaxis.label.set(color=MUTED, size=size)


def axis_name(style: str) -> str:
    """A style's name as an axis shows it: letters the font has, not too long, no formula between dollars."""
    return shortened(readable(style), 24).replace("$", r"\$")


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def png(sheet: Sheet) -> bytes:
    """The sheet as the bytes of a PNG file, at its full width, without what is empty above and below."""
    engine = sheet.get_layout_engine()
    if engine is not None:  # lays out now, so that the bounds are known, and not once more while drawing
        engine.execute(sheet)
        sheet.set_layout_engine("none")
    box = sheet.get_tightbbox()
    inside = Bbox([[0, box.y0 - 0.04], [WIDTH, box.y1 + 0.04]])
    return figure_png(sheet, bbox_inches=inside)


def figure_png(figure: Sheet, *, dpi: int | None = None, bbox_inches: Bbox | None = None) -> bytes:
    """Any figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi or figure.dpi, bbox_inches=bbox_inches)
    return buffer.getvalue()
