"""The benchmark `restyle` to look at: what every method made of some contents, and bars of the figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from PIL import Image
from torch import Tensor

from brushwork.data.files import write_file

from ..data.images import image_grid
from .benchmark_report import OURS, THEIRS
from .plots import figure_png
from .restyle_contest import Contest
from .restyle_task import Task

CELL = 64
"""Pixels that a cell of the grid measures at least."""

PANELS: Mapping[str, str] = {
    "accuracy": "style accuracy (more is better)",
    "content_normalised": "content distance (less is better)",
    "truth": "distance to the real drawing (less is better)",
}


def contest_grid(task: Task, outputs: Mapping[str, UInt8[Tensor, "n 3 r r"]], rows: int) -> Image.Image:
    """A row each of the first contents: the content, the style picture, and what each method made of it."""
    shown = {"content": task.contents, "style picture": task.references, **outputs}
    count = min(rows, len(task))
    cells = [[pixels(images[row]) for images in shown.values()] for row in range(count)]
    labels = [
        f"{task.style_names[task.origins[row]]} > {task.style_names[task.targets[row]]}"
        for row in range(count)
    ]
    scale = max(1, CELL // task.contents.shape[-1])
    return image_grid(cells, row_labels=labels, column_labels=list(shown), scale=scale)


def pixels(image: UInt8[Tensor, "3 h w"]) -> np.ndarray:
    """uint8 (H, W, 3)"""
    return image.permute(1, 2, 0).contiguous().numpy()


def contest_plot(path: Path, contest: Contest, ours: Sequence[str]) -> None:
    """One panel a figure, a bar a method with its standard error; a tick shows the figure of accuracy with
    random weights. The methods in `ours` stand out."""
    names = [entry.name for entry in contest.entries]
    size = 3.2 * len(PANELS) + 1.6, 0.32 * len(names) + 0.9
    sheet = Sheet(figsize=size, dpi=120, layout="constrained")
    panels = sheet.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, PANELS, strict=True):
        _bars(axes, contest, name, [OURS if method in ours else THEIRS for method in names])
    panels[0].set_yticks(range(len(names)), names, size=8)
    panels[0].invert_yaxis()
    write_file(path, figure_png(sheet))


def _bars(axes: Axes, contest: Contest, name: str, colours: Sequence[str]) -> None:
    figures = [entry.measures.figures[name] for entry in contest.entries]
    values = [figure.measured.value for figure in figures]
    errors = [figure.measured.spread or 0.0 for figure in figures]
    axes.barh(range(len(values)), values, xerr=errors, color=colours, height=0.7, ecolor="#1f2430", capsize=2)
    for place, (figure, value, error) in enumerate(zip(figures, values, errors, strict=True)):
        axes.text(value + error, place, f"  {value:.3f}", va="center", size=7)
        if figure.about.kind == "share" and figure.control is not None:
            axes.plot([figure.control.value] * 2, [place - 0.35, place + 0.35], color="#b54708", lw=1.5)
    axes.set_xlim(0, 1.25 * max(*(v + e for v, e in zip(values, errors, strict=True)), 1e-9))
    axes.set_title(PANELS[name], loc="left", size=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
