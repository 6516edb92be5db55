"""Colours as sRGB, whatever colour space a file's ICC profile says they are in."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SAME = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it: rounding is to change no
picture that is in sRGB already."""
GREY_MODES = ("1", "L", "LA", "La")
# Colour space of a profile -> the Pillow mode that it describes.
SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


@dataclass(frozen=True, kw_only=True)
class Managed:
    """An RGB picture in sRGB, the profile that it was converted from, and what is wrong with one."""

    image: Image.Image
    profile: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class _Transform:
    """How to come from `mode` to sRGB; `apply` is None for what is sRGB already."""

    mode: str
    name: str
    apply: ImageCms.ImageCmsTransform | None


def as_srgb(image: Image.Image) -> Managed:
    """The colours of a loaded 8-bit picture, without its transparency.

    A profile that is broken, or that does not fit the picture, is passed over and named.
    """
    colours = converted(image, "RGBA") if image.has_transparency_data else image
    profile = image.info.get("icc_profile")
    if not profile:
        return Managed(image=converted(colours, "RGB"))
    kind = "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        transform = _transform(profile, kind)
    # Pillow raises OSError, TypeError or PyCMSError, as the profile is broken in one way or another.
    except Exception as error:
        return Managed(image=converted(colours, "RGB"), fault=str(error) or type(error).__name__)
    if transform.apply is None:
        return Managed(image=converted(colours, "RGB"))
    given = converted(colours, transform.mode)
    return Managed(image=transform.apply.apply(given), profile=transform.name)


def converted(image: Image.Image, mode: str) -> Image.Image:
    """The picture in another mode; not copied where it is in that."""
    return image if image.mode == mode else image.convert(mode)


@lru_cache(maxsize=16)
def _transform(content: bytes, kind: str) -> _Transform:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
    space = str(getattr(profile.profile, "xcolor_space", "")).strip()
    mode = SPACES.get(space)
    if mode is None or (mode != kind and (mode, kind) != ("RGB", "L")):
        raise ValueError(f"a profile of {space} colours in a picture of mode {kind}")
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    name = ImageCms.getProfileDescription(profile).strip() or "a profile without a name"
    return _Transform(mode=mode, name=name, apply=None if _changes_little(transform, mode) else transform)


def _changes_little(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the colours of a lattice, and all greys, come out as they are."""
    if mode == "CMYK":
        return False
    ramp = np.arange(256, dtype=np.uint8)
    greys = np.repeat(ramp[:, None], 3, axis=1)
    lattice = np.stack(np.meshgrid(*[ramp[::51]] * 3), axis=-1).reshape(-1, 3)
    probe = np.concatenate([greys, lattice]) if mode == "RGB" else greys
    given = Image.fromarray(np.ascontiguousarray(probe[None]))
    found = np.asarray(transform.apply(given if mode == "RGB" else given.convert("L")), dtype=np.int16)
    return bool(np.abs(found[0] - probe).max() <= SAME)
