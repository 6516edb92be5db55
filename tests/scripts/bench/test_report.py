"""The forms in which findings are written down."""

import json
import math
from pathlib import Path

from PIL import Image

from brushwork.scripts.bench.agreement import Exactness
from brushwork.scripts.bench.harness import Machine, Race, Table, Timings
from brushwork.scripts.bench.report import markdown, plot, write_findings, write_rounds

MACHINE = Machine(processor="an abacus", cores=2, threads=1, versions={"numpy": "2.0"})
EXACT = Exactness(
    count=2, dim=4, exact=2.0, apart={"ours": 2.0, "theirs": math.nan}, itself={"ours": 0.0, "theirs": 0.5},
    notes=("theirs gave up",),
)  # fmt: skip


def race() -> Race:
    wall = {"ours": (2.0, 2.0, 4.0), "theirs": (8.0, 8.0, 8.0)}
    timings: Timings[None] = Timings(wall=wall, processor=wall, results={"ours": None, "theirs": None})
    return Race(title="A race", timings=timings, figures={})


def test_markdown_is_a_table_with_aligned_columns() -> None:
    text = markdown(Table(title="T", header=("", "s"), rows=(("ours", "1"), ("x", "12345")), notes=("N.",)))
    assert text.splitlines() == [
        "### T",
        "",
        "|      |     s |",
        "|------|------:|",
        "| ours |     1 |",
        "| x    | 12345 |",
        "",
        "N.",
    ]


def test_json_is_whole_and_without_nan(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    write_rounds(path, MACHINE, {"dim": 4}, {"race": race(), "exactness": EXACT})
    found = json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)
    assert found["machine"]["versions"] == {"numpy": "2.0"}
    assert found["sizes"] == {"dim": 4}
    assert found["parts"]["race"]["seconds"]["ours"] == [2, 2, 4]
    assert found["parts"]["exactness"]["apart"] == {"ours": 2.0, "theirs": None}
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_found_is_written_twice_and_told_once(tmp_path: Path) -> None:
    found = {"race": race(), "exactness": EXACT}
    text = write_findings(tmp_path, "found", MACHINE, {"dim": 4}, found)
    tables = [markdown(finding.table()) for finding in found.values()]
    assert text == "\n\n".join([MACHINE.words(), *tables])
    assert (tmp_path / "found.md").read_text() == f"{text}\n"
    assert json.loads((tmp_path / "found.json").read_text())["parts"].keys() == found.keys()
    assert write_findings(tmp_path, "found", MACHINE, {}, found, head="Here.").startswith(
        "Here.\n\n### A race"
    )


def test_plot_grows_with_the_races(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    assert not plot(path, {"exactness": EXACT})
    assert not path.exists()
    heights = []
    for found in ({"one": race()}, {"one": race(), "exactness": EXACT, "two": race()}):
        assert plot(path, found)
        with Image.open(path) as image:
            heights.append(image.height)
            assert len(image.convert("RGB").getcolors(maxcolors=2**20) or ()) > 3
    assert heights[1] > 1.5 * heights[0]
