"""Reads pairs of images, content and output, that a manifest lists."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.images import read_image
from brushwork.data.progress import Progress

from ..errors import EvalError

COLUMNS = ("output", "content", "style")
"""Columns that a manifest must have. `subject` and `reference` are optional, others are ignored."""


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Pairs of images of one size: in row i a content, the output made of it, and its target style."""

    outputs: UInt8[Tensor, "n 3 h w"]
    contents: UInt8[Tensor, "n 3 h w"]
    styles: tuple[str, ...]
    subjects: tuple[str, ...]
    """What the content shows, as the data set names it."""
    references: UInt8[Tensor, "n 3 h w"] | None = None
    """The style images that the outputs follow, if the style was given by image."""
    broken: tuple[str, ...] = ()
    """A sentence for each pair that was left out because one of its images cannot be read."""

    def __len__(self) -> int:
        return len(self.styles)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a manifest."""

    place: str
    """File and line, for error messages."""
    paths: dict[str, Path]
    """Files of the content, the output and perhaps the reference."""
    style: str
    subject: str


def read_pairs(manifest: Path) -> PairSet:
    """Reads the pairs that a CSV lists, in its order.

    The columns are `output`, `content` and `style`, optionally `subject` (default: the stem of the content)
    and `reference`, in all rows or in none. Paths are relative to the manifest's folder.

    Pairs whose images cannot be read are left out. Raises EvalError, naming the row, if a column or value is
    missing, sizes differ, or no pair can be read.
    """
    rows = list(_rows(manifest))
    if not rows:
        raise EvalError(f"The manifest '{manifest}' lists 0 pairs: add a row for each.")
    without = [row.place for row in rows if "reference" not in row.paths]
    if 0 < len(without) < len(rows):
        raise EvalError(f"{without[0]}: there is no reference, as in other rows: give all rows one, or none.")
    return _decoded(rows)


def _rows(manifest: Path) -> Iterator[Row]:
    if not manifest.is_file():
        raise EvalError(f"The manifest '{manifest}' does not exist: name a CSV with {', '.join(COLUMNS)}.")
    try:
        # Spreadsheets begin a file with a byte-order mark, which must not become part of a column's name.
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                raise EvalError(
                    f"The manifest '{manifest}' has no column {', '.join(map(repr, missing))} (its first "
                    f"line gives {', '.join(map(repr, columns)) or 'none'}): name {', '.join(COLUMNS)} there."
                )
            for values in reader:
                place = f"'{manifest}', line {reader.line_num}"
                if None in values:
                    raise EvalError(
                        f"{place}: there are more values than columns: put values with a comma into quotes."
                    )
                yield _row(manifest.parent, place, {name: (values[name] or "").strip() for name in columns})
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise EvalError(f"The manifest '{manifest}' is no CSV in UTF-8 ({error}): save it as one.") from error


def _row(folder: Path, place: str, values: dict[str, str]) -> Row:
    for name in COLUMNS:
        if not values[name]:
            raise EvalError(f"{place}: the {name} is empty: fill it in, or drop the row.")
    named = [part for part in ("content", "output", "reference") if values.get(part)]
    paths = {part: folder / values[part] for part in named}
    subject = values.get("subject") or paths["content"].stem
    return Row(place=place, paths=paths, style=values["style"], subject=subject)


def _decoded(rows: list[Row]) -> PairSet:
    """Decodes the images of all pairs, each file once. Raises EvalError if no pair can be read."""
    kept: list[Row] = []
    images: dict[str, list[Tensor]] = {"content": [], "output": [], "reference": []}
    broken, decode = [], cache(_decode)
    for row in Progress(rows, desc="read", unit="pair", delay=2, leave=False):
        try:
            pair = {part: decode(path) for part, path in row.paths.items()}
        except DataError as error:
            broken.append(f"{row.place}: {error}")
            continue
        kept.append(row)
        for part, image in pair.items():
            images[part].append(image)
        for image in pair.values():
            if image.shape != (first := images["output"][0]).shape:
                size, other = (f"{x.shape[2]}x{x.shape[1]}" for x in (image, first))
                raise EvalError(
                    f"{row.place}: the pair has an image of {size} pixels, and the first output has "
                    f"{other}: bring all images to one size."
                )
    if not kept:
        raise EvalError(broken[0])
    return PairSet(
        outputs=torch.stack(images["output"]), contents=torch.stack(images["content"]),
        styles=tuple(row.style for row in kept), subjects=tuple(row.subject for row in kept),
        references=torch.stack(images["reference"]) if images["reference"] else None, broken=tuple(broken),
    )  # fmt: skip


def _decode(path: Path) -> Tensor:
    """Reads an image, uint8 (3, h, w). Raises DataError if it cannot be read."""
    if not os.path.isfile(path):  # pathlib raises OSError for a name too long for the disk
        raise DataError(f"'{path}' does not exist: mend the path, or drop the pair.")
    return torch.from_numpy(read_image(path)).permute(2, 0, 1).contiguous()
