"""Reads any picture file as upright 8-bit sRGB pixels, fits pixels to a square, and draws labelled grids."""

import io
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from .errors import DataError
from .lettering import Label, label
from .names import visible
from .profiles import as_srgb, convert

Fit = Literal["crop", "pad", "squash"]
Colour = tuple[int, int, int]
Cell = np.ndarray | None

WHITE: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)
MAX_PIXELS = 2**26
"""Larger pictures are not decoded: 8192 x 8192 pixels take one or two gigabytes on their way to an array."""
NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
"""Films, containers of measurements, and drawings that Ghostscript or Windows would have to draw."""
ONE_PICTURE = frozenset({"MPO", "PSD"})
"""Formats whose further frames are layers, or previews of the same picture."""
# Pillow warns of what `open_image` refuses.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Formats


@cache
def formats() -> tuple[str, ...]:
    """Returns Pillow's names of the formats that are read, in the order in which it tries them."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NO_PICTURES)


@cache
def _suffixes() -> frozenset[str]:
    known = set(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def is_picture(path: Path) -> bool:
    """Returns whether a file is a picture by its suffix."""
    return path.suffix.lower() in _suffixes()


def has_frames(image: Image.Image) -> bool:
    """Returns whether an opened picture is an animation, or a file of several pages."""
    return image.format not in ONE_PICTURE and bool(getattr(image, "is_animated", False))


# Reading


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded file, and what was changed or left out."""

    pixels: np.ndarray
    """uint8 (H, W, 3), upright, in sRGB."""
    animated: bool = False
    """It has further frames or pages, which are not read."""
    profile: str = ""
    """The colour profile that it was converted from; empty for sRGB, and for none."""
    profile_fault: str = ""
    """Why its profile was ignored, if it was."""


def read_image(source: Path | bytes, *, background: Colour = WHITE) -> np.ndarray:
    """Reads one picture as uint8 sRGB of shape (H, W, 3).

    Applies the EXIF orientation and the colour profile, composites transparency on `background`, and converts
    grey, palette, CMYK and 16-bit pictures. 16 bits are scaled by 1/257, so that white stays white.

    Raises:
        DataError: the file is no picture, is cut short, has more than MAX_PIXELS, or has values that are NaN,
            negative or beyond 16 bits.
    """
    with open_image(source) as image:
        return decode(image, source, background=background).pixels


def open_image(source: Path | bytes, *, reduce: bool = False) -> Image.Image:
    """Opens a picture without decoding it. Only a regular file is opened, since reading a pipe would wait.

    With `reduce`, a JPEG of more than MAX_PIXELS is decoded at a half, a quarter or an eighth of its sides.
    Raises DataError as `read_image`.
    """
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise OSError("it is no regular file")
        file = source if isinstance(source, Path) else io.BytesIO(source)
        image = (_open_jpeg(file) if reduce else None) or Image.open(file, formats=formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            image.close()
            raise ValueError(f"it has {width} x {height} pixels, and {MAX_PIXELS:,} are read at most")
        return image
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error


def _open_jpeg(file: Path | io.BytesIO) -> Image.Image | None:
    """A JPEG, to be decoded at a smaller size if it is too large; None for other formats."""
    try:
        # `Image.open` would refuse a large picture before its `draft` can reduce it.
        image = JpegImageFile(file)
    except SyntaxError:
        return None
    width, height = image.size
    part = next((part for part in (1, 2, 4) if width * height <= MAX_PIXELS * part**2), 8)
    if part > 1:
        image.draft(None, (width // part, height // part))
    return image


def decode(image: Image.Image, source: Path | bytes, *, background: Colour = WHITE) -> Picture:
    """Decodes a picture of `open_image`. Raises DataError as `read_image`."""
    try:
        animated = has_frames(image)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if is_deep_grey(image):
            grey = _deep_to_8_bit(np.asarray(image), image.mode, image.format)
            fault = "only pictures of 8 bits are converted" if "icc_profile" in image.info else ""
            pixels = np.repeat(grey[..., None], 3, axis=2)
            return Picture(pixels=pixels, animated=animated, profile_fault=fault)
        converted = as_srgb(image)
        pixels = np.array(_on_background(converted.image, image, background))
    # Pillow's plugins raise whatever a broken file provokes: OSError, SyntaxError, struct.error, EOFError...
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error
    return Picture(pixels=pixels, animated=animated, profile=converted.profile, profile_fault=converted.fault)


def is_deep_grey(image: Image.Image) -> bool:
    """Returns whether a picture is grey with more than 8 bits a pixel. Such pictures have no transparency."""
    return image.mode.startswith("I") or image.mode == "F"


def _on_background(colours: Image.Image, image: Image.Image, background: Colour) -> Image.Image:
    """RGB colours with the transparency of `image`, composited on a background."""
    if not image.has_transparency_data:
        return colours
    colours = colours.convert("RGBA")
    colours.putalpha(convert(image, "RGBA").getchannel("A"))
    ground = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(ground, colours).convert("RGB")


class UnreadableError(DataError):
    """A file that cannot be read as a picture, and why."""

    def __init__(self, source: Path | bytes, reason: str) -> None:
        name = f"'{visible(str(source))}'" if isinstance(source, Path) else "The given file"
        super().__init__(f"{name} cannot be read as a picture ({reason}): replace or remove it.")
        self.reason = reason


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "its content is no known picture format"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has too many pixels: {MAX_PIXELS:,} are read at most"
    return visible(str(error)).rstrip(".") or type(error).__name__


def _deep_to_8_bit(values: np.ndarray, mode: str, file_format: str | None) -> np.ndarray:
    """Scales deep grey to 0..255. The maximum tells the range of integers of 32 bits and of floats.

    Raises:
        ValueError: a value is not finite, negative, or beyond 16 bits (integers) or 255 (floats). No range is
            known that would not turn such pictures black or white.
    """
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are no finite numbers")
    low, peak, limit = values.min(initial=0), values.max(initial=0), 255 if mode == "F" else 65535
    if low < -0.5 or peak > limit + 0.5:
        raise ValueError(f"its pixels range from {low:.6g} to {peak:.6g}, and 0 to {limit} are read")
    if mode.startswith("I;16") or file_format == "PNG" or peak > 255.5:
        values = values / 257
    elif mode == "F" and peak <= 1:
        values = values * 255
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# Encoding


def png_bytes(array: np.ndarray | Image.Image) -> bytes:
    """Encodes uint8 (H, W, 3) or a Pillow image as PNG."""
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, "PNG")
    return stream.getvalue()


def gif_bytes(frames: Sequence[Image.Image], *, milliseconds: int) -> bytes:
    """Encodes frames as a GIF that repeats for ever, each shown for `milliseconds`."""
    stream = io.BytesIO()
    frames[0].save(
        stream, "GIF", save_all=True, append_images=list(frames[1:]), duration=milliseconds, loop=0
    )
    return stream.getvalue()


# Fitting


def fit_image(
    array: np.ndarray, resolution: int, fit: Fit = "crop", background: Colour = WHITE
) -> np.ndarray:
    """Resizes uint8 (H, W, 3) to uint8 (resolution, resolution, 3).

    `crop` keeps the largest centred square, `pad` letterboxes on `background`, `squash` ignores the aspect.
    Reductions by a whole number average areas, as the loader does for lower resolutions. Every other ratio
    uses Pillow's Lanczos, whose support grows with the reduction, so that nothing aliases.

    Raises:
        DataError: the fit is unknown.
    """
    if fit not in get_args(Fit):
        raise DataError(f"The fit '{fit}' is unknown: choose one of {', '.join(get_args(Fit))}.")
    height, width = array.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _resize(array[top : top + side, left : left + side], resolution, resolution)
    if fit == "squash" or height == width:
        return _resize(array, resolution, resolution)
    scale = resolution / max(height, width)
    inner = _resize(array, max(1, round(height * scale)), max(1, round(width * scale)))
    canvas = np.full((resolution, resolution, 3), background, dtype=np.uint8)
    top, left = (resolution - inner.shape[0]) // 2, (resolution - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def _resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    if array.shape[:2] == (height, width):
        return array
    (y, rest_y), (x, rest_x) = divmod(array.shape[0], height), divmod(array.shape[1], width)
    if rest_y == rest_x == 0:
        means = array.reshape(height, y, width, x, 3).mean(axis=(1, 3))
        return np.rint(means).astype(np.uint8)
    return np.array(Image.fromarray(array).resize((width, height), Image.Resampling.LANCZOS))


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
        images: uint8 (rows, cols, H, W, 3), or lists of uint8 (H, W, 3) with None for an empty cell.
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
    row_texts = [label(text, size) for text in row_labels]
    column_texts = [label(text, size) for text in column_labels]
    rotated = any(text.width > width for text in column_texts)
    headings = [_text_image(text, rotated=rotated) for text in column_texts]
    title_image = _text_image(label(title, size)) if title else None
    left = max((text.width for text in row_texts), default=-3 * gap) + 4 * gap
    top = title_image.height + 2 * gap if title_image else 0
    top += max((heading.height for heading in headings), default=-gap) + 2 * gap
    columns = max((len(row) for row in rows), default=0)
    total_width = max(left + columns * (width + gap), title_image.width + 2 * gap if title_image else 0)
    grid = Image.new("RGB", (total_width, top + len(rows) * (height + gap)), WHITE)
    if title_image:
        grid.paste(title_image, (gap, gap))
    for c, heading in enumerate(headings):
        x = left + c * (width + gap) + (width - heading.width) // 2
        grid.paste(heading, (x, top - gap - heading.height))
    draw = ImageDraw.Draw(grid)
    for r, row in enumerate(rows):
        y = top + r * (height + gap)
        if r < len(row_texts):
            text = row_texts[r]
            draw.text((left - 2 * gap, y + height // 2), text.text, INK, text.font, anchor="rm")
        for c, cell in enumerate(row):
            if cell is not None:
                tile = Image.fromarray(cell).resize((width, height), Image.Resampling.NEAREST)
                grid.paste(tile, (left + c * (width + gap), y))
    return grid


def _text_image(text: Label, *, rotated: bool = False) -> Image.Image:
    box = text.font.getbbox(text.text or " ")
    image = Image.new("RGB", (int(box[2]) + 1, int(box[3]) + 1), WHITE)
    ImageDraw.Draw(image).text((0, 0), text.text, INK, text.font)
    return image.transpose(Image.Transpose.ROTATE_90) if rotated else image
