"""The report of `brushwork pack`: JSON for programs, Markdown for people, and a contact sheet."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import read_json
from ..folder import UNLABELLED, Scan
from ..images import Cell, image_grid, png_bytes
from ..names import NO_LABEL, markdown_cell, visible
from ..split import SPLITS
from .duplicates import MEANING, Problem

Balance = Mapping[str, Mapping[str, int]]
"""Style name -> split -> number of images."""

LISTED = 40
"""Rows of a table of `report.md`; `report.json` lists all."""
COLUMNS = 12
"""Columns of the contact sheet."""
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"})
"""Usual folder names of the splits of a collection."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of packing in numbers, problems and notes."""

    found: int
    packed: int
    balance: Balance
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    ignored: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> dict[str, int]:
        """Problems by kind, with a zero for the kinds that did not occur."""
        counted = Counter(problem.kind for problem in self.problems)
        return {kind: counted[kind] for kind in MEANING}

    def as_dict(self) -> dict:
        return asdict(self) | {"counts": self.counts}

    def summary(self) -> str:
        """Returns one line for the terminal, and one for each note."""
        counts = {**self.counts, "ignored": len(self.ignored)}
        problems = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        head = f"{self.packed} of {self.found} images packed; {problems or 'no problems'}."
        return "\n".join([head, *(f"Note: {visible(note)}" for note in self.notes)])

    def as_markdown(self) -> str:
        parts = [
            "# What was packed",
            f"{self.packed} of {self.found} images packed.",
            balance_table(self.balance),
            *(f"**Note.** {markdown_cell(note)}" for note in self.notes),
        ]
        for kind, meaning in MEANING.items():
            rows = [(p.source, p.detail, p.other) for p in self.problems if p.kind == kind]
            if rows:
                parts += [f"## {kind.capitalize()}: {len(rows)}", f"{meaning.capitalize()}.", _table(rows)]
        if self.ignored:
            rows = [(path, why, "") for path, why in self.ignored]
            parts += [f"## Ignored files: {len(rows)}", _table(rows)]
        return "\n\n".join(parts) + "\n"


def problems_of(dataset: Path) -> dict[str, int]:
    """Returns the problems of a data set by kind; {} if its report is gone or damaged."""
    try:
        return read_json(dataset / "report.json", _Counts).counts
    except (OSError, ValueError):
        return {}


@dataclass(frozen=True)
class _Counts:
    counts: dict[str, int]


def balance_table(balance: Balance) -> str:
    """Returns the number of images by style and split as an aligned Markdown table, with shares."""
    total = sum(sum(splits.values()) for splits in balance.values())
    rows = {markdown_cell(style): splits for style, splits in balance.items()}
    width = max([5, *map(len, rows)])
    lines = [f"| {'style':{width}} | train |  test | share |"]
    lines.append(f"|{'-' * (width + 2)}|------:|------:|------:|")
    for style, splits in rows.items():
        share = sum(splits.values()) / max(1, total)
        lines.append(f"| {style:{width}} | {splits['train']:5} | {splits['test']:5} | {share:5.1%} |")
    train, test = (sum(splits[split] for splits in balance.values()) for split in SPLITS)
    lines.append(f"| {'all':{width}} | {train:5} | {test:5} |       |")
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    """A Markdown table of at most LISTED rows: a path, words and, for some, another path."""
    lines = ["| file | what | other file |", "|---|---|---|"]
    lines += (f"| {' | '.join(map(markdown_cell, row))} |" for row in rows[:LISTED])
    if len(rows) > LISTED:
        lines += ["", f"... and {len(rows) - LISTED} more in `report.json`."]
    return "\n".join(lines)


def refuse_splits(scan: Scan) -> None:
    """Raises DataError if the folders that should be styles are splits."""
    splits = [name for name in scan.style_names if name.casefold() in SPLIT_NAMES]
    if len(splits) > 1 or (splits and len(scan.style_names) == 1):
        raise DataError(
            f"The folders {' and '.join(splits)} in '{scan.root}' are splits, not styles: put the folders of "
            "the styles, those of all splits together, directly into one folder; pack makes its own split. "
            "Images without styles belong into _unlabelled."
        )


def notes(scan: Scan, balance: Balance) -> Iterator[str]:
    """Yields sentences about the collection as a whole."""
    folders = {file.subject.partition("/")[0] if "/" in file.subject else "" for file in scan.files}
    if len(scan.style_names) == 1 and len(folders) > 1 and "" not in folders:
        (name,) = scan.style_names
        yield (
            f"All images are in one style, '{name}', in {len(folders)} folders: if these are the styles, "
            f"pack '{visible(str(scan.root / name))}'."
        )
    sizes = {name: sum(counts.values()) for name, counts in balance.items()}
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[most] > 4 * sizes[least]:
        yield f"'{most}' has {sizes[most]} images, '{least}' only {sizes[least]}: try balanced batches."


class ContactSheet:
    """A grid with a row for each style. Columns are shared subjects; a style without these shows its own."""

    def __init__(self, scan: Scan) -> None:
        self.names = list(scan.style_names)
        if any(file.style == UNLABELLED for file in scan.files):
            self.names.append(NO_LABEL)  # the last row, -1
        self.cells: list[list[Cell]] = [[None] * COLUMNS for _ in self.names]
        self.places: dict[str, tuple[int, int]] = {}
        """Source path -> row and column."""
        by_style: dict[int, dict[str, str]] = {}
        for file in scan.files:
            by_style.setdefault(file.style, {}).setdefault(file.subject, file.source)
        styles = Counter(itertools.chain.from_iterable(by_style.values()))
        most = max(styles.values())
        shared = _spread([subject for subject, count in styles.items() if count == most])
        for row, sources in by_style.items():
            columns = [subject if subject in sources else None for subject in shared]
            if most == 1 or not any(columns):
                columns = _spread(list(sources))
            for column, subject in enumerate(columns):
                if subject is not None:
                    self.places[sources[subject]] = (row, column)

    def offer(self, source: str, pixels: np.ndarray) -> None:
        """Keeps the uint8 (H, W, C) pixels of a packed image if the sheet shows it."""
        if place := self.places.get(source):
            self.cells[place[0]][place[1]] = pixels

    def png(self, resolution: int) -> bytes:
        """Draws the sheet; small images are magnified to 64 pixels or less."""
        return png_bytes(image_grid(self.cells, row_labels=self.names, scale=max(1, 64 // resolution)))


def _spread(items: list[str]) -> list[str]:
    """Returns at most COLUMNS of the items, evenly spread."""
    return items[:: max(1, len(items) // COLUMNS)][:COLUMNS]
