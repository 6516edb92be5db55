"""Which files are pictures: those that Pillow opens, but for what is no picture or starts other programs."""

from functools import cache
from pathlib import Path

from PIL import Image

# Films, containers of measurements, and drawings that Ghostscript or Windows would have to draw.
NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
# Their further frames are layers, or previews of the same picture.
ONE_PICTURE = frozenset({"MPO", "PSD"})


@cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are opened, in the order in which it tries them."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NO_PICTURES)


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of these formats, in lower case."""
    known = set(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its suffix."""
    return path.suffix.lower() in suffixes()


def has_frames(image: Image.Image) -> bool:
    """Whether an opened picture is an animation, or a file of several pages."""
    return image.format not in ONE_PICTURE and bool(getattr(image, "is_animated", False))
