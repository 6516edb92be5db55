"""Labels from a table: a style, or several by weight, for each image file."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..folder import UNLABELLED, ImageFile, Scan, check_names, scan_images
from ..names import is_selectable, normal, visible

FILE_COLUMNS, STYLE_COLUMNS = ("file_name", "file"), ("style", "label")
"""Names of the columns; the first ones are those of the Hub's `imagefolder`."""

Weights = Mapping[str, float]
"""Weight by style, of sum 1; none for an image without a label."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table, and its line in the file."""

    line: int
    weights: Weights


def scan_table(root: Path, table: Path) -> Scan:
    """Lists the images that a table names, with their labels.

    A `.csv` has a header, a `.jsonl` an object in each line. `file_name` is a path below `root`, `style` a
    style ("ink"), a blend ("ink=0.7+oil=0.3") or empty. Images that the table does not name are ignored.

    Raises:
        DataError: the table cannot be read, lacks a column, names a file twice or one that is not there, has
            a weight that is no number above 0, or a style with a name that no command could select.
    """
    rows = read_table(table)
    files, faults = scan_images(root)
    there = {normal(file.source): file for file in files}
    missing = [name for name in rows if name not in there]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"'{table}' names '{visible(missing[0])}'{more}, which is not in '{root}': paths are those below "
            "that folder."
        )
    for row in rows.values():
        for style in row.weights:
            if not is_selectable(style) or "," in style:
                raise DataError(
                    f"Line {row.line} of '{table}' has the style '{visible(style)}', which no command can "
                    "select: write ink, a blend such as ink=0.5+oil=0.5, or nothing."
                )
    style_names = tuple(sorted({style for row in rows.values() for style in row.weights}))
    check_names(root, style_names)
    labelled = [_labelled(there[name], row.weights, style_names) for name, row in rows.items()]
    ignored = tuple((file.source, f"not in {table.name}") for name, file in there.items() if name not in rows)
    return Scan(
        root=root, style_names=style_names, files=tuple(sorted(labelled, key=lambda file: file.source)),
        ignored=ignored, faults=faults,
    )  # fmt: skip


def _labelled(file: ImageFile, weights: Weights, style_names: tuple[str, ...]) -> ImageFile:
    """The file under its main style; with all weights, if there are several styles."""
    if not weights:
        return replace(file, style=UNLABELLED)
    row = tuple(weights.get(style, 0.0) for style in style_names)
    return replace(file, style=row.index(max(row)), weights=row if len(weights) > 1 else None)


def read_table(table: Path) -> dict[str, Row]:
    """Returns the rows by file name. Raises DataError as `scan_table`."""
    rows: dict[str, Row] = {}
    for line, values in _lines(table):
        name = normal(Path(str(_value(table, values, FILE_COLUMNS))).as_posix())
        if name in rows:
            raise DataError(
                f"'{table}' names '{visible(name)}' in lines {rows[name].line} and {line}: keep one of them."
            )
        try:
            weights = parse_weights(_value(table, values, STYLE_COLUMNS))
        except ValueError as error:
            raise DataError(f"Line {line} of '{table}' has {error}.") from error
        rows[name] = Row(line=line, weights=weights)
    if not rows:
        raise DataError(f"'{table}' names no image: give it a row for each.")
    return rows


def _lines(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each row by its column names, with the number of its line."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        if table.suffix.lower() == ".jsonl":
            for line, part in enumerate(text.splitlines(), 1):
                if part.strip():
                    yield line, _object(table, line, part)
        elif table.suffix.lower() == ".csv":
            head = text.partition("\n")[0]
            reader = csv.DictReader(
                text.splitlines(), delimiter=";" if ";" in head and "," not in head else ","
            )
            for values in reader:
                yield reader.line_num, values
        else:
            raise DataError(f"'{table}' is no table of labels: give a .csv or a .jsonl file.")
    except OSError as error:
        raise DataError(f"'{table}' cannot be read ({error.strerror}): name another table.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{table}' is not in UTF-8: save it in that encoding.") from error
    except csv.Error as error:
        raise DataError(f"'{table}' is no table of commas ({error}): save it as .csv.") from error


def _object(table: Path, line: int, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"Line {line} of '{table}' is no JSON ({error}): mend it.") from error
    if not isinstance(found, dict):
        raise DataError(f'Line {line} of \'{table}\' is no object: write {{"file_name": ..., "style": ...}}.')
    return found


def _value(table: Path, values: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    for column in columns:
        if column in values:
            return values[column]
    there = ", ".join(str(name) for name in values)
    raise DataError(f"'{table}' has no column {columns[0]}, only {visible(there)}: rename one.")


def parse_weights(value: Any) -> Weights:
    """Returns the weights of "ink", "ink=0.7+oil=0.3", {"ink": 0.7, "oil": 0.3}, ["ink", "oil"] or nothing.

    Weights are divided by their sum. Raises ValueError, with what is wrong, for other values.
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parts = value if isinstance(value, list) else ["" if value is None else value]
        if wrong := [part for part in parts if not isinstance(part, str)]:
            raise ValueError(f"the style {json.dumps(wrong[0])}, no text: write its name in quotes")
        parts = parts if isinstance(value, list) else parts[0].split("+")
        pairs = [part.rpartition("=")[::2] if "=" in part else (part, 1) for part in parts]
    weights: dict[str, float] = {}
    for style, weight in pairs:
        try:
            number = float(weight)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"the weight {weight!r} of '{visible(str(style))}', which is no number above 0")
        if not str(style).strip() and (len(pairs) > 1 or number != 1):
            raise ValueError(f"a weight without a style in {value!r}")
        if str(style).strip():
            weights[normal(str(style).strip())] = number
    total = sum(weights.values())
    return {style: weight / total for style, weight in weights.items()}
