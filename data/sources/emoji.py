"""The emoji collection: the same subjects by several studios, aligned by their Unicode code points.

Some icon sets list code points -> icon name (`chars.json`). Others are aligned by the names and aliases of
these reference sets, and by Unicode's own character names.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..progress import Progress
from .collection import Fetched
from .icon_matrix import IconMatrix, IconStyle, MatrixConfig, check_styles, draw_matrix
from .iconify import IconSet, changes_icon, load_set

EMOJI_STYLES = (
    "twemoji", "noto", "noto-v1", "openmoji", "fluent-emoji", "fluent-emoji-flat",
    "fluent-emoji-high-contrast", "emojione",
)  # fmt: skip
MORE_STYLES = ("emojione-v1", "emojione-monotone", "fxemoji", "streamline-emojis")
REFERENCE_SETS = ("twemoji", "noto", "openmoji", "fluent-emoji-high-contrast")
"""Sets whose names for code points are used, best first. They are always fetched."""
SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})


def fetch_emoji(
    directory: Path,
    *,
    styles: Sequence[str] = EMOJI_STYLES,
    config: MatrixConfig | None = None,
) -> Fetched:
    """Draws `directory/<style>/<code points>.png` for every subject and style; see icon_matrix.draw_matrix.

    Args:
        directory: created if missing; it belongs to one choice of styles and config.
        styles: names of `@iconify-json` sets, of EMOJI_STYLES or MORE_STYLES.
        config: how they are drawn; by default MatrixConfig().

    Raises:
        DataError: a style is unknown, the folder has other settings, or npm, network or resvg is missing.
    """
    chosen = check_styles(styles, (*EMOJI_STYLES, *MORE_STYLES), what="emoji style")
    return draw_matrix(
        directory, lambda cache: _matrix(chosen, cache), styles=chosen, source={}, config=config
    )


def _matrix(styles: Sequence[str], cache: Path) -> IconMatrix:
    names = list(dict.fromkeys([*REFERENCE_SETS, *styles]))
    sets = {name: load_set(name, cache) for name in Progress(names, desc="download", unit="set", leave=False)}
    book = code_book([sets[name] for name in REFERENCE_SETS])
    aligned = {name: IconStyle(icon_set=sets[name], icons=align(sets[name], book)) for name in styles}
    return IconMatrix(styles=aligned, names=book.names)


# Alignment


def slug(name: str) -> str:
    """Returns a name as lower-case ASCII words: 'Squared Katakana Koko' -> 'squared-katakana-koko'."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def plain_code(code: str) -> str:
    """Returns lower-case code points joined by '-', without the variation selector of some sets."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


@dataclass(frozen=True, kw_only=True)
class CodeBook:
    """The names of code points in the reference sets."""

    codes: Mapping[str, str]
    """Slug -> code."""
    names: Mapping[str, str]
    """Code -> name."""


def code_book(references: Sequence[IconSet]) -> CodeBook:
    """Collects the names of the reference sets: names before aliases before Unicode's own."""
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    for reference in references:
        for code, name in sorted(reference.chars.items()):
            if SKIN_TONES.isdisjoint(code.split("-")):
                names.setdefault(plain_code(code), name)
                codes.setdefault(slug(name), plain_code(code))
    for reference in references:
        by_name = {name: plain_code(code) for code, name in reference.chars.items()}
        for alias, target in sorted(reference.aliases.items()):
            code = by_name.get(target["parent"], "")
            if code in names and not changes_icon(target):
                codes.setdefault(slug(alias), code)
    for code in sorted(names):
        if "-" not in code:
            codes.setdefault(slug(unicodedata.name(chr(int(code, 16)), "")), code)
    codes.pop("", None)
    return CodeBook(codes=codes, names=names)


def align(icon_set: IconSet, book: CodeBook) -> dict[str, str]:
    """Returns code -> icon name in a set: by its `chars.json` if it has one, else by names and aliases."""
    if icon_set.chars:
        known = set(icon_set.icons) | set(icon_set.aliases)
        codes = ((plain_code(code), name) for code, name in sorted(icon_set.chars.items()))
        return {c: name for c, name in codes if name in known and SKIN_TONES.isdisjoint(c.split("-"))}
    aligned: dict[str, str] = {}
    used: set[str] = set()
    for name in [*sorted(icon_set.icons), *sorted(icon_set.aliases)]:
        code = book.codes.get(slug(name))
        alias = icon_set.aliases.get(name)
        # A further alias of an icon with a code is a loose synonym: emojione's `cricket` is the game, not the
        # insect. A mirrored alias is an icon of its own.
        if alias is not None and not changes_icon(alias) and alias["parent"] in used:
            continue
        if code and code not in aligned:
            aligned[code] = name
            used.add(name if alias is None else alias["parent"])
    return aligned
