"""Tables of documents that come from JSON files; those of this repository are up to date."""

import json
import math
import shutil
from pathlib import Path

import pytest

from brushwork.scripts.bench.harness import Machine, Table
from brushwork.scripts.experiments.documented import BLOCK, refresh, write_results

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
    found = json.loads(path.read_text())
    assert (found["experiment"], found["command"], found["machine"]["threads"]) == ("toy", "c", 1)
    assert 1 <= found["machine"]["gflops"] < 10**6
    assert found["tables"]["main"]["data"] == {"x": None}, "JSON has no NaN"
    expected = "|     |   b |\n|-----|----:|\n| one | 2.5 |\n\nN.\n"
    assert document.read_text() == text.format(expected)
    assert f"the tables of {document} are new" in capsys.readouterr().out
    assert refresh(results) == []


def test_the_tables_of_the_documents_are_those_of_their_json(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("*.png", "gallery"))
    assert refresh(tmp_path / "docs" / "results") == [], "run `brushwork reproduce` or undo the change"
    for document in DOCS.glob("*.md"):
        for block in BLOCK.finditer(document.read_text()):
            found = json.loads((DOCS / "results" / f"{block['name']}.json").read_text())
            assert block["table"] in found["tables"], f"{document.name} quotes a table that is not there"
