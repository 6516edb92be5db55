"""Pieces of the report's page: text in, HTML out, all of it escaped but for what is called `inner`."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ..results import Score
from .tables import minus, number, with_spread


# Values
def value(entry: float) -> str:
    """A number as the page shows it."""
    return minus(number(entry))


def spread_value(score: Score) -> str:
    """A value and, set back, its spread."""
    text, _, spread = minus(with_spread(score)).partition(" ± ")
    return f'{text} <span class="muted">± {spread}</span>' if spread else text


def definitions(values: Mapping[str, object]) -> str:
    """Names and values, those that are mappings indented below theirs."""
    items = "".join(
        f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{_definition(entry)}</dd>"
        for name, entry in values.items()
    )
    return f"<dl>{items}</dl>"


def _definition(entry: object) -> str:
    if isinstance(entry, Mapping) and entry:
        return definitions(entry)
    if isinstance(entry, Sequence) and entry and not isinstance(entry, str):
        alike = len(entry) > 3 and all(item == entry[0] for item in entry)
        return escape(f"{entry[0]} ({len(entry)} times)" if alike else ", ".join(map(str, entry)))
    return escape("none" if entry is None or entry in ({}, [], ()) else str(entry))


# Blocks
def section(title: str, text: str, inner: str) -> str:
    """A box with a heading and, if `text` is not empty, a paragraph of explanation."""
    paragraph = f'<p class="muted">{escape(text)}</p>' if text else ""
    return f"<section><h2>{escape(title)}</h2>{paragraph}{inner}</section>"


def card(title: str, headline: str, notes: Iterable[str], kind: str = "") -> str:
    """One headline; `kind` "words" sets it smaller than a number."""
    lines = "".join(f'<span class="muted">{escape(note)}</span>' for note in notes)
    return f'<div class="card">{escape(title)}<b class="{kind}">{escape(headline)}</b>{lines}</div>'


def table_head(names: Iterable[str], words: Iterable[int] = ()) -> str:
    """Headings of columns, of which the first and those of `words` are set to the left."""
    left = {0, *words}
    cells = "".join(
        f'<th scope="col"{" class=word" if c in left else ""}>{escape(name)}</th>'
        for c, name in enumerate(names)
    )
    return f"<thead><tr>{cells}</tr></thead>"


def scroll(name: str, inner: str) -> str:
    """What is wider than a phone scrolls by itself, by the keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">{inner}</div>'


def image(png: bytes, alt: str, kind: str = "plot") -> str:
    """A PNG inside the page; `alt` says it in words."""
    data = base64.b64encode(png).decode()
    return scroll(alt, f'<img class="{kind}" alt="{escape(alt)}" src="data:image/png;base64,{data}">')
