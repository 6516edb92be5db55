"""The report of `brushwork pack`: JSON for programs, Markdown for people, and a contact sheet."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from PIL import Image

from ..errors import DataError
from ..folder import UNLABELLED, ImageFile, Scan
from ..images import image_grid
from ..names import NO_LABEL, markdown_cell, markdown_code, normal, visible
from ..split import SPLITS
from .duplicates import MEANING, Problem

Balance = Mapping[str, Mapping[str, int]]
"""Style name -> split -> number of pictures."""

LISTED = 40
"""Rows of a table of `report.md`; `report.json` lists all."""
COLUMNS = 12
"""Columns of the contact sheet."""
CROPPED = 0.25
"""The report names pictures that lose more than this share of their area to cropping."""
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
        counts["notes" if len(self.notes) > 1 else "note"] = len(self.notes)
        problems = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        head = f"{self.packed} of {self.found} pictures packed; {problems or 'no problems'}."
        return "\n".join([head, *(f"Note: {visible(note)}" for note in self.notes)])

    def as_markdown(self) -> str:
        parts = [f"{self.packed} of {self.found} pictures packed.", balance_table(self.balance)]
        parts += [f"**Note.** {markdown_cell(note)}" for note in self.notes]
        for kind, meaning in MEANING.items():
            rows = [(p.source, p.detail, p.other) for p in self.problems if p.kind == kind]
            if rows:
                title = f"## {kind.capitalize()}: {len(rows)}"
                table = _table("file | what | other file", rows)
                parts.append(f"{title}\n\n{meaning.capitalize()}.\n\n{table}")
        if self.ignored:
            table = _table("file | what", self.ignored)
            parts.append(f"## Ignored files: {len(self.ignored)}\n\n{table}")
        return "# What was packed\n\n" + "\n\n".join(parts) + "\n"


def balance_table(balance: Balance) -> str:
    """Returns the number of pictures by style and split as an aligned Markdown table, with shares."""
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


def _table(head: str, rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table of at most LISTED rows: a path, words and, in some tables, another path."""
    lines = []
    for path, words, *others in rows[:LISTED]:
        cells = [
            markdown_code(path),
            markdown_cell(words),
            *(other and markdown_code(other) for other in others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if len(rows) > LISTED:
        lines += ["", f"... and {len(rows) - LISTED} more in `report.json`."]
    return "\n".join([f"| {head} |", "|---" * (head.count("|") + 1) + "|", *lines])


# Notes


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What packing changed in the pictures."""

    profiles: Counter[str] = field(default_factory=Counter)
    """Colour profile -> pictures that were converted from it."""
    cropped: dict[str, float] = field(default_factory=dict)
    """Picture -> share of its area that was cut off, where that is more than CROPPED."""

    def add(self, source: str, *, profile: str, cropped: float) -> None:
        if profile:
            self.profiles[profile] += 1
        if cropped > CROPPED:
            self.cropped[source] = cropped


def refuse_splits(scan: Scan) -> None:
    """Raises DataError if the folders that should be styles are splits."""
    splits = [name for name in scan.style_names if name.casefold() in SPLIT_NAMES]
    if len(splits) > 1 or (splits and len(scan.style_names) == 1):
        raise DataError(
            f"The folders {' and '.join(splits)} in '{scan.root}' are splits, not styles: put the folders of "
            "the styles, those of all splits together, directly into one folder; pack makes its own split. "
            "Pictures without styles belong into _unlabelled."
        )


def notes(scan: Scan, balance: Balance, changes: Changes, *, has_test_split: bool) -> Iterator[str]:
    """Yields sentences about the collection as a whole, for the report."""
    yield from _name_notes(scan)
    if changes.profiles:
        kinds = ", ".join(f"{name} ({count})" for name, count in changes.profiles.most_common())
        yield f"Pictures that were converted to sRGB, by their colour profile: {kinds}."
    if changes.cropped:
        most = max(changes.cropped, key=changes.cropped.__getitem__)
        yield (
            "Pictures that lose more than a quarter of their area to the middle square: "
            f"{len(changes.cropped)}, most of all '{most}' ({changes.cropped[most]:.0%}). "
            "--fit pad keeps them whole."
        )
    for split in SPLITS if has_test_split else SPLITS[:1]:
        missing = ", ".join(name for name, counts in balance.items() if not counts[split])
        if missing:
            yield f"No picture of {missing} fell into the {split} split; more subjects would mend that."
    sizes = {name: sum(counts.values()) for name, counts in balance.items()}
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[most] > 4 * sizes[least]:
        yield f"'{most}' has {sizes[most]} pictures, '{least}' only {sizes[least]}: try balanced batches."


def _name_notes(scan: Scan) -> Iterator[str]:
    for name in scan.style_names:
        if name.casefold() in SPLIT_NAMES:
            yield f"The style '{name}' is called like a split: if it is one, move its pictures elsewhere."
    folders = {file.subject.partition("/")[0] if "/" in file.subject else "" for file in scan.files}
    if len(scan.style_names) == 1 and len(folders) > 1 and "" not in folders:
        (name,) = scan.style_names
        yield (
            f"All pictures are in one style, '{name}', in {len(folders)} folders: if these are the styles, "
            f"pack '{visible(str(scan.root / name))}'."
        )
    respelt = sum(file.source != normal(file.source) for file in scan.files)
    if respelt:
        yield f"Names that were brought to one spelling of their letters (Unicode NFC): {respelt}."


# Contact sheet


class ContactSheet:
    """A grid with a row for each style. Columns are shared subjects, or else pictures of each style."""

    def __init__(self, scan: Scan, resolution: int) -> None:
        self.names = list(scan.style_names)
        if any(file.style == UNLABELLED for file in scan.files):
            self.names.append(NO_LABEL)
        self.scale = max(1, 64 // resolution)
        self.cells: list[list[np.ndarray | None]] = [[None] * COLUMNS for _ in self.names]
        self.places = dict(_places(scan.files))

    def offer(self, source: str, pixels: np.ndarray) -> None:
        """Keeps the uint8 (R, R, 3) pixels of a packed picture if the sheet shows it."""
        if place := self.places.get(source):
            self.cells[place[0]][place[1]] = pixels

    def draw(self) -> Image.Image:
        return image_grid(self.cells, row_labels=self.names, scale=self.scale)


def _places(files: Sequence[ImageFile]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields a source path and its (row, column). Row -1, the last one, holds the unlabelled."""
    styles: dict[str, set[int]] = {}
    for file in files:
        styles.setdefault(file.subject, set()).add(file.style)
    most = max(map(len, styles.values()))
    shared = _spread(subject for subject, own in styles.items() if len(own) == most)
    for row in sorted({file.style for file in files}):
        own = [file for file in files if file.style == row]
        if most > 1:
            yield from (
                (one.source, (row, shared.index(one.subject))) for one in own if one.subject in shared
            )
        else:
            yield from ((one.source, (row, column)) for column, one in enumerate(_spread(own)))


def _spread(items: Iterable) -> list:
    """At most COLUMNS of the items, evenly spread."""
    items = list(items)
    return items[:: max(1, len(items) // COLUMNS)][:COLUMNS]
