"""Timings by a clock that the candidates advance, memory of real child processes, and reports."""

import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import harness as benchmark
from brushwork.scripts.bench.harness import (
    Comparison,
    Finding,
    Machine,
    Table,
    Timings,
    alternated,
    compare,
    in_child,
    machine,
    peak_memory,
    version_of,
)
from brushwork.scripts.bench.report import markdown, write_report


@dataclass
class Clock:
    """Advances only in `work`; the processor takes half of the time."""

    now: float = 100.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.now / 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(benchmark, "time", clock)
    return clock


def work(clock: Clock, log: list[str], name: str, seconds: list[float]) -> Callable[[], int]:
    """A candidate that takes the given seconds in turn."""
    left = iter(seconds)

    def run() -> int:
        log.append(name)
        clock.now += next(left)
        return len(log)

    return run


# Time
def test_candidates_alternate_and_the_first_rounds_do_not_count(clock: Clock) -> None:
    log: list[str] = []
    functions = {"a": work(clock, log, "a", [50, 1, 2, 3, 9]), "b": work(clock, log, "b", [70, 8, 4, 6, 8])}
    timings = alternated(functions, repeats=4, warmup=1)
    assert log == ["a", "b"] * 5
    assert timings.names == ("a", "b")
    assert timings.wall == {"a": (1, 2, 3, 9), "b": (8, 4, 6, 8)}
    assert timings.processor == {"a": (0.5, 1, 1.5, 4.5), "b": (4, 2, 3, 4)}
    assert timings.results == {"a": 9, "b": 10}
    assert (timings.median("a"), timings.median("b")) == (2.5, 7)
    assert timings.spread("a") == 4.5 - 1.75
    assert (timings.ratio("a"), timings.ratio("b")) == (1, 7 / 2.5)
    assert timings.processor_ratio("b") == 3.5 / 1.25
    once = alternated({"a": work(clock, [], "a", [2])}, repeats=1, warmup=0)
    assert math.isnan(once.spread("a"))


def test_nothing_to_time() -> None:
    with pytest.raises(EvalError, match="0 functions"):
        alternated({}, repeats=1)
    with pytest.raises(EvalError, match="in 0 rounds"):
        alternated({"a": int}, repeats=0)


# Memory
def test_a_childs_peak_is_its_own() -> None:
    """Unlike getrusage on Linux, it does not include the parent's memory."""
    before = peak_memory()
    held = np.ones(100_000_000)  # 800 MB
    parent = peak_memory()
    assert parent >= 800
    assert parent >= before
    assert in_child(peak_memory) < parent - 200
    del held
    assert peak_memory() == pytest.approx(parent, rel=0.01), "a peak stays"


def test_a_peak_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later reading of Linux may be some kB lower."""
    readings = iter([7.0, 6.9, 8.0])
    monkeypatch.setattr(benchmark, "_highest", 0.0)
    monkeypatch.setattr(benchmark, "_reported_peak", lambda: next(readings))
    assert [peak_memory() for _ in range(3)] == [7, 7, 8]


def test_a_killed_child_is_named() -> None:
    with pytest.raises(EvalError, match="was killed"):
        in_child(os._exit, 1)


# The machine
def test_a_machine_has_versions_and_no_name() -> None:
    here = machine(["numpy", "no-such-package"])
    assert here.versions == {"numpy": np.__version__}
    assert version_of("no-such-package") is None
    assert here.cores >= 1
    assert f"numpy {np.__version__}" in here.describe()
    assert platform.node() not in here.describe()


# Comparisons and reports
WALL = {"ours": (2.0, 2.0, 4.0), "theirs": (8.0, 8.0, 8.0)}
PROCESSOR = {"ours": (1.0, 1.0, 1.0), "theirs": (5.0, 5.0, 5.0)}
MACHINE = Machine(processor="an abacus", cores=2, threads=1, versions={"numpy": "2.0"})
FINDING = Finding(
    table=Table(title="T", header=("", "s"), rows=(("ours", "1"), ("x", "12345")), notes=("N.",)),
    data={"ours": 2.0, "theirs": math.nan},
)


def comparison(images: int = 0) -> Comparison:
    timings: Timings[None] = Timings(wall=WALL, processor=PROCESSOR, results={"ours": None, "theirs": None})
    return Comparison(title="A task", timings=timings, images=images, metrics={"d": {"theirs": 0.25}})


def test_a_comparison_has_a_row_for_each_candidate_and_every_round() -> None:
    table = comparison(images=16).table
    assert table.header == (
        "", "seconds (IQR)", "img/s", "times ours", "processor seconds", "times ours", "d"
    )  # fmt: skip
    assert table.rows == (
        ("ours", "2 (1)", "8.0", "1.00", "1", "1.00", ""),
        ("theirs", "8 (0)", "2.0", "4.00", "5", "5.00", "0.25"),
    )
    without_images = comparison().table
    assert "img/s" not in without_images.header
    assert all(len(row) == len(without_images.header) for row in without_images.rows)
    data = comparison(images=16).data
    assert (data["seconds"], data["processor_seconds"], data["pictures"]) == (WALL, PROCESSOR, 16)


def test_compare_computes_metrics_of_the_last_results(clock: Clock) -> None:
    log: list[str] = []
    functions = {name: work(clock, log, name, [1, 2, 3]) for name in ("a", "b")}
    result = compare("A task", functions, repeats=2, images=4, metrics={"calls": float})
    assert "times a" in result.table.header
    assert result.metrics == {"calls": {"a": 5.0, "b": 6.0}}


def test_markdown_is_a_table_with_aligned_columns() -> None:
    assert markdown(FINDING.table).splitlines() == [
        "### T", "", "|      |     s |", "|------|------:|", "| ours |     1 |", "| x    | 12345 |", "", "N.",
    ]  # fmt: skip


def test_a_report_is_markdown_and_json_without_nan(tmp_path: Path) -> None:
    parts = {"comparison": comparison(), "finding": FINDING}
    text = write_report(tmp_path, "found", MACHINE, {"dim": 4}, parts)
    tables = "\n\n".join([MACHINE.describe(), *(markdown(part.table) for part in parts.values())])
    assert (tmp_path / "found.md").read_text() == f"{tables}\n"
    assert text == f"{tables}\n\nAll rounds: {tmp_path / 'found.json'}; found.md beside it"
    found = json.loads((tmp_path / "found.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert (found["machine"]["versions"], found["sizes"]) == ({"numpy": "2.0"}, {"dim": 4})
    assert found["parts"]["comparison"]["seconds"]["ours"] == [2, 2, 4]
    assert found["parts"]["finding"] == {"ours": 2.0, "theirs": None}
    assert write_report(tmp_path, "found", MACHINE, {}, {}, head="Here.").startswith("Here.\n\n")
