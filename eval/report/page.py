"""The report as files: JSON for programs, and one HTML page without scripts or links, which can be mailed."""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.data.files import write_file
from brushwork.data.images import Cell, fit_image, image_grid, png_bytes

from ..errors import EvalError
from ..features.extract import Source
from ..results import ADVICE, Measurement, Picks
from ..sources import Stored
from .cards import cards, evaluators
from .plots import NARROW, WIDTH, bars, confusion, curve, worst_first
from .tables import (
    Column,
    by_features,
    by_style,
    figure_cells,
    minus,
    number,
    rounded,
    shortened,
    style_columns,
    with_spread,
)

AXES = {"truncation": "psi (0: the style's average, 1: no truncation)"}
"""Label of a curve's horizontal axis, by the curve's name."""

SAMPLES = "Measured"
REAL = "Real training pictures"
NEAREST = "Nearest to a training image"
CURVES = "The run"
"""Titles of the images in the report. The first two stand side by side at its head."""

SMALL, LARGE = 96, 160
"""Pixels. Smaller images are magnified by a whole factor to nearly SMALL, larger ones reduced to LARGE."""


class Illustration(NamedTuple):
    """A PNG, `kind` of its explanation in the template, and a description for those who cannot see it."""

    title: str
    kind: str
    png: bytes
    alt: str
    narrow: bytes = b""
    """The same for a phone, where it is another."""


# Files
def require_folder(out_dir: Path) -> None:
    """Raises EvalError if a report cannot go to `out_dir`, since a file stands in its place or above it."""
    for path in (out_dir, *out_dir.parents):
        if path.exists() and not path.is_dir():
            raise EvalError(f"'{path}' is a file: name a folder with --out.")


def write_report(measures: Measurement, out_dir: Path, *, grids: Mapping[str, Image.Image]) -> None:
    """Writes `report.json` and `report.html` to `out_dir`, each whole or not at all.

    `grids` are shown on the page under their titles, and saved beside it as `title-in-small-letters.png`.
    Raises EvalError if the folder cannot be written or a figure is infinite.
    """
    require_folder(out_dir)
    try:
        text = json.dumps(measures.to_json(), indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise EvalError(
            "The report cannot be written, since a figure or a point of a curve is no finite number: measure "
            "more images, or leave that metric out."
        ) from error
    images = {title: png_bytes(grid) for title, grid in grids.items()}
    files = {f"{title.lower().replace(' ', '-')}.png": png for title, png in images.items()}
    files |= {"report.json": text.encode(), "report.html": page(measures, images).encode()}
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_file(out_dir / name, content)
    except OSError as error:
        raise EvalError(
            f"The report in '{out_dir}' cannot be written ({error}): free some space or choose another --out."
        ) from error


# Page
def page(measures: Measurement, images: Mapping[str, bytes]) -> str:
    """Returns the whole report as HTML. `images` are PNG files by title."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        base64=lambda png: base64.b64encode(png).decode(), minus=minus, setting=_setting,
        number=lambda value, digits=4: minus(number(value, digits)),
        rounded=lambda score: minus(rounded(score)), with_spread=with_spread,
    )  # fmt: skip
    cells = partial(figure_cells, style_names=measures.style_names)
    rows = [cells(figure) for figure in measures.figures.values()]
    html = environment.get_template("page.html").render(
        measures=measures,
        advice=ADVICE,
        cards=cards(measures),
        subtitle=_subtitle(measures),
        meanings=list({figure.about.title: figure.about for figure in measures.figures.values()}.values()),
        evaluators=evaluators(measures),
        head=[
            Illustration(title, title, images[title], title) for title in (SAMPLES, REAL) if title in images
        ],
        labels=[label for label in (rows[0] if rows else ()) if any(row[label] for row in rows)],
        groups=by_features(measures),
        cells=cells,
        style_plots=[*_bars(measures), *_confusion(measures)],
        style_tables=_style_tables(measures),
        curve_plots=_curves(measures),
        grids=[
            Illustration(title=title, kind=title, png=png, alt=title)
            for title, png in images.items()
            if title not in (SAMPLES, REAL)
        ],
    )
    return f"{html.strip()}\n"


def _subtitle(measures: Measurement) -> str:
    """'800 images of 4 styles beside 519 real training images', as far as the protocol says it."""
    protocol, styles = measures.protocol, len(measures.style_names)
    images = protocol.get("images", protocol.get("images_per_style", ()))
    count = images if isinstance(images, int) else sum(images)
    parts = [f"{count:,} images"] if count else []
    parts += [f"of {styles} styles"] if styles > 1 else []
    real = protocol.get("real_train_images")
    return " ".join([*parts, f"beside {real:,} real training images"] if real else parts)


def _style_tables(measures: Measurement) -> list[list[Column]]:
    """Columns of the tables of styles. One table with all figures would be wider than a page."""
    styled = by_style(measures)
    main = [name for name in ("fd", "accuracy") if name in styled]
    others = [name for name in styled if name not in main]
    groups = [main, *(others[start : start + 8] for start in range(0, len(others), 8))]
    tables = [{name: styled[name] for name in names} for names in groups if names]
    return [style_columns(figures) for figures in tables]


def _setting(entry: object) -> str:
    """Returns an entry of the protocol as text: `200 (4 times)`, `none`, `1, 2`."""
    if isinstance(entry, Sequence) and entry and not isinstance(entry, str):
        alike = len(entry) > 3 and all(item == entry[0] for item in entry)
        return f"{entry[0]} ({len(entry)} times)" if alike else ", ".join(map(str, entry))
    return "none" if entry is None or entry in ({}, [], ()) else str(entry)


# Plots
def _bars(measures: Measurement) -> list[Illustration]:
    """The first figure at full width, then the other figures as small panels, one image a feature space."""
    others = by_style(measures)
    if not others:
        return []
    name = "fd" if "fd" in others else next(iter(others))
    first = others.pop(name)
    groups = {
        f"{first.about.title[:1].upper()}{first.about.title[1:]} by style": [first],
        "Other figures by style": list(others.values()),
    }
    for name, figure in measures.figures.items():
        if "@" in name and figure.measured.per_style:
            groups.setdefault(f"By style, in the features of {figure.features}", []).append(figure)
    names, order = measures.style_names, worst_first(first)
    return [
        Illustration(
            title=title, kind="bars" if figures == [first] else "panels",
            png=bars(figures, names, order), narrow=bars(figures, names, order, NARROW),
            alt=f"Bar charts by style: {', '.join(figure.about.title for figure in figures)}",
        )
        for title, figures in groups.items() if figures
    ]  # fmt: skip


def _confusion(measures: Measurement) -> list[Illustration]:
    figure, title = measures.figures.get("accuracy"), "Which style is recognised"
    if figure is None or not figure.measured.matrix:
        return []
    png, narrow = (confusion(figure, measures.style_names, width) for width in (WIDTH, NARROW))
    return [Illustration(title=title, kind="confusion", png=png, alt=f"Heat maps: {title}", narrow=narrow)]


def _curves(measures: Measurement) -> list[Illustration]:
    return [
        Illustration(
            title=f"Effect of {name}", kind=name, png=curve(points, AXES.get(name, name)),
            alt=f"Line charts of figures over {name}", narrow=curve(points, AXES.get(name, name), NARROW),
        )
        for name, points in measures.curves.items()
    ]  # fmt: skip


# Grids
def samples_grid(source: Source, style_names: Sequence[str], per_style: int = 8) -> Image.Image:
    """Returns the first `per_style` images of each style, one row a style, or of all without styles."""
    rows = [(source.styles == s).nonzero().squeeze(1)[:per_style] for s in range(len(style_names))]
    if not style_names:
        rows = [torch.arange(min(per_style, len(source.styles)))]
    return _grid([_cells(source, row) for row in rows], style_names)


def real_grid(pictures: ImageDataset, style_names: Sequence[str], per_style: int = 8) -> Image.Image:
    """Returns `per_style` real images of each style, evenly spaced, in the rows of `samples_grid`."""
    styles = torch.zeros_like(pictures.styles)
    if style_names:
        places = [style_names.index(name) if name in style_names else -1 for name in pictures.style_names]
        styles = torch.tensor([*places, -1])[pictures.styles]  # label -1 (none) takes the last
    kept: list[Tensor] = []
    for place in range(max(1, len(style_names))):
        rows = (styles == place).nonzero().squeeze(1)
        count = min(per_style, len(rows))
        kept.append(rows[torch.arange(count) * len(rows) // max(1, count)])
    chosen = torch.cat(kept)
    shown = Stored(images=pictures.images[chosen], styles=styles[chosen])
    return samples_grid(shown, style_names, per_style)


def nearest_grid(source: Source, picks: Picks, train_images: UInt8[Tensor, "n 3 h w"]) -> Image.Image:
    """Returns the measured images nearest to a training image, each above that training image.

    A sample that repeats the image below it was memorised. Nearness alone, as of two round yellow faces, is
    no copy.
    """
    near: list[Cell] = [_cell(image) for image in train_images[picks.nearest_train]]
    return _grid([_cells(source, picks.nearest), near], ("measured", "nearest in training"))


def _cells(source: Source, indices: Tensor) -> list[Cell]:
    return [_cell(image) for image in source.take(indices)] if len(indices) else []


def _cell(image: UInt8[Tensor, "3 h w"]) -> np.ndarray:
    array = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    scale = min(1.0, LARGE / max(array.shape))
    height, width = (max(1, round(side * scale)) for side in array.shape[:2])
    return fit_image(array, (height, width), "squash")


def _grid(rows: list[list[Cell]], row_labels: Sequence[str]) -> Image.Image:
    heights = [cell.shape[0] for row in rows for cell in row if cell is not None]
    scale = max(1, SMALL // heights[0]) if heights else 1
    labels = [shortened(label, 28) for label in row_labels]
    return image_grid(rows, row_labels=labels, scale=scale)
