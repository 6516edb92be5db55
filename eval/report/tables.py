"""Figures as text: numbers with sensible digits, columns of a report, and tables for a terminal."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..results import ADVICE, Measurement, MetricResult, Score

WIDTH = 100
"""Characters in a line of a table for a terminal, at most."""

NOTHING = "–"
"""Text of a missing value, as of a style without images."""


# Numbers
def number(value: float, digits: int = 4) -> str:
    """Returns a number with `digits` significant digits, as a power of ten below 0.001 and from 10^7 on."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return NOTHING if math.isnan(value) else str(value)
    decimals = _decimals(value, digits)
    return f"{value:.{digits - 1}e}" if decimals is None else f"{value:.{decimals}f}"


def with_spread(score: Score) -> str:
    """Returns `0.485 ± 0.011`: the value to the second digit of its spread, or to its own fourth digit."""
    value, spread = score.value, score.spread
    if spread is None or not math.isfinite(value) or not math.isfinite(spread):
        return number(value)
    if spread == 0:
        return f"{number(value)} ± 0"
    finest = [decimals for decimals in (_decimals(value), _decimals(spread, 2)) if decimals is not None]
    if len(finest) < 2:
        return f"{number(value)} ± {spread:.2g}"
    digits = f"{spread:.{min(finest)}f}"
    # A spread below the value's last digit must not read as 0.
    return f"{value:.{min(finest)}f} ± {digits if float(digits) else f'{spread:.1g}'}"


def numbers(values: Sequence[float], digits: int = 4) -> list[str]:
    """Returns the numbers of a column, all with the decimals that show `digits` digits of the largest."""
    decimals = _decimals(max((abs(value) for value in values if math.isfinite(value)), default=0), digits)
    if decimals is None:
        return [number(value, digits) for value in values]
    return [f"{value:.{decimals}f}" if math.isfinite(value) else number(value) for value in values]


def rounded(score: Score) -> str:
    """Returns the value alone, to the digits that its spread allows: `0.485`."""
    return with_spread(score).partition(" ")[0]


def minus(text: str) -> str:
    """Returns the text with typographic minus signs, which are as wide as a plus."""
    return text.replace("-", "\u2212")


def _decimals(value: float, digits: int = 4) -> int | None:
    """Returns the decimals that show `digits` significant digits; None for powers of ten."""
    magnitude = math.floor(math.log10(abs(value))) if value else None
    return max(0, digits - 1 - magnitude) if magnitude is not None and -3 <= magnitude < 7 else None


def shortened(text: str, limit: int) -> str:
    """Returns at most `limit` characters, with an ellipsis in place of the middle."""
    if len(text) <= limit:
        return text
    end = (limit - 1) // 3
    return f"{text[: limit - 1 - end]}…{text[len(text) - end :]}"


# Columns
def by_features(measures: Measurement) -> dict[str, dict[str, MetricResult]]:
    """Returns {features: {name: figure}} in the order of measurement, names without `@features`."""
    groups: dict[str, dict[str, MetricResult]] = {}
    for name, figure in measures.figures.items():
        groups.setdefault(figure.features, {})[name.partition("@")[0]] = figure
    return groups


def by_style(measures: Measurement) -> dict[str, MetricResult]:
    """Returns the figures with a value for each style, in the first feature space."""
    return {
        name: figure
        for name, figure in measures.figures.items()
        if figure.measured.per_style and "@" not in name
    }


def figure_cells(figure: MetricResult, style_names: Sequence[str]) -> dict[str, str]:
    """Returns a figure's row of the table of figures by heading, empty where there is no value."""
    scores = {"held-out real": figure.real, "control": figure.control, "control, real": figure.control_real}
    worst = figure.worst()
    return {
        "measured": with_spread(figure.measured),
        **{heading: "" if score is None else rounded(score) for heading, score in scores.items()},
        "worst style": "" if worst is None else style_names[worst],
    }


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table of styles: short and full heading, one cell for each style."""

    name: str
    title: str
    cells: tuple[str, ...]


def style_columns(figures: Mapping[str, MetricResult]) -> list[Column]:
    """Returns a column for each figure. Distance and accuracy are followed by their real level."""
    real = {"fd": ("real fd", "of real images"), "accuracy": ("ceiling", "ceiling")}

    def column(name: str, title: str, score: Score) -> Column:
        return Column(name=name, title=title, cells=tuple(numbers(score.per_style)))

    columns = []
    for name, figure in figures.items():
        columns.append(column(name, figure.about.title, figure.measured))
        if name in real and figure.real and figure.real.per_style:
            columns.append(column(*real[name], figure.real))
    return columns


# Terminal
def table(measures: Measurement) -> str:
    """Returns all figures as text for a terminal, at most 100 characters wide.

    In this order: a warning if styles have collapsed, each figure beside its ceiling and its control, what
    two evaluators disagree on, distance and accuracy of each style, baselines, and what was left out.
    """
    notes = [line for note in measures.notes for line in textwrap.wrap(f"left out: {note}", WIDTH)]
    warning = textwrap.wrap(f"{measures.warning}. To try: {ADVICE}.", WIDTH) if measures.warning else []
    cautions = [line for each in measures.cautions for line in textwrap.wrap(f"caution: {each}", WIDTH)]
    disagreements = [
        line for each in measures.disagreements for line in textwrap.wrap(f"disagreement: {each}", WIDTH)
    ]
    parts = [
        warning, _figure_lines(measures), cautions, disagreements, _style_lines(measures),
        _baseline_lines(measures), notes,
    ]  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def aligned(
    rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,), flexible: Sequence[int] = (0,)
) -> list[str]:
    """Returns one line for each row, columns aligned right, those with indices in `left` aligned left.

    If lines are longer than WIDTH, the widest of the `flexible` columns are shortened.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    surplus = sum(widths) + 2 * (len(widths) - 1) - WIDTH
    for _ in range(max(0, surplus) if flexible else 0):
        widest = max(flexible, key=lambda c: widths[c])
        widths[widest] = max(12, widths[widest] - 1)

    def cell(text: str, c: int) -> str:
        return text.ljust(widths[c]) if c in left else text.rjust(widths[c])

    return [
        "  ".join(cell(shortened(text, widths[c]), c) for c, text in enumerate(row)).rstrip() for row in rows
    ]


def _figure_lines(measures: Measurement) -> list[str]:
    if not measures.figures:
        return ["Nothing was measured."]
    groups = by_features(measures)
    heads = ["figure", "better", "measured", "real", "control", "control, real", "worst style", ""]
    rows = [
        [f"  {name}", figure.about.better, *figure_cells(figure, measures.style_names).values(),
         "*" if figure.control_matches else ""]
        for figures in groups.values()
        for name, figure in figures.items()
    ]  # fmt: skip
    kept = [c for c in range(len(heads)) if any(row[c] for row in rows)]
    words = [place for place, c in enumerate(kept) if heads[c] in ("figure", "better", "worst style", "")]
    flexible = [place for place, c in enumerate(kept) if heads[c] in ("figure", "worst style")]
    lines = aligned([[row[c] for c in kept] for row in (heads, *rows)], left=words, flexible=flexible)
    shown, rest = lines[:1], iter(lines[1:])
    for features, figures in groups.items():
        shown += [f"{features}:", *islice(rest, len(figures))]
    if any(row[-1] for row in rows):
        shown += ["", "*: random weights score the same, so the figure is no evidence of learnt perception."]
    return shown


def _style_lines(measures: Measurement) -> list[str]:
    styled = by_style(measures)
    wanted = [name for name in ("fd", "accuracy") if name in styled] or list(styled)[:2]
    if not wanted:
        return []
    columns = style_columns({name: styled[name] for name in wanted})
    worst = styled[wanted[0]].worst()
    rows = [["style", *(column.name for column in columns), ""]]
    for s, name in enumerate(measures.style_names):
        rows.append([name, *(column.cells[s] for column in columns), "<- worst" if s == worst else ""])
    return aligned(rows, left=(0, len(columns) + 1))


def _baseline_lines(measures: Measurement) -> list[str]:
    rows = [
        [name, with_spread(figure.measured), baseline, with_spread(score)]
        for name, figure in measures.figures.items()
        for baseline, score in figure.baselines.items()
    ]
    heads = ["figure", "measured", "baseline", "its score"]
    return aligned([heads, *rows], left=(0, 2), flexible=(2, 0)) if rows else []
