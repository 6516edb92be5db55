"""The report as one HTML page without scripts or links, which can be mailed as one file."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..collapse import ADVICE
from ..results import Measurement, MetricResult
from .grids import BEST_AND_WORST, NEAREST, SAMPLES
from .plots import confusion_maps, curve, similarity_maps, small_multiples, style_bars, worst_first
from .tables import (
    Column,
    by_features,
    by_style,
    figure_cells,
    minus,
    number,
    own_figures,
    rounded,
    style_columns,
    with_spread,
)

TEXTS = {
    SAMPLES: "As they came, not chosen.",
    NEAREST: "Above, of all that was measured, the pictures that lie nearest to a training picture; below "
    "each, that training picture. One that repeats the picture below it was memorised.",
    BEST_AND_WORST: "On the left what the style probe is surest of, on the right what it is least sure of or "
    "takes for another style, the very worst last.",
    "style order": "The styles stand in the order of the first chart; the marks are held-out real pictures.",
    "fd": "Few pictures make such distances large: read the bars against the marks and against each other, "
    "not against the distance of all styles together.",
    "bars": "Worst first. The mark is where held-out real pictures of the style come out.",
    "confusion": "A linear probe that learnt the styles from real training pictures names the style of each "
    "picture. Rows are the target style and add up to 100 %; a perfect generator repeats the map of the "
    "real pictures.",
    "similarity": "The pictures of each row's style against the real ones of each column's. The darker the "
    "blue, the more alike; on the diagonal each style meets itself.",
}
"""Explanations below the titles of images."""

AXES = {"truncation": "psi (0: the style's average, 1: no truncation)"}
"""Label of a curve's horizontal axis, by the curve's name."""

Cell = tuple[str, str]
"""Text of a cell of a table, and muted text behind it; both may be empty."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A headline at the top of the page; `words` sets it smaller than a number."""

    title: str
    headline: str
    notes: Sequence[str]
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Illustration:
    """A PNG with its title, its explanation and its description for those who cannot see it."""

    title: str
    text: str
    png: bytes
    alt: str


def page(measures: Measurement, images: Mapping[str, bytes]) -> str:
    """Returns the whole report as HTML. `images` are PNG files by title."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(base64=lambda png: base64.b64encode(png).decode(), setting=_setting)
    styled = by_style(own_figures(measures))

    def cells(figure: MetricResult) -> dict[str, Cell]:
        return _cells(figure, measures.style_names)

    rows = [cells(figure) for figure in measures.figures.values()]
    labels = [label for label in (rows[0] if rows else ()) if any(row[label][0] for row in rows)]
    html = environment.get_template("page.html").render(
        measures=measures,
        cards=_cards(measures),
        labels=labels,
        any_badge=any(figure.control_matches for figure in measures.figures.values()),
        groups=by_features(measures),
        cells=cells,
        with_spread=lambda score: _split(with_spread(score)),
        minus=minus,
        style_plots=[*_bars(measures, styled), *_heat_maps(own_figures(measures), measures.style_names)],
        style_tables=_style_tables(styled, measures.style_names),
        curve_plots=_curves(measures),
        grids=[
            Illustration(title=title, text=TEXTS.get(title, ""), png=png, alt=title)
            for title, png in images.items()
        ],
    )
    return f"{html.strip()}\n"


# Cards
def _cards(measures: Measurement) -> list[Card]:
    """The warning of a collapse, the first figure, the style accuracy, the worst style, the near-copies."""
    own, cards = own_figures(measures), []
    if measures.warning:
        headline, _, names = measures.warning.partition(": ")
        notes = [names, f"To try: {ADVICE}."]
        cards.append(Card(title="collapsed", headline=headline, notes=notes, words=True))
    first = "fd" if "fd" in own else next(iter(own), None)
    if first:
        cards.append(_figure_card(own[first]))
    if "accuracy" in own and first != "accuracy":
        cards.append(_figure_card(own["accuracy"], f"chance: {number(1 / len(measures.style_names), 3)}"))
    cards += _worst_card(own, measures.style_names)
    if "copies" in own:
        cards.append(_figure_card(own["copies"]))
    return cards


def _figure_card(figure: MetricResult, *notes: str) -> Card:
    real = [f"held-out real: {minus(rounded(figure.real))}"] if figure.real else []
    control = ["control sees as much"] if figure.control_matches else []
    lines = [*real, *notes, *control, f"in {figure.features}"]
    return Card(title=figure.about.title, headline=minus(rounded(figure.measured)), notes=lines)


def _worst_card(figures: Mapping[str, MetricResult], style_names: Sequence[str]) -> list[Card]:
    """The worst style of the Frechet distance, or else of the first figure that has one."""
    for name in ("fd", *figures):
        worst = figures[name].worst() if name in figures else None
        if worst is not None:
            figure = figures[name]
            note = f"{figure.about.title}: {minus(number(figure.measured.per_style[worst]))}"
            return [Card(title="worst style", headline=style_names[worst], notes=[note], words=True)]
    return []


# Tables
def _cells(figure: MetricResult, style_names: Sequence[str]) -> dict[str, Cell]:
    """Returns the cells of a figure's row by the headings of their columns."""
    *scores, (label, style) = figure_cells(figure, style_names).items()
    cells = {heading: _split(text) for heading, text in scores}
    worst = figure.worst()
    value = "" if worst is None else minus(number(figure.measured.per_style[worst], 3))
    return {**cells, label: (style, value)}


def _split(text: str) -> Cell:
    """Splits `0.5 ± 0.1` into the value and its spread."""
    value, plus_minus, spread = minus(text).partition(" ± ")
    return value, f"{plus_minus.strip()} {spread}".strip()


def _style_tables(styled: Mapping[str, MetricResult], style_names: tuple[str, ...]) -> list[list[Column]]:
    """Columns of the tables of styles. One table with all figures would be wider than a page."""
    main = [name for name in ("fd", "accuracy") if name in styled]
    others = [name for name in styled if name not in main]
    groups = [main, *(others[start : start + 8] for start in range(0, len(others), 8))]
    return [style_columns({name: styled[name] for name in names}, style_names) for names in groups if names]


def _setting(entry: object) -> str:
    """Returns an entry of the protocol as text: `200 (4 times)`, `none`, `1, 2`."""
    if isinstance(entry, Sequence) and entry and not isinstance(entry, str):
        alike = len(entry) > 3 and all(item == entry[0] for item in entry)
        return f"{entry[0]} ({len(entry)} times)" if alike else ", ".join(map(str, entry))
    return "none" if entry is None or entry in ({}, [], ()) else str(entry)


# Plots
def _bars(measures: Measurement, styled: Mapping[str, MetricResult]) -> list[Illustration]:
    """The first figure at full width, then the other figures as small panels, one image a feature space."""
    if not styled:
        return []
    names, others = measures.style_names, dict(styled)
    first = "fd" if "fd" in others else next(iter(others))
    figure = others.pop(first)
    title = figure.about.title
    groups = {"Other figures by style": list(others.values())}
    for name, other in by_style(measures.figures).items():
        if "@" in name:
            groups.setdefault(f"By style, in the features of {other.features}", []).append(other)
    bars = Illustration(
        title=f"{title[:1].upper()}{title[1:]} by style",
        text=f"{TEXTS['bars']} {TEXTS['fd']}" if first == "fd" else TEXTS["bars"],
        png=style_bars(figure, names),
        alt=f"Bar chart: {title} of each style; its values are in the table of every style",
    )
    panels = [
        Illustration(
            title=title, text=TEXTS["style order"], png=small_multiples(figures, names, worst_first(figure)),
            alt=f"Bar charts: {', '.join(one.about.title for one in figures)}",
        )
        for title, figures in groups.items() if figures
    ]  # fmt: skip
    return [bars, *panels]


def _heat_maps(own: Mapping[str, MetricResult], style_names: Sequence[str]) -> list[Illustration]:
    """Which style is recognised as which, and which styles are alike."""
    maps = []
    for name in ("accuracy", "csls", "gram"):
        if name not in own or not own[name].measured.matrix:
            continue
        title = f"Style by style: {own[name].about.title}"
        maps.append(
            Illustration(
                title="Which style is recognised", text=TEXTS["confusion"],
                png=confusion_maps(own[name], style_names), alt="Heat maps: which style is taken for which",
            )
            if name == "accuracy" else
            Illustration(
                title=title, text=TEXTS["similarity"], png=similarity_maps(own[name], style_names),
                alt=f"Heat maps: {title}",
            )
        )  # fmt: skip
    return maps


def _curves(measures: Measurement) -> list[Illustration]:
    return [
        Illustration(
            title=f"Effect of {name}", text="", png=curve(points, AXES.get(name, name)),
            alt=f"Line charts of figures over {name}, at {', '.join(number(point.x) for point in points)}",
        )
        for name, points in measures.curves.items() if points
    ]  # fmt: skip
