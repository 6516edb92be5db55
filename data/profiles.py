"""Converts colours to sRGB from the colour space of a file's ICC profile."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

ROUNDING = 2
"""Levels of 255. A profile that changes no colour by more is taken for sRGB, so sRGB pictures stay exact."""
GREY_MODES = ("1", "L", "LA", "La")
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile -> the Pillow mode that it describes."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An RGB picture in sRGB, the name of the profile that was applied, and why one was ignored."""

    image: Image.Image
    profile: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class _Transform:
    """Converts `mode` to sRGB; `apply` is None if the profile is sRGB already."""

    mode: str
    name: str
    apply: ImageCms.ImageCmsTransform | None


def as_srgb(image: Image.Image) -> Converted:
    """Converts the colours of a loaded 8-bit picture to RGB in sRGB, and drops its transparency.

    Ignores a profile that is broken or does not fit the picture, and says so in `fault`.
    """
    colours = convert(image, "RGBA") if image.has_transparency_data else image
    profile = image.info.get("icc_profile")
    if not profile:
        return Converted(image=convert(colours, "RGB"))
    kind = "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        transform = _transform(profile, kind)
    # Pillow raises OSError, TypeError or PyCMSError for different faults of a profile.
    except Exception as error:
        return Converted(image=convert(colours, "RGB"), fault=str(error) or type(error).__name__)
    if transform.apply is None:
        return Converted(image=convert(colours, "RGB"))
    return Converted(image=transform.apply.apply(convert(colours, transform.mode)), profile=transform.name)


def convert(image: Image.Image, mode: str) -> Image.Image:
    """Returns the picture in another mode, without a copy if it has that mode already."""
    return image if image.mode == mode else image.convert(mode)


@lru_cache(maxsize=16)
def _transform(content: bytes, kind: str) -> _Transform:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
    space = str(getattr(profile.profile, "xcolor_space", "")).strip()
    mode = MODES.get(space)
    if mode is None or (mode != kind and (mode, kind) != ("RGB", "L")):
        raise ValueError(f"a profile of {space} colours in a picture of mode {kind}")
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    name = ImageCms.getProfileDescription(profile).strip() or "a profile without a name"
    return _Transform(mode=mode, name=name, apply=None if _is_identity(transform, mode) else transform)


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether all greys and, in RGB, a lattice of colours change by no more than ROUNDING."""
    if mode == "CMYK":
        return False
    ramp = np.arange(256, dtype=np.uint8)
    colours = np.repeat(ramp[:, None], 3, axis=1)
    if mode == "RGB":
        lattice = np.stack(np.meshgrid(*[ramp[::51]] * 3), axis=-1).reshape(-1, 3)
        colours = np.concatenate([colours, lattice])
    converted = transform.apply(convert(Image.fromarray(colours[None]), mode))
    return bool(np.abs(np.asarray(converted, dtype=np.int16)[0] - colours).max() <= ROUNDING)
