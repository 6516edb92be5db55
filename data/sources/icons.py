"""One icon set in its own styles, which the endings of its icons' names tell: `home-bold`, `home-outline`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import DataError
from .collection import Fetched, cache_of
from .emoji import slug
from .icon_matrix import IconMatrix, IconStyle, MatrixConfig, check_styles, draw_matrix
from .iconify import IconSet, load_set


def fetch_icons(
    name: str,
    directory: Path,
    *,
    styles: Sequence[str] = (),
    config: MatrixConfig | None = None,
) -> Fetched:
    """Draws `directory/<style>/<subject>.png` for every subject and style; see icon_matrix.draw_matrix.

    Args:
        name: of the npm package `@iconify-json/<name>`, such as solar.
        directory: created if missing; it belongs to one choice of set, styles and config.
        styles: names of the set's styles; by default all.
        config: how they are drawn; by default MatrixConfig().

    Raises:
        DataError: the set or a style is unknown, the set has one style, the folder has other settings, or
            npm, network or resvg is missing.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise DataError(f"'{name}' is no name of an icon set: name one, e.g. solar.")
    icon_set = load_set(name, cache_of(directory))
    known = tuple(style_names(icon_set).values())
    chosen = check_styles(styles or known, known, what=f"{name} style")
    return draw_matrix(
        directory, lambda _: _matrix(icon_set, chosen), styles=chosen, source={"set": name}, config=config
    )


def style_names(icon_set: IconSet) -> dict[str, str]:
    """Returns suffix -> style name, in the set's order. The empty suffix takes the name from its title.

    Raises:
        DataError: the set has fewer than two styles.
    """
    if len(icon_set.suffixes) < 2:
        raise DataError(
            f"The icons of '{icon_set.name}' come in one style: name a set whose metadata lists suffixes, "
            "e.g. solar, material-symbols or mingcute."
        )
    names = {suffix: suffix for suffix in icon_set.suffixes}
    if "" in names:
        title = slug(icon_set.suffixes[""])
        names[""] = "plain" if title in names else title
    return names


def split_name(icon: str, suffixes: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns subject and suffix of an icon, by the longest suffix; None if the name ends in none of them."""
    for suffix in sorted(filter(None, suffixes), key=len, reverse=True):
        subject = icon.removesuffix(f"-{suffix}")
        if subject != icon:
            return (subject, suffix) if subject else None
    return (icon, "") if "" in suffixes else None


def _matrix(icon_set: IconSet, styles: Sequence[str]) -> IconMatrix:
    """Sorts the icons of a set by subject and style.

    Leaves out aliases: the same icon under two subjects could lie in both splits.
    """
    known = style_names(icon_set)
    icons: dict[str, dict[str, str]] = {style: {} for style in styles}
    for icon in sorted(icon_set.icons):
        parts = split_name(icon, icon_set.suffixes)
        if parts is not None and known[parts[1]] in icons:
            icons[known[parts[1]]][parts[0]] = icon
    matrix = {style: IconStyle(icon_set=icon_set, icons=names) for style, names in icons.items()}
    return IconMatrix(styles=matrix, names={})
