"""The account of a packing: for programs as JSON, for people as Markdown with tables."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from ..names import markdown_cell, markdown_code, visible
from .duplicates import MEANING, Problem

LISTED = 40


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole account of a packing; `balance` is style name -> split -> pictures."""

    found: int
    packed: int
    balance: Mapping[str, Mapping[str, int]]
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
        """A line for the terminal, and one a note."""
        seen = [f"{count} {kind}" for kind, count in self.counts.items() if count]
        seen += [f"{len(rest)} {name}" for name, rest in self._rest.items() if rest]
        head = f"{self.packed} of {self.found} pictures packed; {', '.join(seen) or 'nothing amiss'}."
        return "\n".join([head, *(f"Note: {visible(note)}" for note in self.notes)])

    @property
    def _rest(self) -> dict[str, tuple]:
        return {"ignored": self.ignored, "notes" if len(self.notes) > 1 else "note": self.notes}

    def as_markdown(self) -> str:
        parts = [f"{self.packed} of {self.found} pictures packed.", balance_table(self.balance)]
        parts += [f"**Note.** {markdown_cell(note)}" for note in self.notes]
        for kind, meaning in MEANING.items():
            rows = [p for p in self.problems if p.kind == kind]
            if rows:
                title = f"## {kind.capitalize()}: {len(rows)}"
                listing = _table("file | what | other file", ((p.source, p.detail, p.other) for p in rows))
                parts.append(f"{title}\n\n{meaning.capitalize()}.\n\n{listing}")
        if self.ignored:
            listing = _table("file | what", self.ignored)
            parts.append(f"## Ignored files: {len(self.ignored)}\n\n{listing}")
        return "# What was packed\n\n" + "\n\n".join(parts) + "\n"


def balance_table(balance: Mapping[str, Mapping[str, int]]) -> str:
    """Pictures by style and split as an aligned Markdown table, with each style's share of all."""
    total = sum(sum(splits.values()) for splits in balance.values())
    rows = {markdown_cell(style): splits for style, splits in balance.items()}
    width = max([5, *map(len, rows)])
    lines = [f"| {'style':{width}} | train |  test | share |"]
    lines.append(f"|{'-' * (width + 2)}|------:|------:|------:|")
    for style, splits in rows.items():
        share = sum(splits.values()) / max(1, total)
        lines.append(f"| {style:{width}} | {splits['train']:5} | {splits['test']:5} | {share:5.1%} |")
    train, test = (sum(splits[split] for splits in balance.values()) for split in ("train", "test"))
    lines.append(f"| {'all':{width}} | {train:5} | {test:5} |       |")
    return "\n".join(lines)


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table whose columns are a path, words and, if need be, another path; no more than LISTED."""
    cells = (
        [
            markdown_code(path),
            markdown_cell(words),
            *(markdown_code(other) if other else "" for other in rest),
        ]
        for path, words, *rest in rows
    )
    lines = [f"| {' | '.join(row)} |" for row in cells]
    more = len(lines) - LISTED
    tail = ["", f"... and {more} more in `report.json`."] if more > 0 else []
    return "\n".join([f"| {head} |", "|---" * (head.count("|") + 1) + "|", *lines[:LISTED], *tail])
