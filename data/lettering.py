"""Labels in any script: a font that has the letters, and escapes for letters that no font has."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from .names import visible

REGULAR = (400, "normal", "regular", "book", "medium")
"""Font weights that labels are drawn in."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text, and a font that has its letters."""

    text: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont

    @property
    def width(self) -> int:
        return int(self.font.getlength(self.text))


def label(text: str, size: int) -> Label:
    """Returns a text in Pillow's own font if it is ASCII, else in the first font that has its letters.

    DejaVu Sans comes first, then the fonts of the system.
    """
    text = visible(text)
    if text.isascii():
        return Label(text=text, font=ImageFont.load_default(size))
    path = _best_font(frozenset(text))
    return Label(text=_escaped(text, _letters(path)), font=ImageFont.truetype(path, size))


def readable(text: str) -> str:
    """Returns a text as DejaVu Sans, the font of plots, can draw it."""
    text = visible(text)
    return text if text.isascii() else _escaped(text, _letters(_dejavu()))


def _escaped(text: str, letters: frozenset[str]) -> str:
    def escape(letter: str) -> str:
        return "" if _has_no_shape(letter) else letter.encode("unicode_escape").decode()

    return "".join(letter if letter in letters else escape(letter) for letter in text)


def _has_no_shape(letter: str) -> bool:
    """Whether a letter only changes its neighbours, as joiners and variation selectors do."""
    return unicodedata.category(letter) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(letter, "")


@lru_cache(maxsize=256)
def _best_font(letters: frozenset[str]) -> str:
    """The first font that has all letters, or else the first that lacks the fewest."""
    shapes = {letter for letter in letters if not _has_no_shape(letter)}
    best, fewest = _dejavu(), len(shapes)
    for path in _fonts():
        lacking = len(shapes - _letters(path))
        if lacking < fewest:
            best, fewest = path, lacking
        if not fewest:
            break
    return best


def _dejavu() -> str:
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _fonts() -> Iterator[str]:
    # The import searches the system for fonts, which only labels in other scripts need.
    from matplotlib.font_manager import fontManager

    yield _dejavu()
    # A font of last resort draws the code of every letter, and so has none.
    yield from sorted(
        font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in REGULAR and "LastResort" not in font.fname
    )


@lru_cache(maxsize=512)
def _letters(path: str) -> frozenset[str]:
    """The letters of a font; none if Pillow cannot draw with it, as with fonts of coloured bitmaps."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(path, 16)
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()
