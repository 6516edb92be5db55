"""The report as one HTML page without scripts or links: it can be mailed as it is."""

from collections.abc import Mapping
from html import escape

from ..collapse import ADVICE
from ..results import CurvePoint, Measurement, MetricResult
from .grids import BEST_AND_WORST, NEAREST, SAMPLES
from .heat_maps import confusion_maps, similarity_maps
from .markup import card, definitions, image, scroll, section, spread_value, table_head, value
from .plots import curve, small_multiples, style_bars, worst_first
from .style_sheet import STYLE
from .tables import Column, by_features, by_style, minus, number, own_figures, rounded, style_columns

_PICTURE_TEXTS = {
    SAMPLES: "As they came, not chosen.",
    NEAREST: "Above, of all that was measured, the pictures that lie nearest to a training picture; below "
    "each, that training picture. One that repeats the picture below it was memorised.",
    BEST_AND_WORST: "On the left what the style probe is surest of, on the right what it is least sure of or "
    "takes for another style, the very worst last.",
}

_KNOBS = {"truncation": "psi (0: the style's average, 1: no truncation)"}
"""What the horizontal axis of a curve says, by the curve's name."""

_ORDER = "The styles stand in the order of the first chart; the marks are held-out real pictures."

_LABELS = ("measured", "held-out real", "control", "control of real", "worst style")


_BADGE = '<span class="badge">control sees as much</span>'
_BADGE_TEXT = (
    f'<p class="muted">{_BADGE} Random weights show as much as trained ones do, so the figure is no evidence '
    "of anything that takes learnt perception.</p>"
)


def page(measures: Measurement, pictures: Mapping[str, bytes]) -> str:
    """The whole report; `pictures` are PNG files by title."""
    sections = [
        _figures(measures),
        *_notes(measures),
        *_bars(measures),
        *_heat_maps(measures),
        _styles(measures),
        *(_curve(name, points) for name, points in measures.curves.items() if points),
        *(
            section(title, _PICTURE_TEXTS.get(title, ""), image(png, title, "grid"))
            for title, png in pictures.items()
        ),
        _protocol(measures),
    ]
    question = "How near, and in the right style?" if measures.style_names else "How near?"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>brushwork: measure</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{question}</h1>\n<p class="muted">{escape(measures.label)}</p>\n{_cards(measures)}\n'
        + "\n".join(filter(None, sections))
        + "\n</main>\n</body>\n</html>\n"
    )


# Headline
def _cards(measures: Measurement) -> str:
    own = own_figures(measures)
    first = "fd" if "fd" in own else next(iter(own), None)
    cards = [_warning_card(measures.warning)] if measures.warning else []
    cards += [_value_card(own[first], [])] if first else []
    if "accuracy" in own and first != "accuracy":
        cards.append(_value_card(own["accuracy"], [f"chance: {number(1 / len(measures.style_names), 3)}"]))
    cards += _worst_card(own, measures.style_names)
    if "copies" in own:
        cards.append(_value_card(own["copies"], []))
    return f'<div class="cards">{"".join(cards)}</div>'


def _warning_card(warning: str) -> str:
    """'3 of 6 styles draw one picture', with their names and what to try."""
    headline, _, names = warning.partition(": ")
    return card("collapsed", headline, [names, f"To try: {ADVICE}."], "words")


def _value_card(figure: MetricResult, notes: list[str]) -> str:
    real = [f"held-out real: {minus(rounded(figure.real))}"] if figure.real else []
    control = ["control sees as much"] if figure.control_matches else []
    features = [f"in {figure.features}"]
    return card(figure.about.title, minus(rounded(figure.measured)), real + notes + control + features)


def _worst_card(figures: Mapping[str, MetricResult], style_names: tuple[str, ...]) -> list[str]:
    """Of the distance, or else of the first figure that has a worst style."""
    for name in ("fd", *figures):
        worst = figures[name].worst() if name in figures else None
        if worst is not None:
            figure = figures[name]
            note = f"{figure.about.title}: {value(figure.measured.per_style[worst])}"
            return [card("worst style", style_names[worst], [note], "words")]
    return []


# The figures
def _figures(measures: Measurement) -> str:
    every = measures.figures.values()
    labels = [
        label for c, label in enumerate(_LABELS) if any(_cells(f, measures.style_names)[c] for f in every)
    ]
    text = ""
    if "held-out real" in labels:
        text += (
            "Each figure stands beside that of held-out real pictures, which a perfect generator reaches. "
            "A distance has a scale of its own in each feature space: compare it with its real level only. "
        )
    if "control" in labels:
        text += (
            "The control is the same in the features of random weights: what it sees as well is a difference "
            "of pixels, not of anything learnt."
        )
    badge = _BADGE_TEXT if any(figure.control_matches for figure in every) else ""
    groups = "".join(
        f'<tbody class="group"><tr><th scope="rowgroup" colspan="{len(labels) + 1}">in the features of '
        f"{escape(features)}</th></tr></tbody>"
        + "".join(_figure(figure, measures.style_names, labels) for figure in figures.values())
        for features, figures in by_features(measures).items()
    )
    table = f'<table class="figures">{table_head(("figure", *labels))}{groups}</table>'
    return section("The figures", text, badge + scroll("All figures", table))


def _figure(figure: MetricResult, style_names: tuple[str, ...], labels: list[str]) -> str:
    """A body of rows: the figure, what trivial answers score, what it says."""
    about, width = figure.about, len(labels)
    row = "".join(
        f'<td data-label="{label}"{"" if cell else " class=none"}>{cell}</td>'
        for label, cell in zip(_LABELS, _cells(figure, style_names), strict=True)
        if label in labels
    )
    rest = f'<td colspan="{width - 1}" class="none"></td>' if width > 1 else ""
    baselines = "".join(
        f'<tr class="baseline"><th scope="row">baseline: {escape(baseline)}</th>'
        f'<td data-label="measured">{spread_value(score)}</td>{rest}</tr>'
        for baseline, score in figure.baselines.items()
    )
    better = f'<span class="better">{about.better} is better</span>'
    badge = _BADGE if figure.control_matches else ""
    note = f'<tr class="note"><td colspan="{width + 1}">{better} {escape(about.note)} {badge}</td></tr>'
    return f'<tbody><tr><th scope="row">{escape(about.title)}</th>{row}</tr>{baselines}{note}</tbody>'


def _cells(figure: MetricResult, style_names: tuple[str, ...]) -> list[str]:
    """In the order of `_LABELS`, empty where there is nothing."""
    worst = figure.worst()
    cells = [spread_value(figure.measured)]
    for score in (figure.real, figure.control, figure.control_real):
        cells.append("" if score is None else minus(rounded(score)))
    if worst is None:
        return [*cells, ""]
    entry = minus(number(figure.measured.per_style[worst], 3))
    return [*cells, f'{escape(style_names[worst])} <span class="muted">{entry}</span>']


def _notes(measures: Measurement) -> list[str]:
    """What was left out, and why; nothing where nothing was."""
    if not measures.notes:
        return []
    items = "".join(f"<li>{escape(note)}</li>" for note in measures.notes)
    return [section("Left out", "", f"<ul>{items}</ul>")]


# By style
def _bars(measures: Measurement) -> list[str]:
    """The distance at full width, the other figures as small panels, one section a feature space."""
    own = by_style(own_figures(measures))
    if not own:
        return []
    first = "fd" if "fd" in own else next(iter(own))
    big = own.pop(first)
    text = "Worst first. The mark is where held-out real pictures of the style come out."
    if first == "fd":
        text += (
            " Few pictures make such distances large: read the bars against the marks and against each "
            "other, not against the distance of all styles together."
        )
    alt = f"Bar chart: {big.about.title} of each style; its values are in the table of every style"
    bars = image(style_bars(big, measures.style_names), alt)
    sections = [section(f"{_capital(big.about.title)} by style", text, bars)]
    others: dict[str, list[MetricResult]] = {"Other figures by style": list(own.values())}
    for name, figure in by_style(measures.figures).items():
        if "@" in name:
            others.setdefault(f"By style, in the features of {figure.features}", []).append(figure)
    for title, figures in others.items():
        if figures:
            names = ", ".join(figure.about.title for figure in figures)
            panels = image(
                small_multiples(figures, measures.style_names, worst_first(big)), f"Bar charts: {names}"
            )
            sections.append(section(title, _ORDER, panels))
    return sections


def _heat_maps(measures: Measurement) -> list[str]:
    own = own_figures(measures)
    shown = [name for name in ("accuracy", "csls", "gram") if name in own and own[name].measured.matrix]
    return [_heat_map(name, own[name], measures.style_names) for name in shown]


def _heat_map(name: str, figure: MetricResult, style_names: tuple[str, ...]) -> str:
    if name == "accuracy":
        text = (
            "A linear probe that learnt the styles from real training pictures names the style of each "
            "picture. Rows are the style asked for and add up to 100 %; a perfect generator repeats the map "
            "of the real pictures."
        )
        maps = image(confusion_maps(figure, style_names), "Heat maps: which style is taken for which")
        return section("Which style is recognised", text, maps)
    text = (
        "The pictures of each row's style against the real ones of each column's. The darker the blue, the "
        "more alike; on the diagonal each style meets itself."
    )
    title = f"Style by style: {figure.about.title}"
    return section(title, text, image(similarity_maps(figure, style_names), f"Heat maps: {title}"))


def _styles(measures: Measurement) -> str:
    """Distance and accuracy in one table, the others in further ones: one would be wider than a page."""
    own = by_style(own_figures(measures))
    main = [name for name in ("fd", "accuracy") if name in own]
    others = [name for name in own if name not in main]
    groups = [main, *(others[start : start + 8] for start in range(0, len(others), 8))]
    tables = [
        _style_table({name: own[name] for name in names}, measures.style_names) for names in groups if names
    ]
    return section("Every style", "", "".join(tables)) if tables else ""


def _style_table(figures: Mapping[str, MetricResult], style_names: tuple[str, ...]) -> str:
    columns = style_columns(figures, style_names)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(_style_cell(column, s) for column in columns)}</tr>'
        for s, name in enumerate(style_names)
    )
    words = [c for c, column in enumerate(columns, start=1) if column.words]
    heads = table_head(("style", *(column.title for column in columns)), words)
    name = f"Of every style: {', '.join(column.title for column in columns)}"
    return scroll(name, f'<table class="styles">{heads}<tbody>{rows}</tbody></table>')


def _style_cell(column: Column, style: int) -> str:
    entry = column.cells[style]
    return f'<td class="word">{escape(entry)}</td>' if column.words else f"<td>{minus(entry)}</td>"


# The rest
def _curve(name: str, points: tuple[CurvePoint, ...]) -> str:
    settings = ", ".join(number(point.x) for point in points)
    plot = image(curve(points, _KNOBS.get(name, name)), f"Line charts of figures over {name}, at {settings}")
    return section(f"Effect of {name}", "", plot)


def _protocol(measures: Measurement) -> str:
    text = "All that decides these numbers. Two reports may be compared only if every line is the same."
    inner = definitions(measures.protocol)
    if measures.environment:
        inner += '<h3>Environment</h3><p class="muted">No part of the protocol: it should not matter.</p>'
        inner += definitions(measures.environment)
    return section("Protocol", text, inner)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
