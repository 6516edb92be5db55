"""Any picture file to upright 8-bit sRGB pixels, pixels to a square, squares to a labelled grid."""

import io
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from .errors import DataError
from .formats import formats, has_frames
from .lettering import Label, label
from .names import visible
from .profiles import as_srgb, converted

Fit = Literal["crop", "pad", "squash"]
Colour = tuple[int, int, int]
Cell = np.ndarray | None

WHITE: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)
MAX_PIXELS = 2**26
"""Pixels that are decoded at most, 8192 x 8192: they take one or two gigabytes on their way to an array."""
# Pillow warns of what `open_image` refuses.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Reading


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded file, and what was changed or left out on the way."""

    pixels: np.ndarray
    """uint8 (H, W, 3), upright, in sRGB."""
    animated: bool = False
    """It has further frames or pages, which are not read."""
    profile: str = ""
    """The colour profile that it was converted from; empty for sRGB, and for none."""
    profile_fault: str = ""
    """Why its profile was passed over, if it was."""


def read_image(source: Path | bytes, *, background: Colour = WHITE) -> np.ndarray:
    """Reads one picture as uint8 sRGB of shape (H, W, 3).

    The EXIF orientation and the colour profile are applied, transparency is composited on `background`, and
    grey, palette, CMYK and 16-bit pictures are converted, the last scaled by 1/257 so that white stays white.

    Raises:
        DataError: the file is no picture, is cut short, or has more than MAX_PIXELS.
    """
    with open_image(source) as image:
        return decode(image, source, background=background).pixels


def open_image(source: Path | bytes, *, reduce: bool = False) -> Image.Image:
    """Opens a picture without decoding it. Only a regular file is opened: a pipe would be waited for.

    With `reduce` a JPEG of more than MAX_PIXELS is decoded at a half, a quarter or an eighth of its sides.
    Raises DataError as `read_image`.
    """
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise OSError("it is no regular file")
        file = source if isinstance(source, Path) else io.BytesIO(source)
        image = (_jpeg(file) if reduce else None) or Image.open(file, formats=formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            image.close()
            raise ValueError(f"it has {width} x {height} pixels, and {MAX_PIXELS:,} are read at most")
        return image
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error


def _jpeg(file: Path | io.BytesIO) -> Image.Image | None:
    """A JPEG that is decoded smaller where it is too large; None for other formats."""
    try:
        # `Image.open` refuses what is too large before it can be asked for less.
        image = JpegImageFile(file)
    except SyntaxError:
        return None
    width, height = image.size
    part = next((part for part in (1, 2, 4) if width * height <= MAX_PIXELS * part**2), 8)
    if part > 1:
        image.draft(None, (width // part, height // part))
    return image


def decode(image: Image.Image, source: Path | bytes, *, background: Colour = WHITE) -> Picture:
    """Decodes what `open_image` opened. Raises DataError as `read_image`."""
    try:
        animated = has_frames(image)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I") or image.mode == "F":
            grey = _deep_to_8_bit(np.asarray(image), image.mode, image.format)
            fault = "only pictures of 8 bits are converted" if "icc_profile" in image.info else ""
            pixels = np.repeat(grey[..., None], 3, axis=2)
            return Picture(pixels=pixels, animated=animated, profile_fault=fault)
        managed = as_srgb(image)
        pixels = np.array(_on_ground(managed.image, image, background))
    # Pillow's plugins raise whatever a broken file provokes: OSError, SyntaxError, struct.error, EOFError...
    except Exception as error:
        raise UnreadableError(source, _reason(error)) from error
    return Picture(pixels=pixels, animated=animated, profile=managed.profile, profile_fault=managed.fault)


def _on_ground(colours: Image.Image, image: Image.Image, background: Colour) -> Image.Image:
    """RGB colours with the transparency of `image`, on a background."""
    if not image.has_transparency_data:
        return colours
    colours = colours.convert("RGBA")
    colours.putalpha(converted(image, "RGBA").getchannel("A"))
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
    """Scales deep grey to 0..255; only the range of 32-bit and float files is guessed, from the maximum."""
    values = np.nan_to_num(values.astype(np.float64))
    peak = values.max(initial=0)
    if mode.startswith("I;16") or file_format == "PNG" or (mode == "I" and 255 < peak <= 65535):
        values = values / 257
    elif mode == "I" and peak > 65535:
        values = values * (255 / (2**32 - 1 if peak > 2**31 - 1 else 2**31 - 1))
    elif mode == "F" and peak <= 1:
        values = values * 255
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def png_bytes(array: np.ndarray | Image.Image) -> bytes:
    """Encodes uint8 (H, W, 3) or a Pillow image as PNG."""
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(np.ascontiguousarray(array))
    image.save(stream, "PNG")
    return stream.getvalue()


def gif_bytes(frames: Sequence[Image.Image], *, milliseconds: int) -> bytes:
    """Encodes frames as a GIF that repeats for ever, each shown for so long."""
    stream = io.BytesIO()
    frames[0].save(
        stream, "GIF", save_all=True, append_images=list(frames[1:]), duration=milliseconds, loop=0
    )
    return stream.getvalue()


# Fitting


def fit_image(
    array: np.ndarray, resolution: int, fit: Fit = "crop", background: Colour = WHITE
) -> np.ndarray:
    """Brings uint8 (H, W, 3) to uint8 (resolution, resolution, 3).

    `crop` keeps the largest centred square, `pad` letterboxes on `background`, `squash` ignores the aspect.
    Whole-number reductions average areas, exactly as the loader makes lower resolutions; every other ratio
    uses Pillow's Lanczos, whose support grows with the reduction, so that nothing aliases.
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
        return np.ascontiguousarray(array)
    (y, rest_y), (x, rest_x) = divmod(array.shape[0], height), divmod(array.shape[1], width)
    if rest_y == rest_x == 0:
        means = array.reshape(height, y, width, x, 3).mean(axis=(1, 3))
        return np.rint(means).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(array))
    return np.array(image.resize((width, height), Image.Resampling.LANCZOS))


# Showing


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
        row_labels: one text per row, set to the left of it; none leaves no margin.
        column_labels: one text per column, set above it, turned upright where it is wider than the cell.
        title: one line above all, at the left.
        scale: whole-number magnification; pixels stay squares.
    """
    rows = [list(row) for row in images]
    height, width = next((cell.shape[:2] for row in rows for cell in row if cell is not None), (1, 1))
    height, width = height * scale, width * scale
    gap = max(2, min(height, width) // 24)
    size = max(11, min(20, height // 5))
    beside, above = ([label(text, size) for text in labels] for labels in (row_labels, column_labels))
    left = max((one.width for one in beside), default=-3 * gap) + 4 * gap
    turned = any(one.width > width for one in above)
    headings = [_heading(one, turned) for one in above]
    name = _heading(label(title, size), False) if title else None
    head = name.height + 2 * gap if name else 0
    top = head + max((heading.height for heading in headings), default=-gap) + 2 * gap
    columns = max((len(row) for row in rows), default=0)
    wide = max(left + columns * (width + gap), name.width + 2 * gap if name else 0)
    grid = Image.new("RGB", (wide, top + len(rows) * (height + gap)), WHITE)
    for c, heading in enumerate(headings):
        x = left + c * (width + gap) + (width - heading.width) // 2
        grid.paste(heading, (x, top - gap - heading.height))
    draw = ImageDraw.Draw(grid)
    if name:
        grid.paste(name, (gap, gap))
    for r, row in enumerate(rows):
        y = top + r * (height + gap)
        if r < len(beside):
            draw.text((left - 2 * gap, y + height // 2), beside[r].text, INK, beside[r].font, anchor="rm")
        for c, cell in enumerate(row):
            if cell is not None:
                tile = Image.fromarray(np.ascontiguousarray(cell))
                tile = tile.resize((width, height), Image.Resampling.NEAREST)
                grid.paste(tile, (left + c * (width + gap), y))
    return grid


def _heading(one: Label, turned: bool) -> Image.Image:
    box = one.font.getbbox(one.text or " ")
    image = Image.new("RGB", (int(box[2]) + 1, int(box[3]) + 1), WHITE)
    ImageDraw.Draw(image).text((0, 0), one.text, INK, one.font)
    return image.transpose(Image.Transpose.ROTATE_90) if turned else image


# Comparing


def perceptual_hash(array: np.ndarray) -> int:
    """64-bit DCT hash of uint8 (H, W, 3): equal or a few bits apart for re-encoded or resized copies.

    The grey picture is reduced to 32 x 32, and each bit says whether one of the 8 x 8 lowest frequencies
    without the mean's own row and column lies above their median.
    """
    grey = (
        Image.fromarray(np.ascontiguousarray(array)).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    )
    low = _DCT @ np.asarray(grey, dtype=np.float64) @ _DCT.T  # (8, 8)
    # A flat picture has only rounding noise here, which must not become random bits.
    low = np.where(np.abs(low) < 1e-6, 0, low)
    bits = (low > np.median(low)).ravel()
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


def _dct_rows(first: int, count: int, size: int) -> np.ndarray:
    """Rows `first`.. of the DCT-II matrix: cos(pi (2n + 1) k / (2 size))."""
    k, n = np.arange(first, first + count)[:, None], np.arange(size)[None]
    return np.cos(np.pi * (2 * n + 1) * k / (2 * size))


_DCT = _dct_rows(1, 8, 32)
