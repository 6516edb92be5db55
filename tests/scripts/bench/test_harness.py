"""Timing by a clock that the candidates move themselves, and memory in real child processes."""

import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import harness as benchmark
from brushwork.scripts.bench.harness import (
    Race,
    Timings,
    alternated,
    in_child,
    machine,
    peak_memory,
    version_of,
)


@dataclass
class Clock:
    """Stands still unless somebody works; half of the time goes to other programs."""

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
def test_candidates_take_turns_and_the_first_rounds_do_not_count(clock: Clock) -> None:
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


def test_one_round_has_no_spread(clock: Clock) -> None:
    timings = alternated({"a": work(clock, [], "a", [2])}, repeats=1, warmup=0)
    assert math.isnan(timings.spread("a"))
    assert timings.ratio("a") == 1


def test_nothing_to_time() -> None:
    with pytest.raises(EvalError, match="0 functions"):
        alternated({}, repeats=1)
    with pytest.raises(EvalError, match="in 0 rounds"):
        alternated({"a": int}, repeats=0)


# Memory
def test_a_childs_peak_is_its_own() -> None:
    """What the parent holds is not in it, as it would be in Linux's getrusage."""
    before = peak_memory()
    held = np.ones(100_000_000)  # 800 MB
    parent = peak_memory()
    assert parent >= 800
    assert parent >= before
    assert in_child(peak_memory) < parent - 200
    del held
    assert peak_memory() == pytest.approx(parent, rel=0.01), "a peak stays"


def test_a_peak_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux may tell some kB less at a second look."""
    readings = iter([7.0, 6.9, 8.0])
    monkeypatch.setattr(benchmark, "_highest", 0.0)
    monkeypatch.setattr(benchmark, "_counted_peak", lambda: next(readings))
    assert [peak_memory() for _ in range(3)] == [7, 7, 8]


def test_a_killed_child_is_named() -> None:
    with pytest.raises(EvalError, match="was killed"):
        in_child(os._exit, 1)


# The machine
def test_machine_says_versions_and_no_name() -> None:
    here = machine(["numpy", "no-such-package"])
    assert here.versions == {"numpy": np.__version__}
    assert version_of("no-such-package") is None
    assert here.cores >= 1
    assert f"numpy {np.__version__}" in here.words()
    assert platform.node() not in here.words()


# Findings
def race(pictures: int) -> Race:
    timings: Timings[None] = Timings(
        wall={"ours": (2.0, 2.0, 4.0), "theirs": (8.0, 8.0, 8.0)},
        processor={"ours": (1.0, 1.0, 1.0), "theirs": (5.0, 5.0, 5.0)},
        results={"ours": None, "theirs": None},
    )
    return Race(title="A race", timings=timings, pictures=pictures, figures={"d": {"theirs": 0.25}})


def test_table_of_a_race() -> None:
    table = race(pictures=16).table()
    assert table.header == (
        "", "seconds (IQR)", "img/s", "times ours", "processor seconds", "times ours", "d"
    )  # fmt: skip
    assert table.rows == (
        ("ours", "2 (1)", "8.0", "1.00", "1", "1.00", ""),
        ("theirs", "8 (0)", "2.0", "4.00", "5", "5.00", "0.25"),
    )
    plain = race(pictures=0).table()
    assert "img/s" not in plain.header
    assert all(len(row) == len(plain.header) for row in plain.rows)


def test_json_of_a_race_has_every_round() -> None:
    found = race(pictures=16).to_json()
    assert found["seconds"]["ours"] == (2.0, 2.0, 4.0)
    assert found["processor_seconds"]["theirs"] == (5.0, 5.0, 5.0)
    assert found["figures"] == {"d": {"theirs": 0.25}}
