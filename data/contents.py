"""What is to be redrawn: pictures, folders of them and packed data sets, each picture under its own name.

A picture may be cut out of its ground: what is transparent in it stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import DataError
from .folder import NOT_UTF8, list_pictures
from .images import WHITE, Colour, UnreadableError, open_image, read_image
from .names import file_name, file_path, is_utf8, normal, unique_names, visible
from .pictures import load_pictures
from .split import AnySplit


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A picture's colours on a ground, uint8 (H, W, 3), and its opacity, uint8 (H, W); None where it is
    opaque throughout."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None

    def recoloured(self, pixels: np.ndarray, background: Colour = WHITE) -> Image.Image:
        """Other colours of the same size, with this picture's opacity.

        They were drawn on `background`, too: it is taken out of what is partly transparent, as far as 0..255
        allow, so that the picture laid on it shows `pixels` again, and no rim on any other.
        """
        if self.alpha is None:
            return Image.fromarray(pixels)
        share, ground = self.alpha[..., None] / 255, np.array(background, dtype=np.float64)
        own = ground + (pixels - ground) / np.where(share > 0, share, 1)
        colours = np.clip(np.rint(own), 0, 255).astype(np.uint8)
        return Image.fromarray(np.dstack([colours, self.alpha]))


def read_cutout(path: Path, background: Colour = WHITE) -> Cutout:
    """Reads a picture and its opacity. Raises DataError as `read_image` does."""
    return Cutout(pixels=read_image(path, background=background), alpha=_alpha(path))


def _alpha(path: Path) -> np.ndarray | None:
    """The opacity of a picture that can be read, upright."""
    with open_image(path) as image:
        if image.mode.startswith("I") or image.mode == "F" or not image.has_transparency_data:
            return None
        upright = ImageOps.exif_transpose(image)
        alpha = np.array(upright.convert("RGBA").getchannel("A"))
    return None if (alpha == 255).all() else alpha


@dataclass(frozen=True, kw_only=True)
class Original:
    """A picture to be redrawn, not yet read."""

    source: Path | np.ndarray
    """A file, or uint8 pixels (H, W, 3)."""
    name: str
    """Where it came from, as a relative path without a suffix: no other has it."""
    subject: str
    """What it shows, as a data set would name it."""
    style: str | None = None
    """The style that it is in already, where a data set knows."""
    fault: str = ""
    """Why the file cannot be opened, where that is known before it is read."""

    def read(self) -> Cutout:
        """Raises DataError for a file that is no picture, or that cannot be opened."""
        if isinstance(self.source, np.ndarray):
            return Cutout(pixels=self.source)
        if self.fault:
            raise UnreadableError(self.source, self.fault)
        return read_cutout(self.source)


def list_originals(sources: Sequence[Path], split: AnySplit = "test") -> list[Original]:
    """The pictures that `sources` name, in their order.

    A file is itself; a folder is all pictures below it and what cannot be opened there, by path, without
    names that begin with a dot; a packed data set is its `split`, named <style>/<subject>.

    Raises DataError where there is no such file, no picture in a folder, or no such split.
    """
    found = [original for source in sources for original in _of(source, split)]
    names = unique_names([original.name for original in found])
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def _of(source: Path, split: AnySplit) -> list[Original]:
    if source.is_file():
        return [_file(source, source.parent)]
    if not source.is_dir():
        raise DataError(f"There is no picture, folder or data set '{visible(str(source))}': mend the path.")
    if (source / "dataset.json").is_file():
        return _packed(source, split)
    found = [_file(entry.path, source, entry.fault) for entry in list_pictures(source)]
    if not found:
        raise DataError(f"'{source}' holds no picture (.png, .jpg, .webp, ...): name another.")
    return found


def _file(path: Path, root: Path, fault: str = "") -> Original:
    inside = path.relative_to(root).with_suffix("")
    fault = fault or ("" if is_utf8(str(path)) else NOT_UTF8)  # no manifest could hold it
    return Original(source=path, name=file_path(inside.as_posix()), subject=normal(path.stem), fault=fault)


def _packed(source: Path, split: AnySplit) -> list[Original]:
    pictures = load_pictures(source, split)
    found = []
    for image, style, subject in zip(
        pictures.images, pictures.styles.tolist(), pictures.subjects, strict=True
    ):
        label = pictures.style_names[style] if style >= 0 else None
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        name = f"{file_name(label or 'unlabelled')}/{file_path(subject)}"
        found.append(Original(source=pixels, name=name, subject=subject, style=label))
    return found
