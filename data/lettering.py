"""Text in DejaVu Sans (Latin, Greek, Cyrillic, Arabic, ...), with escapes for the letters that it lacks."""

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .names import visible

INK = (40, 40, 40)


def readable(text: str) -> str:
    """Returns a text as DejaVu Sans, the font of plots, can draw it."""
    text = visible(text)
    if text.isascii():
        return text
    letters = _letters()
    return "".join(c if c in letters else c.encode("unicode_escape").decode() for c in text)


def draw_text(text: str, size: int) -> Image.Image:
    """Draws a line of text on white: in Pillow's own font if it is ASCII, else in DejaVu Sans."""
    text = readable(text)
    font = ImageFont.load_default(size) if text.isascii() else ImageFont.truetype(_dejavu(), size)
    box = font.getbbox(text or " ")
    image = Image.new("RGB", (int(box[2]) + 1, int(box[3]) + 1), "white")
    ImageDraw.Draw(image).text((0, 0), text, INK, font)
    return image


def _dejavu() -> str:
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _letters() -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(_dejavu()).get_charmap()))
