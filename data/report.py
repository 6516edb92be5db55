"""The account of a packing: for programs as JSON, for people as Markdown with tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from .curation import MEANING, Problem

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

    @classmethod
    def from_dict(cls, told: dict) -> "Report":
        return cls(
            found=told["found"],
            packed=told["packed"],
            balance=told["balance"],
            problems=tuple(Problem(**problem) for problem in told["problems"]),
            notes=tuple(told["notes"]),
            ignored=tuple((source, why) for source, why in told["ignored"]),
        )

    def summary(self) -> str:
        """One line for the terminal."""
        seen = [f"{count} {kind}" for kind, count in self.counts.items() if count]
        seen += [f"{len(self.ignored)} ignored"] if self.ignored else []
        return f"{self.packed} of {self.found} pictures packed; " + (", ".join(seen) or "nothing amiss") + "."

    def as_markdown(self) -> str:
        parts = [f"{self.packed} of {self.found} pictures packed.", balance_table(self.balance)]
        parts += [f"**Note.** {note}" for note in self.notes]
        for kind, meaning in MEANING.items():
            rows = [p for p in self.problems if p.kind == kind]
            if rows:
                title = f"## {kind.capitalize()}: {len(rows)}"
                parts.append(f"{title}\n\n{meaning.capitalize()}.\n\n{_listing(rows)}")
        if self.ignored:
            rows = [f"- `{source}`: {why}" for source, why in self.ignored]
            parts.append(f"## Ignored files: {len(rows)}\n\n" + "\n".join(_cut(rows)))
        return "# What was packed\n\n" + "\n\n".join(parts) + "\n"


def balance_table(balance: Mapping[str, Mapping[str, int]]) -> str:
    """Pictures by style and split as an aligned Markdown table, with each style's share of all."""
    total = sum(sum(splits.values()) for splits in balance.values())
    width = max([5, *map(len, balance)])
    lines = [f"| {'style':{width}} | train |  test | share |"]
    lines.append(f"|{'-' * (width + 2)}|------:|------:|------:|")
    for style, splits in balance.items():
        share = sum(splits.values()) / max(1, total)
        lines.append(f"| {style:{width}} | {splits['train']:5} | {splits['test']:5} | {share:5.1%} |")
    train, test = (sum(splits[split] for splits in balance.values()) for split in ("train", "test"))
    lines.append(f"| {'all':{width}} | {train:5} | {test:5} |       |")
    return "\n".join(lines)


def _listing(problems: Sequence[Problem]) -> str:
    rows = []
    for problem in problems:
        other = f"`{problem.other}`" if problem.other else ""
        detail = problem.detail.replace("\n", " ").replace("|", "/")
        rows.append(f"| `{problem.source}` | {detail} | {other} |")
    return "\n".join(["| file | what | other file |", "|---|---|---|", *_cut(rows)])


def _cut(rows: list[str]) -> list[str]:
    if len(rows) <= LISTED:
        return rows
    return [*rows[:LISTED], "", f"... and {len(rows) - LISTED} more in `report.json`."]
