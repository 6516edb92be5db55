"""Pairs of pictures, content and output, matched by a manifest or by name: never by the order of files."""

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
from brushwork.data.names import name_of_file, normal
from brushwork.data.progress import Progress

from ..errors import EvalError
from ..sources import unopened

COLUMNS = ("output", "content", "style")
"""What a manifest must have; `subject` and `reference` may be there too, and others are not looked at."""


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Row i: the content, what became of it, and the style that it was to be drawn in."""

    outputs: UInt8[Tensor, "n 3 h w"]
    contents: UInt8[Tensor, "n 3 h w"]
    styles: tuple[str, ...]
    subjects: tuple[str, ...]
    """What is shown, as the data set names it."""
    sources: tuple[str, ...]
    """Where the output was read from."""
    references: UInt8[Tensor, "n 3 h w"] | None = None
    """The picture of the style that was to be followed, where it was one."""
    broken: tuple[str, ...] = ()
    """A sentence for each pair that was left out, since one of its pictures cannot be read."""

    def __len__(self) -> int:
        return len(self.styles)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A pair before it is read. `place` says where it was asked for."""

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

    The columns are `output`, `content` and `style`, and if need be `subject` (else the stem of the content)
    and `reference`, in all rows or in none. Paths count from the manifest's folder.

    Pairs whose pictures cannot be read are left out. Raises EvalError, naming the row, for whatever of this
    is missing, listed twice or of another size than the first pair, and where no pair can be read.
    """
    rows = [_row(manifest, line, values) for line, values in _lines(manifest)]
    if not rows:
        raise EvalError(f"The manifest '{manifest}' lists 0 pairs: add a row for each.")
    seen: dict[Path, str] = {}
    for row in rows:
        if row.output in seen:
            raise EvalError(
                f"{row.place}: the output '{row.source}' is listed already ({seen[row.output]}): drop one."
            )
        seen[row.output] = row.place
    without = [row.place for row in rows if row.reference is None]
    if 0 < len(without) < len(rows):
        raise EvalError(f"{without[0]}: there is no reference, as in other rows: give all rows one, or none.")
    return _read(rows)


def _lines(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line number and values, stripped."""
    if not manifest.is_file():
        raise EvalError(f"The manifest '{manifest}' does not exist: name a CSV with {', '.join(COLUMNS)}.")
    try:
        # Spreadsheets put a byte-order mark in front, which would become part of the first column's name.
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            _require_columns(manifest, reader.fieldnames)
            for values in reader:
                if None in values:
                    raise EvalError(
                        f"'{manifest}', line {reader.line_num}: there are more values than columns: put "
                        "values with a comma into quotes."
                    )
                yield reader.line_num, {name: (value or "").strip() for name, value in values.items()}
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise EvalError(f"The manifest '{manifest}' is no CSV in UTF-8 ({error}): save it as one.") from error


def _require_columns(manifest: Path, found: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise EvalError(
            f"The manifest '{manifest}' has no column {', '.join(map(repr, missing))} (its first line gives "
            f"{', '.join(map(repr, found)) or 'none'}): name {', '.join(COLUMNS)} there."
        )


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
def pairs_by_stem(outputs: Path, contents: Path) -> PairSet:
    """Pairs `outputs/<style>/**/<stem>.*` with `contents/**/<stem>.*`, in the order of styles and stems.

    Contents that nobody drew are passed over. The subject is the stem. Raises EvalError for a stem that two
    contents, or two outputs of one style, have, for outputs without a content, and for sizes that differ;
    DataError for an output folder without pictures.
    """
    known = _stems(contents)
    scan = scan_folder(outputs)
    rows, seen, lost = [], {}, []
    for found in sorted(scan.found, key=lambda found: (found.style, found.path.stem, found.source)):
        stem = normal(found.path.stem)
        if found.style < 0:
            raise EvalError(f"'{found.path}' is in no style folder: move it to one, or away.")
        twin = seen.setdefault((found.style, stem), found.source)
        if twin != found.source:
            raise EvalError(f"The outputs '{twin}' and '{found.source}' have the same stem: rename one.")
        # `brushwork restyle` writes names as those of files.
        stem = stem if stem in known else name_of_file(stem)
        if stem not in known:
            lost.append(found.source)
            continue
        style = name_of_file(scan.style_names[found.style])
        rows.append(
            Row(
                place=f"'{outputs}'", output=found.path, content=known[stem], style=style, subject=stem,
                source=found.source,
            )
        )  # fmt: skip
    if lost:
        raise EvalError(
            f"{len(lost)} outputs have no content of the same stem in '{contents}', first of them "
            f"'{lost[0]}': add the contents, or list the pairs in a manifest."
        )
    return _read(rows, unopened(scan))


def _stems(root: Path) -> dict[str, Path]:
    """Where the picture of each stem lies below `root`, at any depth."""
    if not root.is_dir():
        raise EvalError(f"The folder of contents '{root}' does not exist: name the one that was restyled.")
    found: dict[str, Path] = {}
    for path in (entry.path for entry in list_pictures(root) if not entry.fault):
        twin = found.setdefault(normal(path.stem), path)
        if twin != path:
            raise EvalError(
                f"The contents '{twin.relative_to(root)}' and '{path.relative_to(root)}' have the same stem: "
                "rename one, or list the pairs in a manifest."
            )
    return found


# Pixels
Decoded = dict[Path, Tensor]
"""One content is often drawn in many styles."""


def _read(rows: Sequence[Row], unopened: Sequence[str] = ()) -> PairSet:
    kept: list[tuple[Row, Tensor, Tensor, Tensor | None]] = []
    broken, decoded = list(unopened), Decoded()
    for row in Progress(rows, desc="read", unit="pair", delay=2, leave=False):
        try:
            pictures = _pictures_of(row, decoded)
        except EvalError as error:
            broken.append(str(error))
            continue
        kept.append((row, *pictures))
        for image in pictures:
            if image is not None:
                _require_size(row, image, kept[0][1])
    if not kept:
        raise EvalError(broken[0])
    references = [reference for *_, reference in kept if reference is not None]
    return PairSet(
        outputs=torch.stack([output for _, output, _, _ in kept]),
        contents=torch.stack([content for _, _, content, _ in kept]),
        styles=tuple(row.style for row, *_ in kept),
        subjects=tuple(row.subject for row, *_ in kept),
        sources=tuple(row.source for row, *_ in kept),
        references=torch.stack(references) if references else None,
        broken=tuple(broken),
    )


def _pictures_of(row: Row, decoded: Decoded) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output, content and reference. Raises EvalError for one that cannot be read."""
    if row.content not in decoded:
        decoded[row.content] = _picture(row.content, "content", row)
    reference = None if row.reference is None else _picture(row.reference, "reference", row)
    return _picture(row.output, "output", row), decoded[row.content], reference


def _picture(path: Path, part: str, row: Row) -> Tensor:
    if not os.path.isfile(path):  # of a name too long for the disk pathlib raises OSError
        raise EvalError(f"{row.place}: the {part} '{path}' does not exist: mend the path, or drop the pair.")
    try:
        return torch.from_numpy(read_image(path)).permute(2, 0, 1).contiguous()
    except DataError as error:
        raise EvalError(f"{row.place}: {error}") from error


def _require_size(row: Row, image: Tensor, first: Tensor) -> None:
    if image.shape != first.shape:
        raise EvalError(
            f"{row.place}: the pair of '{row.source}' has a picture of {_size(image)} pixels, and the first "
            f"output has {_size(first)}: bring all pictures to one size."
        )


def _size(image: Tensor) -> str:
    return "x".join(map(str, image.shape[:0:-1]))
