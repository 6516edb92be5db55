"""Which style is taken for which: heat maps of styles against styles, as PNG bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure as Sheet

from ..results import MetricResult, Score
from .plots import DPI, INK, MANY, WIDTH, axis_name, plain, png
from .tables import minus

Matrix = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a matrix is shown: colours, what they stand for, and the text along the columns."""

    colours: str
    scale: Normalize
    across: str
    percent: bool
    """Shares, written as percent; else numbers on a scale that a bar explains."""


def confusion_maps(figure: MetricResult, style_names: Sequence[str]) -> bytes:
    """What the probe takes each style for: what was measured beside held-out real pictures, on one scale."""
    look = Look(colours="Blues", scale=Normalize(0, 1), across="style recognised (%)", percent=True)
    return _maps(figure, style_names, look)


def similarity_maps(figure: MetricResult, style_names: Sequence[str]) -> bytes:
    """Each style's pictures against each style's real ones, on one scale of their own; dark blue is alike.

    A figure of which more is better is a similarity with a sign, its scale symmetric about 0; one of which
    less is better a squared distance, its scale even in the distance itself.
    """
    entries = [abs(value) for score in _scores(figure) for row in score.matrix for value in row]
    top = max(filter(math.isfinite, entries), default=0.0) or 1.0
    if figure.about.better == "more":
        look = Look(colours="RdBu", scale=Normalize(-top, top), across="style compared with", percent=False)
    else:
        scale = PowerNorm(0.5, vmin=0, vmax=top)
        look = Look(colours="Blues_r", scale=scale, across="style compared with", percent=False)
    return _maps(figure, style_names, look)


def _scores(figure: MetricResult) -> list[Score]:
    return [score for score in (figure.measured, figure.real) if score is not None and score.matrix]


# Drawing
def _maps(figure: MetricResult, style_names: Sequence[str], look: Look) -> bytes:
    """Maps side by side where there are few styles, else below each other."""
    scores, count = _scores(figure), len(style_names)
    beside = len(scores) if count <= MANY else 1
    below = len(scores) // beside
    names = [axis_name(name) for name in style_names]
    margin = 0.5 + 0.07 * max(map(len, names))  # of the names, in inches
    numbered = look.percent and count <= 2 * MANY
    room = WIDTH - margin - (0.3 if numbered else 1.0) - 0.2 * (beside - 1)
    cell = min(0.8, room / (count * beside))
    height = below * (count * cell + 0.3) + 0.4 + margin * (0.7 if count <= MANY else 1)
    sheet = Sheet(figsize=(WIDTH, height), dpi=DPI, layout="compressed")
    panels = sheet.subplots(below, beside, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for axes, score, title in zip(panels, scores, ("Measured", "Held-out real pictures"), strict=False):
        axes.imshow(score.matrix, cmap=look.colours, norm=look.scale)
        if numbered or cell >= 0.36:
            _write_numbers(axes, score.matrix, look, size=min(8.0, 21 * cell))
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        plain(axes, size=9.0 if cell > 0.24 else 7.5)
        axes.set_yticks(range(count), names)
    for axes in panels[-beside:]:
        turn = 40 if count <= MANY else 90
        axes.set_xticks(range(count), names, rotation=turn, ha="right" if turn < 90 else "center")
        axes.set_xlabel(look.across)
    panels[0].set_ylabel("style asked for")
    if not numbered:
        colours = ScalarMappable(look.scale, look.colours)
        bar = sheet.colorbar(colours, ax=panels, shrink=0.8 / below, aspect=24, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=8, length=0, colors=INK)
    return png(sheet)


def _write_numbers(axes: Axes, matrix: Matrix, look: Look, *, size: float) -> None:
    """The entries in their cells; small shares are left to the colour."""
    colours = matplotlib.colormaps[look.colours]
    decimals = max(0, (1 if look.colours == "RdBu" else 2) - math.floor(math.log10(look.scale.vmax or 1.0)))
    for row, line in enumerate(matrix):
        for column, value in enumerate(line):
            if math.isnan(value) or (look.percent and value < 0.005):
                continue
            text = f"{100 * value:.0f}" if look.percent else minus(f"{value:.{decimals}f}")
            colour = readable_on(colours(look.scale(value)))
            label = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
            label.set_in_layout(False)  # it is inside, and every text that counts costs time


def readable_on(rgba: Sequence[float]) -> str:
    """Black or white, whichever contrasts more (WCAG 2's relative luminance): 4.5 : 1 at least."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgba[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"
