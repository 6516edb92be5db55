"""A measurement made readable: JSON for programs, a self-contained page, its pictures as files."""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from brushwork.data.files import write_file
from brushwork.data.images import png_bytes

from ..errors import EvalError
from ..results import Measurement
from .page import page


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where a report lies."""

    json: Path
    page: Path


def write_report(
    measures: Measurement, out_dir: Path, *, pictures: Mapping[str, Image.Image | Path] | None = None
) -> Report:
    """Writes `report.json` and `report.html` to `out_dir`, each whole or not at all.

    `pictures` are shown in the page under their titles: drawn ones, which are also saved beside it as PNG
    files named after the titles, or PNG files that there are. Raises EvalError where the folder cannot be
    written, a picture cannot be read, or a figure is infinite.
    """
    given = pictures or {}
    report = Report(json=out_dir / "report.json", page=out_dir / "report.html")
    try:
        shown = {title: _png(picture) for title, picture in given.items()}
        text, html = _json(measures), page(measures, shown)
        out_dir.mkdir(parents=True, exist_ok=True)
        drawn = [title for title, picture in given.items() if isinstance(picture, Image.Image)]
        for name, title in zip(_file_names(drawn), drawn, strict=True):
            write_file(out_dir / name, shown[title])
        write_file(report.json, text.encode())
        write_file(report.page, html.encode())
    except OSError as error:
        raise EvalError(
            f"The report in '{out_dir}' cannot be written ({error}): free some space or choose another --out."
        ) from error
    return report


def _json(measures: Measurement) -> str:
    try:
        return json.dumps(measures.to_json(), indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise EvalError(
            "The report cannot be written, since a figure or a point of a curve is no finite number: measure "
            "more pictures, or leave that metric out."
        ) from error


def _png(picture: Image.Image | Path) -> bytes:
    return png_bytes(picture) if isinstance(picture, Image.Image) else Path(picture).read_bytes()


def _file_names(titles: Iterable[str]) -> list[str]:
    """`Nearest training pictures` becomes `nearest-training-pictures.png`; no two are the same."""
    names: list[str] = []
    for title in titles:
        plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
        slug = "-".join("".join(c if c.isalnum() else " " for c in plain).split())[:80] or "picture"
        name, number = f"{slug}.png", 2
        while name in names:
            name, number = f"{slug}-{number}.png", number + 1
        names.append(name)
    return names
