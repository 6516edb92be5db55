"""Tables of documents that come from JSON files; those of this repository are up to date."""

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from brushwork.scripts.bench.harness import Machine, Table
from brushwork.scripts.experiments import EXPERIMENTS, speed
from brushwork.scripts.experiments.documented import (
    BLOCK,
    QUICK,
    RESULTS,
    command_of,
    refresh,
    results_folder,
    write_results,
)

DOCS = Path(__file__).parents[3] / "docs"
HERE = Machine(processor="p", cores=1, threads=1, versions={"torch": "2"})


def table(cell: str) -> Table:
    return Table(title="T", header=("", "b"), rows=[("one", cell)], notes=("N.",), data={"x": math.nan})


def test_a_table_is_put_between_its_comments_and_nothing_else_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, results = tmp_path / "page.md", tmp_path / "results"
    text = (
        "Head\n\n<!-- results: toy.main -->\n{}<!-- end -->\n\n<!-- results: no.main -->\nx\n<!-- end -->\n"
    )
    document.write_text(text.format("old\n"))
    path = write_results(results, "toy", {"main": table("2.5"), "unused": table("0")}, HERE, command="c")
    found = json.loads(path.read_text())["tables"]
    assert found["main"]["data"] == {"x": None}, "JSON has no NaN"
    made = found["main"]["made"]
    assert (made["command"], made["machine"]["threads"]) == ("c", 1)
    assert 1 <= made["machine"]["gflops"] < 10**6
    lines = document.read_text().splitlines()
    assert lines[3:8] == ["|     |   b |", "|-----|----:|", "| one | 2.5 |", "", "N."]
    assert lines[9].startswith(f"`c` at {made['commit']}, {made['date']}: p, 1 core, ")
    assert document.read_text().endswith("<!-- end -->\n\n<!-- results: no.main -->\nx\n<!-- end -->\n")
    assert f"the tables of {document} are new" in capsys.readouterr().out
    assert refresh(results) == []


def test_tables_of_earlier_calls_stay_and_the_plot_shows_all(tmp_path: Path) -> None:
    shown: list[list[str]] = []

    def plot(tables: Mapping[str, Mapping[str, Any]]) -> Figure:
        shown.append(list(tables))
        return Figure(figsize=(1, 1))

    for key in ("one", "other"):
        path = write_results(tmp_path, "toy", {key: table(key)}, HERE, command=f"c {key}", plot=plot)
    found = json.loads(path.read_text())["tables"]
    assert {key: own["made"]["command"] for key, own in found.items()} == {"one": "c one", "other": "c other"}
    assert shown == [["one"], ["one", "other"]]
    assert path.with_suffix(".png").is_file()


def test_the_command_below_a_table_repeats_it() -> None:
    assert command_of("speed", speed.Arguments(results=Path("elsewhere"))) == "brushwork reproduce speed"
    asked = speed.Arguments(repeats=3, quick=True)
    assert command_of("speed", asked) == "brushwork reproduce speed --repeats 3 --quick"


def test_tries_do_not_change_the_docs() -> None:
    assert results_folder(RESULTS, quick=True) == QUICK
    assert results_folder(RESULTS, quick=False) == RESULTS
    assert results_folder(Path("mine"), quick=True) == Path("mine")


def test_the_tables_of_the_documents_are_those_of_their_json(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("*.png", "gallery"))
    assert refresh(tmp_path / "docs" / "results") == [], "run `brushwork reproduce` or undo the change"
    for document in DOCS.glob("*.md"):
        for block in BLOCK.finditer(document.read_text()):
            name, table = block["name"], block["table"]
            assert name in {*EXPERIMENTS, "single-runs"}, f"{document.name}: no experiment makes {name}"
            if "|" in block[0]:  # else it has not been run
                found = json.loads((DOCS / "results" / f"{name}.json").read_text())
                assert table in found["tables"], f"{document.name} quotes a table that is not there"


def test_no_table_of_figures_is_typed() -> None:
    figure = re.compile(r"[-−.,±\d%/ ()]*\d[-−.,±\d%/ ()]*")
    for document in DOCS.glob("*.md"):
        typed = BLOCK.sub("", document.read_text())
        for line in (line.strip() for line in typed.splitlines()):
            cells = [cell.strip(" *") for cell in line.strip("|").split("|")] if line[:1] == "|" else []
            assert sum(bool(figure.fullmatch(cell)) for cell in cells) < 2, f"{document.name}: {line}"
