"""The emoji matrix: the same subjects drawn by several studios, aligned by their Unicode code points."""

from collections.abc import Sequence
from pathlib import Path

from ..images import WHITE, Colour
from ..progress import Progress
from .collection import Fetched
from .icon_matrix import IconMatrix, IconStyle, MatrixConfig, checked_styles, draw_matrix
from .iconify import REFERENCE_SETS, align, code_book, load_set

EMOJI_STYLES = (
    "twemoji",
    "noto",
    "noto-v1",
    "openmoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fluent-emoji-high-contrast",
    "emojione",
)
MORE_STYLES = ("emojione-v1", "emojione-monotone", "fxemoji", "streamline-emojis")


def fetch_emoji(
    directory: Path,
    *,
    styles: Sequence[str] = EMOJI_STYLES,
    size: int = 64,
    shared_only: bool = True,
    margin: float = 1 / 16,
    background: Colour = WHITE,
    workers: int | None = None,
) -> Fetched:
    """Draws `directory/<style>/<code points>.png` for every subject and style; see icon_matrix.draw_matrix.

    Args:
        directory: created if missing; it belongs to one choice of styles, size and margin.
        styles: names of `@iconify-json` sets, of EMOJI_STYLES or MORE_STYLES.
        size: side of the pictures in pixels, 8 to 1024.
        shared_only: keep only the subjects that every chosen style draws.
        margin: empty border on each side, as a fraction of `size`, below 0.5.
        background: the ground of the contact sheet; the pictures themselves stay transparent.
        workers: processes that draw; by default two, or one where there is one core.

    Raises:
        DataError: unknown style, other settings than the folder has, no npm, no network or no rasteriser.
    """
    chosen = checked_styles(styles, (*EMOJI_STYLES, *MORE_STYLES), what="emoji style")
    config = MatrixConfig(
        size=size, shared_only=shared_only, margin=margin, background=background, workers=workers
    )
    return draw_matrix(
        directory, lambda cache: emoji_matrix(chosen, cache), styles=chosen, source={}, config=config
    )


def emoji_matrix(styles: Sequence[str], cache: Path) -> IconMatrix:
    """Downloads the sets, and aligns them by the code points that the reference sets know."""
    names = list(dict.fromkeys([*REFERENCE_SETS, *styles]))
    sets = {name: load_set(name, cache) for name in Progress(names, desc="download", unit="set", leave=False)}
    book = code_book([sets[name] for name in REFERENCE_SETS])
    aligned = {name: IconStyle(icon_set=sets[name], icons=align(sets[name], book)) for name in styles}
    return IconMatrix(styles=aligned, names=book.names)
