"""What the docs quote: docs/results/NAME.json of an experiment, and the tables and plots made from it.

A document has each table between two comments, `<!-- results: NAME.TABLE -->` and `<!-- end -->`. Whatever
stands between them comes from the JSON file, also the line that says how the table was made.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.eval.report.plots import figure_png
from brushwork.scripts.bench.harness import Machine, Table, finite, peak_gflops

RESULTS = Path("docs/results")
QUICK = Path("runs/quick/results")
"""Where tries go (`--quick`), so that they never change the docs."""
BLOCK = re.compile(
    r"(?P<begin><!-- results: (?P<name>[\w-]+)\.(?P<table>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def results_folder(asked: Path, *, quick: bool) -> Path:
    """The folder of the JSON files: a try does not change the docs unless it was given another folder."""
    return QUICK if quick and asked == RESULTS else asked


def command_of(name: str, args: Any) -> str:
    """The command line that repeats an experiment, without folders and other things of this machine."""
    plain, words = type(args)(), ["brushwork", "reproduce", name]
    for field in fields(args):
        value = getattr(args, field.name)
        if value == getattr(plain, field.name) or isinstance(value, Path) or field.name == "workers":
            continue
        given = (
            [] if value is True else [str(one) for one in (value if isinstance(value, tuple) else [value])]
        )
        words += [f"--{field.name}", *given]
    return shlex.join(words)


Plot = Callable[[Mapping[str, Mapping[str, Any]]], Figure]
"""Makes a figure from the tables of a JSON file."""


def write_results(
    folder: Path, name: str, tables: Mapping[str, Table], here: Machine, *, command: str,
    plot: Plot | None = None,
) -> Path:  # fmt: skip
    """Puts the tables into FOLDER/NAME.json and into the documents above the folder, and prints them.

    Tables of earlier calls that this one did not make stay. `plot` makes FOLDER/NAME.png from all of them.
    """
    made = {
        "command": command, "commit": commit(), "date": date.today().isoformat(),
        "machine": {**asdict(here), "gflops": round(peak_gflops())},
    }  # fmt: skip
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"tables": {}}
    content["tables"] |= {key: {**finite(asdict(table)), "made": made} for key, table in tables.items()}
    write_json(path, content)
    if plot is not None:
        write_file(path.with_suffix(".png"), figure_png(plot(content["tables"])))
    print("\n\n".join([here.describe(), *(table.markdown() for table in tables.values())]))
    changed = [str(document) for document in refresh(folder)]
    print(f"\nAll figures: {path}" + (f"; the tables of {', '.join(changed)} are new" if changed else ""))
    return path


def refresh(folder: Path) -> list[Path]:
    """Makes the tables of all documents above a folder of results anew; returns those that changed."""
    changed = []
    for document in sorted(folder.parent.glob("*.md")):
        text = document.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda block: _filled(block, folder), text)
        if new != text:
            write_file(document, new)
            changed.append(document)
    return changed


def _filled(block: re.Match[str], folder: Path) -> str:
    """The block with the table of its JSON file, or as it is where there is none yet."""
    path = folder / f"{block['name']}.json"
    if not path.is_file():
        return block[0]
    table = json.loads(path.read_text(encoding="utf-8"))["tables"].get(block["table"])
    if table is None:
        return block[0]
    return f"{block['begin']}{markdown(table)}\n{block['end']}"


def markdown(table: Mapping[str, Any]) -> str:
    """The table of a JSON file, with its notes but without its title: the document has its own headings."""
    return Table(
        title="", header=tuple(table["header"]), rows=[tuple(row) for row in table["rows"]],
        notes=(*table["notes"], how_made(table["made"])),
    ).markdown().partition("\n\n")[2]  # fmt: skip


def how_made(made: Mapping[str, Any]) -> str:
    """The command, commit, date and machine of a table."""
    machine = made["machine"]
    parts = [machine["processor"], f"{machine['cores']} core" + "s" * (machine["cores"] != 1)]
    if "gflops" in machine:  # not measured before 0.3
        parts.append(f"{machine['gflops']} GFLOP/s")
    return f"`{made['command']}` at {made['commit']}, {made['date']}: {', '.join(parts)}."


def commit() -> str | None:
    """The commit of the code that runs, with + if it was changed since; None outside a repository."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude", "*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
