"""Content images to restyle, out of files, folders and packed data sets. They keep their transparency."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .dataset import DATASET_JSON, load_dataset
from .errors import DataError
from .folder import NOT_UTF8, list_images
from .images import UnreadableError, is_deep_grey, on_white, open_image, read_image
from .names import file_name, file_path, is_utf8, normal, unique_names, visible
from .split import AnySplit


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """An image composited on white, and its opacity."""

    pixels: np.ndarray
    """uint8 (H, W, 3)."""
    alpha: np.ndarray | None = None
    """uint8 (H, W); None if the image is opaque throughout."""

    @classmethod
    def of(cls, pixels: np.ndarray) -> "Cutout":
        """Returns the cutout of uint8 (H, W, 3) or (H, W, 4)."""
        alpha = pixels[..., 3] if pixels.shape[2] == 4 and pixels[..., 3].min() < 255 else None
        return cls(pixels=on_white(pixels), alpha=alpha)

    def recoloured(self, pixels: np.ndarray) -> Image.Image:
        """Returns `pixels`, uint8 (H, W, 3), with this image's opacity.

        Removes white from the partly transparent pixels, as far as 0..255 allow: composited on white, the
        result shows `pixels` again, and on any other ground it shows no rim.
        """
        if self.alpha is None:
            return Image.fromarray(pixels)
        opacity = self.alpha[..., None] / 255
        colours = 255 + (pixels - 255.0) / np.where(opacity > 0, opacity, 1)
        colours = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
        return Image.fromarray(np.dstack([colours, self.alpha]))

    def with_alpha(self) -> np.ndarray:
        """Returns uint8 (H, W, 4)."""
        return np.array(self.recoloured(self.pixels).convert("RGBA"))


def read_cutout(path: Path) -> Cutout:
    """Reads an image and its opacity. Raises DataError as `read_image` does."""
    pixels = read_image(path)
    with open_image(path) as image:
        if is_deep_grey(image) or not image.has_transparency_data:
            return Cutout(pixels=pixels)
        alpha = np.array(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))
    return Cutout(pixels=pixels, alpha=None if (alpha == 255).all() else alpha)


@dataclass(frozen=True, kw_only=True)
class Original:
    """A content image, not yet read."""

    source: Path | np.ndarray
    """A file, or uint8 pixels (H, W, 3), or (H, W, 4) with transparency."""
    name: str
    """Unique name: a relative path without a suffix."""
    subject: str
    """Subject, as a data set would name it."""
    style: str | None = None
    """Style, if the image comes from a data set with labels."""

    def read(self) -> Cutout:
        """Reads the image. Raises DataError if the file is no image, or cannot be opened."""
        if isinstance(self.source, np.ndarray):
            return Cutout.of(self.source)
        if not is_utf8(str(self.source)):  # no manifest could hold it
            raise UnreadableError(self.source, NOT_UTF8)
        return read_cutout(self.source)


def list_originals(sources: Sequence[Path], split: AnySplit = "test") -> list[Original]:
    """Lists the images of `sources`, in their order.

    A folder stands for all images below it and for what cannot be opened there, by path, except names that
    begin with a dot. A packed data set stands for its `split`, with names <style>/<subject>. Raises DataError
    if there is no such file, no image in a folder, or no such split.
    """
    originals = [original for source in sources for original in _list_source(source, split)]
    names = unique_names([original.name for original in originals])
    return [replace(original, name=name) for original, name in zip(originals, names, strict=True)]


def _list_source(source: Path, split: AnySplit) -> list[Original]:
    if source.is_file():
        return [_from_file(source, source.parent)]
    if not source.is_dir():
        raise DataError(f"There is no image, folder or data set '{visible(str(source))}': mend the path.")
    if (source / DATASET_JSON).is_file():
        return list(_from_dataset(source, split))
    originals = [_from_file(path, source) for path in list_images(source)]
    if not originals:
        raise DataError(f"'{source}' holds no image (.png, .jpg, .webp, ...): name another.")
    return originals


def _from_file(path: Path, root: Path) -> Original:
    inside = path.relative_to(root).with_suffix("")
    return Original(source=path, name=file_path(inside.as_posix()), subject=normal(path.stem))


def _from_dataset(source: Path, split: AnySplit) -> Iterator[Original]:
    pictures = load_dataset(source, split)
    labels = zip(pictures.styles.tolist(), pictures.subjects, strict=True)
    for image, (style, subject) in zip(pictures.images, labels, strict=True):
        label = pictures.style_names[style] if style >= 0 else None
        name = f"{file_name(label or 'unlabelled')}/{file_path(subject)}"
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        yield Original(source=pixels, name=name, subject=subject, style=label)
