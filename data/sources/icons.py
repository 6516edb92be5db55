"""Draws icons of the same subjects in several styles, and fetches icon sets that come in several styles.

Every drawing is cropped to its bounding box and set into the same frame. Otherwise the width of the border
would tell the style.
"""

import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from ..errors import DataError
from ..files import write_file
from ..images import png_bytes
from ..names import file_name, markdown_cell
from ..progress import Progress
from .collection import Fetched, cache_of, fetch_once
from .iconify import IconSet, load_set, svg_text

MARGIN = 1 / 16
"""Empty border on each side, as a fraction of the side."""
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class IconStyle:
    """One style: its icon set, and subject -> name of the icon."""

    icon_set: IconSet
    icons: Mapping[str, str]


def fetch_icons(
    name: str, directory: Path, *, styles: Sequence[str] = (), size: int = 64, shared_only: bool = True
) -> Fetched:
    """Draws an icon set in its own styles, which the endings of its icons' names tell: `home-bold`.

    Args:
        name: of the npm package `@iconify-json/<name>`, such as solar.
        directory: as draw_matrix.
        styles: names of the set's styles; by default all.
        size: side of the pictures in pixels.
        shared_only: keep only the subjects that every chosen style has.

    Raises:
        DataError: the set or a style is unknown, the set has one style, the folder has other settings, or
            npm, network or resvg is missing.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise DataError(f"'{name}' is no name of an icon set: name one, e.g. solar.")
    icon_set = load_set(name, cache_of(directory))
    known = _style_names(icon_set)
    chosen = check_styles(styles or list(known.values()), known.values())
    icons: dict[str, dict[str, str]] = {style: {} for style in chosen}
    for icon in sorted(icon_set.icons):  # no aliases: one icon under two names could lie in both splits
        subject, suffix = split_name(icon, known)
        if known.get(suffix) in icons:
            icons[known[suffix]][subject] = icon
    matrix = {style: IconStyle(icon_set=icon_set, icons=icons[style]) for style in chosen}
    settings = {"set": name, "styles": chosen, "size": size, "shared_only": shared_only}
    return fetch_once(
        directory, settings, lambda: draw_matrix(directory, matrix, size=size, shared_only=shared_only)
    )


def check_styles(styles: Sequence[str], known: Iterable[str]) -> list[str]:
    """Returns the chosen styles. Raises DataError if one is unknown or named twice, or there is none."""
    for style in styles:
        if style not in known:
            raise DataError(f"The style '{style}' is unknown: choose from {', '.join(known)}.")
    if not styles or len(set(styles)) < len(styles):
        raise DataError(f"The styles '{','.join(styles)}' must be at least one, and each named once.")
    return list(styles)


def slug(name: str) -> str:
    """Returns a name as lower-case ASCII words: 'Squared Katakana Koko' -> 'squared-katakana-koko'."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _style_names(icon_set: IconSet) -> dict[str, str]:
    """Suffix -> style name, in the set's order. The empty suffix takes the name from its title."""
    if len(icon_set.suffixes) < 2:
        raise DataError(
            f"The icons of '{icon_set.name}' come in one style: name a set whose metadata lists suffixes, "
            "e.g. solar, material-symbols or mingcute."
        )
    return {suffix: suffix or slug(title) for suffix, title in icon_set.suffixes.items()}


def split_name(icon: str, suffixes: Iterable[str]) -> tuple[str, str]:
    """Returns subject and suffix of an icon, by the longest suffix; the suffix is empty if none fits."""
    for suffix in sorted(filter(None, suffixes), key=len, reverse=True):
        if icon.endswith(f"-{suffix}"):
            return icon.removesuffix(f"-{suffix}"), suffix
    return icon, ""


# Drawing


def draw_matrix(directory: Path, styles: Mapping[str, IconStyle], *, size: int, shared_only: bool) -> Fetched:
    """Draws `directory/<style>/<subject>.png` (RGBA) where it is missing, and writes ATTRIBUTION.md.

    Args:
        directory: created if missing; it belongs to one choice of styles and size.
        styles: in the order of the attribution.
        size: side of the pictures in pixels.
        shared_only: keep only the subjects that every style has.

    Raises:
        DataError: the styles share no subject, or resvg is missing.
    """
    by_style = [set(style.icons) for style in styles.values()]
    subjects = set.intersection(*by_style) if shared_only else set.union(*by_style)
    if not subjects:
        raise DataError(
            f"No subject is in all of the styles {', '.join(styles)}: choose fewer with --styles, or keep "
            "the subjects that only some have with --all-subjects."
        )
    svgs: dict[Path, str] = {}
    for name, style in styles.items():
        for subject in sorted(subjects & set(style.icons)):
            svg = svg_text(style.icon_set, style.icons[subject])
            if svg is not None:
                svgs[directory / file_name(name) / f"{file_name(subject)}.png"] = svg
    _draw({path: svg for path, svg in svgs.items() if not path.exists()}, size)
    write_file(directory / "ATTRIBUTION.md", _attribution(styles))
    return Fetched(subjects=len(subjects), pictures=len(svgs))


def _draw(svgs: Mapping[Path, str], size: int) -> None:
    with Progress(total=len(svgs), desc="draw", unit="img", disable=not svgs) as bar:

        def count(drawn: Iterable[None]) -> None:
            for _ in drawn:
                bar.update()

        if len(svgs) < 8 * CHUNK:
            count(map(_draw_picture, svgs, svgs.values(), repeat(size)))
        else:
            # New interpreters, since a fork would freeze the caller's threads.
            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
                count(pool.map(_draw_picture, svgs, svgs.values(), repeat(size), chunksize=CHUNK))


def _draw_picture(path: Path, svg: str, size: int) -> None:
    write_file(path, rasterise(svg, size))


def rasterise(svg: str, size: int) -> bytes:
    """Draws an SVG at twice the size, crops it to what is visible and returns `size` x `size` PNG bytes."""
    try:
        import resvg_py
    except ImportError as error:
        raise DataError("Drawing icons needs resvg-py: pip install 'brushwork[demo]'.") from error
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=2 * size, height=2 * size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(drawn))) as image:
        return png_bytes(_framed(image.convert("RGBA"), size))


def _framed(image: Image.Image, size: int) -> Image.Image:
    """Crops RGBA to its visible box, and centres it in a square frame with a margin on each side."""
    # Faint antialiasing and shadows (alpha below 1/16) are no part of the box.
    box = image.getchannel("A").point([0] * 16 + [255] * 240).getbbox()
    frame = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    if box is None:
        return frame
    drawing = image.crop(box)
    scale = (size - 2 * round(size * MARGIN)) / max(drawing.size)
    width, height = (max(1, round(side * scale)) for side in drawing.size)
    drawing = drawing.resize((width, height), Image.Resampling.LANCZOS)
    frame.paste(drawing, ((size - width) // 2, (size - height) // 2))
    return frame


def _attribution(styles: Mapping[str, IconStyle]) -> str:
    """A Markdown table of the authors and licences, as the sets' own info gives them."""
    lines = [
        "# Attribution\n",
        "Drawn from the SVGs of these sets: rasterised, cropped to the drawing and padded equally.\n",
        "| style | title | author | licence | package version | licence text |",
        "|---|---|---|---|---|---|",
    ]
    for style, drawn in styles.items():
        icon_set = drawn.icon_set
        given = (icon_set.info.get(key) for key in ("author", "license"))
        author, licence = (fields if isinstance(fields, dict) else {} for fields in given)
        cells = [
            style,
            str(icon_set.info.get("name", icon_set.name)),
            f"[{author.get('name', '?')}]({author.get('url', '')})",
            str(licence.get("spdx") or licence.get("title", "?")),
            f"{icon_set.name} {icon_set.version}",
            str(licence.get("url", "")),
        ]
        lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
    return "\n".join(lines) + "\n"
