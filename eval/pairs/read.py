"""Reads pairs of images, content and output, matched by a manifest or by name, not by the order of files."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.folder import list_pictures, scan_folder
from brushwork.data.images import read_image
from brushwork.data.names import name_of_file, normal, styles_of_folders
from brushwork.data.progress import Progress

from ..errors import EvalError
from ..sources import unopened

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
    sources: tuple[str, ...]
    """Paths of the outputs."""
    references: UInt8[Tensor, "n 3 h w"] | None = None
    """The style images that the outputs follow, if the style was given by image."""
    broken: tuple[str, ...] = ()
    """A sentence for each pair that was left out because one of its images cannot be read."""

    def __len__(self) -> int:
        return len(self.styles)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The paths of a pair. `place` is where it was listed, for error messages."""

    place: str
    output: Path
    content: Path
    style: str
    subject: str
    source: str
    reference: Path | None = None


# From a manifest
def read_pairs(manifest: Path) -> PairSet:
    """Reads the pairs that a CSV lists, in its order.

    The columns are `output`, `content` and `style`, optionally `subject` (default: the stem of the content)
    and `reference`, in all rows or in none. Paths are relative to the manifest's folder.

    Pairs whose images cannot be read are left out. Raises EvalError, naming the row, if a column or value is
    missing, an output is listed twice, sizes differ, or no pair can be read.
    """
    rows = [_row(manifest, line, values) for line, values in _lines(manifest)]
    if not rows:
        raise EvalError(f"The manifest '{manifest}' lists 0 pairs: add a row for each.")
    places: dict[Path, str] = {}
    for row in rows:
        if row.output in places:
            raise EvalError(
                f"{row.place}: the output '{row.source}' is listed already ({places[row.output]}): drop one."
            )
        places[row.output] = row.place
    without = [row.place for row in rows if row.reference is None]
    if 0 < len(without) < len(rows):
        raise EvalError(f"{without[0]}: there is no reference, as in other rows: give all rows one, or none.")
    return _read(rows)


def _lines(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields each row's line number and values, stripped."""
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
                if None in values:
                    raise EvalError(
                        f"'{manifest}', line {reader.line_num}: there are more values than columns: put "
                        "values with a comma into quotes."
                    )
                yield reader.line_num, {name: (value or "").strip() for name, value in values.items()}
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise EvalError(f"The manifest '{manifest}' is no CSV in UTF-8 ({error}): save it as one.") from error


def _row(manifest: Path, line: int, values: dict[str, str]) -> Row:
    place = f"'{manifest}', line {line}"
    for name in COLUMNS:
        if not values[name]:
            raise EvalError(f"{place}: the {name} is empty: fill it in, or drop the row.")
    content, reference = manifest.parent / values["content"], values.get("reference")
    return Row(
        place=place, output=manifest.parent / values["output"], content=content, style=values["style"],
        subject=values.get("subject") or content.stem, source=values["output"],
        reference=manifest.parent / reference if reference else None,
    )  # fmt: skip


# By stems
def pairs_by_stem(outputs: Path, contents: Path, style_names: Sequence[str] = ()) -> PairSet:
    """Pairs `outputs/<style>/**/<stem>.*` with `contents/**/<stem>.*`, in the order of styles and stems.

    Contents without an output are ignored. The subject is the stem. Folders are named after one of
    `style_names` as `brushwork restyle` does it. Raises EvalError for two contents, or two outputs of one
    style, with the same stem, for outputs without a content, and for sizes that differ; DataError for an
    output folder without images.
    """
    content_paths = _paths_by_stem(contents)
    scan = scan_folder(outputs)
    styles = styles_of_folders([name_of_file(name) for name in scan.style_names], style_names)
    rows, taken, lost = [], {}, []
    for entry in sorted(scan.files, key=lambda entry: (entry.style, entry.path.stem, entry.source)):
        stem = normal(entry.path.stem)
        if entry.style < 0:
            raise EvalError(f"'{entry.path}' is in no style folder: move it to one, or away.")
        twin = taken.setdefault((entry.style, stem), entry.source)
        if twin != entry.source:
            raise EvalError(f"The outputs '{twin}' and '{entry.source}' have the same stem: rename one.")
        # `brushwork restyle` writes stems as `file_name` does.
        subject = stem if stem in content_paths else name_of_file(stem)
        if subject not in content_paths:
            lost.append(entry.source)
            continue
        rows.append(
            Row(
                place=f"'{outputs}'", output=entry.path, content=content_paths[subject],
                style=styles[entry.style], subject=subject, source=entry.source,
            )
        )  # fmt: skip
    if lost:
        raise EvalError(
            f"{len(lost)} outputs have no content of the same stem in '{contents}', first of them "
            f"'{lost[0]}': add the contents, or list the pairs in a manifest."
        )
    return _read(rows, unopened(scan))


def _paths_by_stem(root: Path) -> dict[str, Path]:
    """Returns the image of each stem below `root`, at any depth."""
    if not root.is_dir():
        raise EvalError(f"The folder of contents '{root}' does not exist: name the one that was restyled.")
    paths: dict[str, Path] = {}
    for path in (entry.path for entry in list_pictures(root) if not entry.fault):
        twin = paths.setdefault(normal(path.stem), path)
        if twin != path:
            raise EvalError(
                f"The contents '{twin.relative_to(root)}' and '{path.relative_to(root)}' have the same stem: "
                "rename one, or list the pairs in a manifest."
            )
    return paths


# Pixels
def _read(rows: Sequence[Row], unopened: Sequence[str] = ()) -> PairSet:
    """Decodes the images of all pairs, each content once. Raises EvalError if none can be read."""
    kept: list[Row] = []
    images: dict[str, list[Tensor]] = {"output": [], "content": [], "reference": []}
    broken, contents = list(unopened), dict[Path, Tensor]()
    for row in Progress(rows, desc="read", unit="pair", delay=2, leave=False):
        try:
            if row.content not in contents:
                contents[row.content] = _image(row.content, "content", row)
            pair = {"content": contents[row.content], "output": _image(row.output, "output", row)}
            if row.reference is not None:
                pair["reference"] = _image(row.reference, "reference", row)
        except EvalError as error:
            broken.append(str(error))
            continue
        kept.append(row)
        for part, image in pair.items():
            images[part].append(image)
        for image in pair.values():
            _require_size(row, image, images["output"][0])
    if not kept:
        raise EvalError(broken[0])
    return PairSet(
        outputs=torch.stack(images["output"]),
        contents=torch.stack(images["content"]),
        styles=tuple(row.style for row in kept),
        subjects=tuple(row.subject for row in kept),
        sources=tuple(row.source for row in kept),
        references=torch.stack(images["reference"]) if images["reference"] else None,
        broken=tuple(broken),
    )


def _image(path: Path, part: str, row: Row) -> Tensor:
    """Reads an image, uint8 (3, h, w). Raises EvalError if it cannot be read."""
    if not os.path.isfile(path):  # pathlib raises OSError for a name too long for the disk
        raise EvalError(f"{row.place}: the {part} '{path}' does not exist: mend the path, or drop the pair.")
    try:
        return torch.from_numpy(read_image(path)).permute(2, 0, 1).contiguous()
    except DataError as error:
        raise EvalError(f"{row.place}: {error}") from error


def _require_size(row: Row, image: Tensor, first: Tensor) -> None:
    if image.shape != first.shape:
        (height, width), (first_height, first_width) = image.shape[1:], first.shape[1:]
        raise EvalError(
            f"{row.place}: the pair of '{row.source}' has a picture of {width}x{height} pixels, and the "
            f"first output has {first_width}x{first_height}: bring all pictures to one size."
        )
