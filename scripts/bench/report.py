"""Reports of benchmarks: Markdown that also reads well in a terminal, and JSON with all rounds."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brushwork.data.files import write_file, write_json
from brushwork.data.names import visible
from brushwork.scripts.bench.harness import Machine, Part, Table


# Text
def markdown(table: Table) -> str:
    """A heading, the table with aligned columns, and its notes."""
    rows = [tuple(map(_cell, row)) for row in (table.header, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(table.header))]
    lines = [_line(row, widths) for row in rows]
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    text = [f"### {table.title}", "", lines[0], f"|{rule}|", *lines[1:]]
    return "\n".join([*text, *(f"\n{note}" for note in table.notes)])


def _cell(text: str) -> str:
    """Escapes what would end a cell or a row: names of runs come from the disk."""
    return visible(text).replace("|", r"\|")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


# Files
def write_report(
    folder: Path,
    name: str,
    machine: Machine,
    sizes: Mapping[str, Any],
    parts: Mapping[str, Part],
    *,
    head: str = "",
) -> str:
    """Writes `name`.json and `name`.md; returns the Markdown, followed by a sentence that names the files.

    `head` is the first line of the Markdown, by default the machine.
    """
    text = "\n\n".join([head or machine.describe(), *(markdown(part.table) for part in parts.values())])
    write_file(folder / f"{name}.md", f"{text}\n")
    report = {
        "machine": asdict(machine), "sizes": sizes, "parts": {key: part.data for key, part in parts.items()}
    }  # fmt: skip
    write_json(folder / f"{name}.json", _finite(report))
    return f"{text}\n\nAll rounds: {folder / f'{name}.json'}; {name}.md beside it"


def _finite(value: Any) -> Any:
    """Replaces NaN and infinities by None."""
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
