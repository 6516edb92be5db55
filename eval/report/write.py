"""Writes a measurement as JSON for programs, as a page for people, and its grids as PNG files."""

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from brushwork.data.files import write_file
from brushwork.data.images import png_bytes

from ..errors import EvalError
from ..results import Measurement
from .page import page


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
    text = _json(measures)
    images = {title: png_bytes(grid) for title, grid in grids.items()}
    html = page(measures, images)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for title, png in images.items():
            write_file(out_dir / f"{title.lower().replace(' ', '-')}.png", png)
        write_file(out_dir / "report.json", text.encode())
        write_file(out_dir / "report.html", html.encode())
    except OSError as error:
        raise EvalError(
            f"The report in '{out_dir}' cannot be written ({error}): free some space or choose another --out."
        ) from error


def _json(measures: Measurement) -> str:
    try:
        return json.dumps(measures.to_json(), indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise EvalError(
            "The report cannot be written, since a figure or a point of a curve is no finite number: measure "
            "more pictures, or leave that metric out."
        ) from error
