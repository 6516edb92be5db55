"""The report's plots, as PNG bytes: drawn by matplotlib's objects, which touch no global state."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .measures import Measures

INK, MUTED, ACCENT, MARK = "#1f2430", "#667085", "#3056a0", "#b54708"
"""Text, secondary text, the samples' bars, the real level: apart in lightness too, for any eye."""


def style_bars(measures: Measures) -> bytes:
    """Distance of each style's samples, worst first, with the level of held-out real pictures as a mark."""
    count = len(measures.style_names)
    order = sorted(range(count), key=lambda s: measures.samples.style_fd[s])
    figure = Figure(figsize=(8.4, 0.9 + 0.42 * count), dpi=144, layout="constrained")
    axes = figure.subplots()
    values = [measures.samples.style_fd[s] for s in order]
    real = [measures.real.style_fd[s] for s in order]
    axes.barh(range(count), values, height=0.62, color=ACCENT, label="samples")
    bottoms, tops = [i - 0.4 for i in range(count)], [i + 0.4 for i in range(count)]
    axes.vlines(real, bottoms, tops, color=MARK, linewidth=2.5, label="held-out real pictures")
    for i, (value, level) in enumerate(zip(values, real, strict=True)):
        beside = (max(value, level), i)
        axes.annotate(f"{value:.0f}", beside, (7, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(count), [measures.style_names[s] for s in order])
    axes.set_xlim(0, max([*values, *real]) * 1.12)
    axes.set_xlabel("Frechet distance to the style's real pictures (less is nearer)")
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    _plain(axes)
    return _png(figure)


def confusion_maps(measures: Measures) -> bytes:
    """What the probe takes each style for: samples beside held-out real pictures, on one scale."""
    count = len(measures.style_names)
    side = max(2.6, 0.52 * count)
    figure = Figure(figsize=(2 * side + 2.6, side + 1.5), dpi=144, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _heat_map(left, measures.samples.confusion, measures.style_names)
    left.set_title("Samples", loc="left", fontsize=11, color=INK)
    left.set_ylabel("style asked for")
    _heat_map(right, measures.real.confusion, measures.style_names)
    right.set_title("Held-out real pictures", loc="left", fontsize=11, color=INK)
    return _png(figure)


def _heat_map(axes: Axes, shares: Sequence[Sequence[float]], names: Sequence[str]) -> None:
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            if share >= 0.005:
                text = f"{100 * share:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8,
                          color="white" if share > 0.55 else INK)  # fmt: skip
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("style recognised (%)")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.xaxis.label.set(color=MUTED, size=9)
    axes.yaxis.label.set(color=MUTED, size=9)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
