"""Any picture file to upright 8-bit RGB pixels, pixels to a square, squares to a labelled grid."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from .errors import DataError

Fit = Literal["crop", "pad", "squash"]
Colour = tuple[int, int, int]
Cell = np.ndarray | None

WHITE: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)

# Reading


def read_image(source: Path | bytes, *, background: Colour = WHITE) -> np.ndarray:
    """Reads one picture as uint8 RGB of shape (H, W, 3).

    The EXIF orientation is applied, transparency is composited on `background`, and grey, palette, CMYK and
    16-bit pictures are converted, the last scaled by 1/257 so that white stays white.

    Raises:
        DataError: the file is no picture, is cut short, or is far too large to be one.
    """
    name = f"'{source}'" if isinstance(source, Path) else "The given file"
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), background)
    # Pillow's plugins raise whatever a broken file provokes: OSError, SyntaxError, struct.error, EOFError...
    except Exception as error:
        raise DataError(
            f"{name} cannot be read as a picture ({_reason(error)}): replace or remove it."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "its content is no known picture format"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "it has too many pixels to be decoded safely"
    return str(error).rstrip(".") or type(error).__name__


def _to_rgb(image: Image.Image, background: Colour) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        grey = _deep_to_8_bit(np.asarray(image), image.mode, image.format)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


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
    font = ImageFont.load_default(max(11, min(20, height // 5)))
    left = max((int(font.getlength(text)) for text in row_labels), default=-3 * gap) + 4 * gap
    turned = any(font.getlength(text) > width for text in column_labels)
    headings = [_heading(text, font, turned) for text in column_labels]
    name = _heading(title, font, False) if title else None
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
        if r < len(row_labels):
            draw.text((left - 2 * gap, y + height // 2), row_labels[r], INK, font, anchor="rm")
        for c, cell in enumerate(row):
            if cell is not None:
                tile = Image.fromarray(np.ascontiguousarray(cell))
                tile = tile.resize((width, height), Image.Resampling.NEAREST)
                grid.paste(tile, (left + c * (width + gap), y))
    return grid


def _heading(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, turned: bool) -> Image.Image:
    box = font.getbbox(text or " ")
    image = Image.new("RGB", (int(box[2]) + 1, int(box[3]) + 1), WHITE)
    ImageDraw.Draw(image).text((0, 0), text, INK, font)
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
