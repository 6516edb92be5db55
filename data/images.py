"""Reads any image file as upright 8-bit sRGB pixels, fits pixels to a size, and draws labelled grids."""

import io
import stat
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from .errors import DataError
from .lettering import draw_text
from .names import visible

Fit = Literal["crop", "pad", "squash"]
Colour = tuple[int, int, int]
Cell = np.ndarray | None

WHITE: Colour = (255, 255, 255)
OUTLINE: Colour = (216, 216, 216)
"""Around transparent images in a grid, whose edges would not show on white."""
MAX_PIXELS = 2**26
"""Larger images are not decoded: 8192 x 8192 pixels take one or two gigabytes on their way to an array."""
NO_IMAGES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Films, containers of measurements, and drawings that Ghostscript or Windows would have to draw."""
ONE_IMAGE = frozenset({"MPO", "PSD"})
"""Formats whose further frames are layers, or previews of the same image."""
ROUNDING = 2
"""Levels of 255. A profile that changes no colour by more is taken for sRGB, so sRGB images stay exact."""
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile -> the Pillow mode that it describes."""
# Pillow warns of what `open_image` refuses.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


# Formats
@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read, in the order in which it tries them."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NO_IMAGES)


@cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in _formats())


def is_image(path: Path) -> bool:
    """Returns whether a file is an image by its suffix."""
    return path.suffix.lower() in _suffixes()


def has_frames(image: Image.Image) -> bool:
    """Returns whether an opened image is an animation, or a file of several pages."""
    with suppress(Exception):  # Pillow raises whatever a broken file provokes
        return image.format not in ONE_IMAGE and bool(getattr(image, "is_animated", False))
    return False


# Reading
def read_image(source: Path | bytes, *, background: Colour | None = WHITE) -> np.ndarray:
    """Reads one image as uint8 sRGB of shape (H, W, 3), or (H, W, 4) without a background.

    Applies the EXIF orientation and the colour profile, composites transparency on `background`, and converts
    grey, palette, CMYK and 16-bit images. 16 bits are scaled by 1/257, so that white stays white. Without a
    background transparency is kept; opaque images get 255.

    Raises:
        UnreadableError: the file is no image, is cut short, has more than MAX_PIXELS, or has values that are
            no integers of 16 bits.
    """
    with open_image(source) as image:
        return decode(image, source, background=background)


def open_image(source: Path | bytes) -> Image.Image:
    """Opens an image without decoding it. Raises DataError as `read_image`.

    Only a regular file is opened, since reading a pipe would wait.
    """
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise OSError("it is no regular file")
        file = source if isinstance(source, Path) else io.BytesIO(source)
        image = Image.open(file, formats=_formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            image.close()
            raise ValueError(f"it has {width} x {height} pixels, and {MAX_PIXELS:,} are read at most")
        return image
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error


def format_of(image: Image.Image) -> str:
    """The format of an image of `open_image`, of JPEG with its quality in the scale of libjpeg, 1 to 100."""
    name = image.format or "unknown"
    tables = getattr(image, "quantization", None)
    if not tables:
        return name
    first = tables[min(tables)]  # of luminance
    return f"{name}, quality {_jpeg_quality(tuple(first))}" if len(first) == len(JPEG_LUMINANCE) else name


JPEG_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""Quantisation of luminance at quality 50 (ITU-T T.81, table K.1), row by row."""


@lru_cache
def _jpeg_quality(table: tuple[int, ...]) -> int:
    """The quality at which libjpeg's table is nearest to this one."""

    def gap(quality: int) -> float:
        scale = 5000 / quality if quality < 50 else 200 - 2 * quality
        scaled = np.clip((np.array(JPEG_LUMINANCE) * scale + 50) // 100, 1, 255)
        return float(np.abs(scaled - np.array(table)).sum())

    return min(range(1, 101), key=gap)


def decode(image: Image.Image, source: Path | bytes, *, background: Colour | None = WHITE) -> np.ndarray:
    """Decodes an image of `open_image` as `read_image` does."""
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if is_deep_grey(image):
            colours = Image.fromarray(_deep_to_8_bit(np.asarray(image), image.mode, image.format))
        else:
            colours = _as_srgb(image)
            if image.has_transparency_data:
                colours.putalpha(image.convert("RGBA").getchannel("A"))
                if background is not None:
                    colours = Image.alpha_composite(
                        Image.new("RGBA", image.size, (*background, 255)), colours
                    )
        return np.array(colours.convert("RGB" if background is not None else "RGBA"))
    # Pillow's plugins raise whatever a broken file provokes: OSError, SyntaxError, struct.error, EOFError...
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error


def is_deep_grey(image: Image.Image) -> bool:
    """Returns whether an image is grey with more than 8 bits a pixel. Such images have no transparency."""
    return image.mode.startswith("I") or image.mode == "F"


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Returns width and height of an opened image after its EXIF orientation."""
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def on_white(array: np.ndarray) -> np.ndarray:
    """Composites uint8 (..., 4) on white as (..., 3); RGB is returned as it is."""
    if array.shape[-1] == 3:
        return array
    colours, alpha = array[..., :3].astype(np.float32), array[..., 3:].astype(np.float32) / 255
    return np.rint(colours * alpha + 255 * (1 - alpha)).astype(np.uint8)


class UnreadableError(DataError):
    """A file that cannot be read as an image, and why."""

    def __init__(self, source: Path | bytes, reason: str) -> None:
        name = f"'{visible(str(source))}'" if isinstance(source, Path) else "The given file"
        super().__init__(f"{name} cannot be read as an image ({reason}): replace or remove it.")
        self.reason = reason


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "its content is no known image format"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has too many pixels: {MAX_PIXELS:,} are read at most"
    return visible(str(error)).rstrip(".") or type(error).__name__


def _deep_to_8_bit(values: np.ndarray, mode: str, file_format: str | None) -> np.ndarray:
    """Scales deep grey to 0..255. The maximum tells the range of integers of 32 bits."""
    low, peak = values.min(initial=0), values.max(initial=0)
    if mode == "F" or low < 0 or peak > 65535:
        raise ValueError("its pixels are no integers of 0 to 65535")
    deep = mode.startswith("I;16") or file_format == "PNG" or peak > 255
    return np.rint(values / 257 if deep else values).astype(np.uint8)


# Colours
def _as_srgb(image: Image.Image) -> Image.Image:
    """Converts the colours of a loaded 8-bit image to RGB in sRGB, without its transparency.

    A profile that is broken, or that describes another kind of image, is ignored.
    """
    colours = image.convert("RGBA") if image.has_transparency_data else image
    if profile := image.info.get("icc_profile"):
        # Pillow raises OSError, TypeError or PyCMSError for different faults of a profile.
        with suppress(Exception):
            mode, transform = _conversion(profile)
            kind = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
            if mode == kind or (mode, kind) == ("RGB", "L"):
                return colours.convert("RGB") if transform is None else transform.apply(colours.convert(mode))
    return colours.convert("RGB")


@lru_cache(maxsize=16)
def _conversion(content: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile describes, and its conversion to sRGB; None if it is sRGB already."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
    mode = MODES[str(getattr(profile.profile, "xcolor_space", "")).strip()]
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "RGB":
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        lattice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        change = np.asarray(transform.apply(Image.fromarray(lattice)), dtype=np.int16) - lattice
        transform = transform if np.abs(change).max() > ROUNDING else None
    return mode, transform


# Encoding
NOTE = "brushwork"
"""Name of our text in PNG files."""
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def png_bytes(array: np.ndarray | Image.Image, note: str = "") -> bytes:
    """Encodes uint8 (H, W, 3) or a Pillow image as PNG, with a note among its texts."""
    stream, texts = io.BytesIO(), PngInfo()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    if note:
        texts.add_text(NOTE, note)
    image.save(stream, "PNG", pnginfo=texts)
    return stream.getvalue()


def png_note(path: Path) -> str | None:
    """Returns the note of a whole PNG file, "" if it has none; None for a file that is missing or cut."""
    try:
        content = path.read_bytes()
        if not content.endswith(PNG_END):
            return None
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return str(image.info.get(NOTE, ""))
    except (OSError, ValueError, SyntaxError):
        return None


# Fitting
def fit_image(
    array: np.ndarray, size: tuple[int, int], fit: Fit = "crop", background: Colour = WHITE
) -> np.ndarray:
    """Resizes uint8 (H, W, C), RGB or RGBA, to `size`, height and width.

    `crop` keeps the largest centred part of that aspect, `pad` letterboxes on `background`, or transparently,
    and `squash` ignores the aspect. Reductions by a whole number average areas, as the loader does for lower
    resolutions. Every other ratio uses Pillow's Lanczos, whose support grows with the reduction, so that
    nothing aliases. Colours of transparent pixels do not bleed.
    """
    (height, width), (rows, columns) = array.shape[:2], size
    if fit == "squash" or height * columns == width * rows:
        return _resize(array, rows, columns)
    if fit == "crop":
        scale = min(height / rows, width / columns)
        h, w = (min(most, max(1, round(side * scale))) for most, side in ((height, rows), (width, columns)))
        top, left = (height - h) // 2, (width - w) // 2
        return _resize(array[top : top + h, left : left + w], rows, columns)
    scale = min(rows / height, columns / width)
    inner = _resize(array, max(1, round(height * scale)), max(1, round(width * scale)))
    colour = background if array.shape[2] == 3 else (*background, 0)
    canvas = np.full((rows, columns, array.shape[2]), colour, dtype=np.uint8)
    top, left = (rows - inner.shape[0]) // 2, (columns - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def _resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    if array.shape[:2] == (height, width):
        return array
    (y, rest_y), (x, rest_x) = divmod(array.shape[0], height), divmod(array.shape[1], width)
    whole = rest_y == rest_x == 0
    if whole and array.shape[2] == 3:
        means = array.reshape(height, y, width, x, 3).mean(axis=(1, 3))
        return np.rint(means).astype(np.uint8)
    how = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS
    return np.array(Image.fromarray(array).resize((width, height), how))


# Grids
def image_grid(
    images: np.ndarray | Sequence[Sequence[Cell]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    title: str = "",
    scale: int = 1,
) -> Image.Image:
    """Draws a labelled grid on white.

    Args:
        images: uint8 (rows, cols, H, W, C), or lists of uint8 (H, W, C) with None for an empty cell;
            transparent ones are shown on white, in an outline.
        row_labels: one text per row, to its left; none leaves no margin.
        column_labels: one text per column, above it; all are rotated if one is wider than the cell.
        title: one line above all, at the left.
        scale: whole-number magnification; pixels stay squares.
    """
    rows = [list(row) for row in images]
    height, width = next((cell.shape[:2] for row in rows for cell in row if cell is not None), (1, 1))
    height, width = height * scale, width * scale
    gap = max(2, min(height, width) // 24)
    size = max(11, min(20, height // 5))
    sides = [draw_text(text, size) for text in row_labels]
    headings = [draw_text(text, size) for text in column_labels]
    if any(heading.width > width for heading in headings):
        headings = [heading.transpose(Image.Transpose.ROTATE_90) for heading in headings]
    titles = [draw_text(title, size)] if title else []
    left = max((text.width for text in sides), default=-3 * gap) + 4 * gap
    top = sum(text.height + 2 * gap for text in titles)
    top += max((heading.height for heading in headings), default=-gap) + 2 * gap
    columns = max((len(row) for row in rows), default=0)
    total_width = max([left + columns * (width + gap), *(text.width + 2 * gap for text in titles)])
    grid = Image.new("RGB", (total_width, top + len(rows) * (height + gap)), WHITE)
    for text in titles:
        grid.paste(text, (gap, gap))
    for c, heading in enumerate(headings):
        x = left + c * (width + gap) + (width - heading.width) // 2
        grid.paste(heading, (x, top - gap - heading.height))
    for r, text in enumerate(sides):
        y = top + r * (height + gap) + (height - text.height) // 2
        grid.paste(text, (left - 2 * gap - text.width, y))
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell is not None:
                x, y = left + c * (width + gap), top + r * (height + gap)
                if cell.shape[2] == 4:
                    grid.paste(OUTLINE, (x - 1, y - 1, x + width + 1, y + height + 1))
                tile = Image.fromarray(on_white(cell)).resize((width, height), Image.Resampling.NEAREST)
                grid.paste(tile, (x, y))
    return grid
