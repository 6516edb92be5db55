"""The emoji collection: the same subjects by several studios, aligned by their Unicode code points.

Some icon sets list code points -> icon name (`chars.json`). Others are aligned by the names and aliases of
these reference sets, and by Unicode's own character names.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..progress import Progress
from .collection import Fetched, fetch_once
from .icons import IconSet, IconStyle, changes_icon, check_styles, draw_matrix, load_set, slug

EMOJI_STYLES = (
    "twemoji", "noto", "noto-v1", "openmoji", "fluent-emoji", "fluent-emoji-flat",
    "fluent-emoji-high-contrast", "emojione",
)  # fmt: skip
REFERENCE_SETS = ("twemoji", "noto", "openmoji", "fluent-emoji-high-contrast")
"""Sets whose names for code points are used, best first. They are always fetched."""
SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})


def fetch_emoji(directory: Path, *, styles: Sequence[str] = EMOJI_STYLES, size: int = 64) -> Fetched:
    """Draws `directory/<style>/<code points>.png` for every subject and style; see `icons.draw_matrix`.

    The styles are of EMOJI_STYLES. Raises DataError if one is unknown, the folder has other
    settings, or npm, network or resvg is missing.
    """
    chosen = check_styles(styles or EMOJI_STYLES, EMOJI_STYLES)
    settings = {"styles": chosen, "size": size}
    return fetch_once(directory, settings, lambda: draw_matrix(directory, _matrix(chosen), size))


def _matrix(styles: Sequence[str]) -> dict[str, IconStyle]:
    names = list(dict.fromkeys([*REFERENCE_SETS, *styles]))
    sets = {name: load_set(name) for name in Progress(names, desc="download", unit="set", leave=False)}
    codes = code_book([sets[name] for name in REFERENCE_SETS])
    return {name: (sets[name], align(sets[name], codes)) for name in styles}


# Alignment
def plain_code(code: str) -> str:
    """Returns lower-case code points joined by '-', without the variation selector of some sets."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def code_book(references: Sequence[IconSet]) -> dict[str, str]:
    """Returns slug -> code by the reference sets: names before aliases before Unicode's own."""
    codes: dict[str, str] = {}
    named: set[str] = set()
    for reference in references:
        for code, name in sorted(reference.chars.items()):
            if SKIN_TONES.isdisjoint(code.split("-")):
                codes.setdefault(slug(name), plain_code(code))
                named.add(plain_code(code))
    for reference in references:
        by_name = {name: plain_code(code) for code, name in reference.chars.items()}
        for alias, target in sorted(reference.aliases.items()):
            code = by_name.get(target["parent"], "")
            if code in named and not changes_icon(target):
                codes.setdefault(slug(alias), code)
    for code in sorted(named):
        if "-" not in code:
            codes.setdefault(slug(unicodedata.name(chr(int(code, 16)), "")), code)
    codes.pop("", None)
    return codes


def align(icon_set: IconSet, codes: Mapping[str, str]) -> dict[str, str]:
    """Returns code -> icon name in a set: by its `chars.json` if it has one, else by names and aliases."""
    if icon_set.chars:
        known = set(icon_set.icons) | set(icon_set.aliases)
        plain = ((plain_code(code), name) for code, name in sorted(icon_set.chars.items()))
        return {c: name for c, name in plain if name in known and SKIN_TONES.isdisjoint(c.split("-"))}
    aligned: dict[str, str] = {}
    used: set[str] = set()
    for name in [*sorted(icon_set.icons), *sorted(icon_set.aliases)]:
        code = codes.get(slug(name))
        alias = icon_set.aliases.get(name)
        # A further alias of an icon with a code is a loose synonym: emojione's `cricket` is the game, not the
        # insect. A mirrored alias is an icon of its own.
        if alias is not None and not changes_icon(alias) and alias["parent"] in used:
            continue
        if code and code not in aligned:
            aligned[code] = name
            used.add(name if alias is None else alias["parent"])
    return aligned
