"""Labels in any script: a font that has the letters, and escapes for those that no font has."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from .names import visible

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text that its font can draw."""

    text: str
    font: Font

    @property
    def width(self) -> int:
        return int(self.font.getlength(self.text))


def label(text: str, size: int) -> Label:
    """A text in Pillow's own font, in DejaVu Sans where that lacks letters, else in a font of the system."""
    text = visible(text)
    if text.isascii():
        return Label(text=text, font=ImageFont.load_default(size))
    path = _best_font(frozenset(text))
    return Label(text=_escaped(text, _letters(path)), font=ImageFont.truetype(path, size))


def readable(text: str) -> str:
    """A text as DejaVu Sans, the font of plots, can draw it."""
    text = visible(text)
    return text if text.isascii() else _escaped(text, _letters(_dejavu()))


def _escaped(text: str, letters: frozenset[str]) -> str:
    return "".join(one if one in letters else _escape(one) for one in text)


def _escape(letter: str) -> str:
    return "" if _has_no_shape(letter) else letter.encode("unicode_escape").decode()


def _has_no_shape(letter: str) -> bool:
    """Joiners and variation selectors only change their neighbours."""
    return unicodedata.category(letter) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(letter, "")


# Fonts


@lru_cache(maxsize=256)
def _best_font(wanted: frozenset[str]) -> str:
    """The first font that has all letters, or the one that lacks the fewest."""
    shapes = {letter for letter in wanted if not _has_no_shape(letter)}
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
    # It looks through the fonts of the system when it is imported, which only labels in other scripts need.
    from matplotlib.font_manager import fontManager

    yield _dejavu()
    yield from sorted(
        font.fname
        for font in fontManager.ttflist
        # A font of last resort has a box with a code for every letter there is.
        if font.style == "normal" and font.weight in _REGULAR and "LastResort" not in font.fname
    )


_REGULAR = (400, "normal", "regular", "book", "medium")


@lru_cache(maxsize=512)
def _letters(path: str) -> frozenset[str]:
    """The letters that a font has; none where it cannot be drawn with, as fonts of coloured bitmaps."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(path, 16)
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()
