"""Timings by a clock that the candidates advance, memory of real child processes, and reports."""

import json
import math
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import harness
from brushwork.scripts.bench.harness import (
    Comparison,
    Machine,
    Table,
    Timings,
    alternated,
    in_child,
    iqr,
    machine,
    machine_of,
    peak_memory,
    report,
)
from brushwork.training.config import TrainConfig

MACHINE = Machine(processor="an abacus", cores=2, threads=1, versions={"numpy": "2.0"})


class Clock:
    """Advances only in `work`; the processor takes half of the time."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.now / 2


def test_candidates_alternate_and_the_first_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = Clock(), []
    monkeypatch.setattr(harness, "time", clock)

    def work(name: str, seconds: list[float]) -> Callable[[], int]:
        left = iter(seconds)

        def run() -> int:
            log.append(name)
            clock.now += next(left)
            return len(log)

        return run

    functions = {"a": work("a", [50, 1, 2, 3, 9]), "b": work("b", [70, 8, 4, 6, 8])}
    timings = alternated(functions, repeats=4, warmup=1)
    assert log == ["a", "b"] * 5
    assert timings.wall == {"a": (1, 2, 3, 9), "b": (8, 4, 6, 8)}
    assert timings.processor == {"a": (0.5, 1, 1.5, 4.5), "b": (4, 2, 3, 4)}
    assert timings.results == {"a": 9, "b": 10}
    assert iqr(timings.wall["a"]) == 4.5 - 1.75


# Memory and machine
def test_a_childs_peak_is_its_own() -> None:
    """Unlike getrusage on Linux, it does not include the parent's memory."""
    before = peak_memory()
    held = np.ones(100_000_000)  # 800 MB
    parent = peak_memory()
    assert parent >= max(800, before)
    assert in_child(peak_memory) < parent - 200
    del held
    assert peak_memory() == pytest.approx(parent, rel=0.01), "a peak stays"
    with pytest.raises(EvalError, match="was killed"):
        in_child(os._exit, 1)


def test_a_machine_has_versions_threads_and_device_and_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine(["numpy", "no-such-package"])
    assert here.versions == {"numpy": np.__version__}
    assert f"numpy {np.__version__}" in here.describe()
    assert platform.node() not in here.describe()
    assert machine_of(TrainConfig(device="cpu", threads=7)).threads == 7
    assert machine_of(TrainConfig(device="cpu")).threads == here.threads
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"a {device.type} card")
    for device in ("cuda", "auto"):
        assert machine_of(TrainConfig(device=device)).processor.startswith("a cuda card, ")


# Tables and reports
def comparison(images: int = 0) -> Comparison:
    timings = Timings(
        wall={"ours": (2.0, 2.0, 4.0), "theirs": (8.0, 8.0, 8.0)},
        processor={"ours": (1.0, 1.0, 1.0), "theirs": (5.0, 5.0, 5.0)},
        results={"ours": 3, "theirs": 4},
    )
    return Comparison(title="A task", timings=timings, images=images, metrics={"d": lambda found: found / 16})


def test_a_comparison_has_a_row_for_each_candidate_and_every_round() -> None:
    table = comparison(images=16).table
    assert table.header == (
        "", "seconds (IQR)", "img/s", "times ours", "processor seconds", "times ours", "d"
    )  # fmt: skip
    assert table.rows == [
        ("ours", "2 (1)", "8.0", "1.00", "1", "1.00", "0.1875"),
        ("theirs", "8 (0)", "2.0", "4.00", "5", "5.00", "0.25"),
    ]
    assert table.data["seconds"]["ours"] == (2, 2, 4)
    assert (table.data["processor_seconds"]["theirs"], table.data["pictures"]) == ((5, 5, 5), 16)
    assert table.data["figures"] == {"d": {"ours": 0.1875, "theirs": 0.25}}
    assert "img/s" not in comparison().table.header
    assert {len(row) for row in comparison().table.rows} == {6}
    once = Timings(wall={"a": (2.0,)}, processor={"a": (1.0,)}, results={"a": 0})
    assert Comparison(title="", timings=once).table.rows[0][1] == "2 (1 run)"


def test_a_report_is_markdown_and_json_without_nan_and_kept_after_a_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("ours", "1"), ("a|b", "12345")]
    finding = Table(
        title="T", header=("", "s"), rows=rows, notes=("N.",), data={"ours": 2.0, "theirs": math.nan}
    )
    assert finding.markdown().splitlines() == [
        "### T", "", "|      |     s |", "|------|------:|", "| ours |     1 |", "| a\\|b | 12345 |", "",
        "N.",
    ]  # fmt: skip
    parts = {"comparison": comparison().table, "finding": finding}
    report(tmp_path / "new" / "found", MACHINE, {"dim": 4}, parts.items())
    text = "\n\n".join([MACHINE.describe(), *(part.markdown() for part in parts.values())])
    assert (tmp_path / "new" / "found.md").read_text() == f"{text}\n"
    printed = capsys.readouterr().out
    assert printed.startswith(text)
    assert f"All rounds: {tmp_path / 'new' / 'found'}.json" in printed
    found = json.loads((tmp_path / "new" / "found.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert (found["machine"]["versions"], found["sizes"]) == ({"numpy": "2.0"}, {"dim": 4})
    assert found["parts"]["comparison"]["seconds"]["ours"] == [2, 2, 4]
    assert found["parts"]["finding"] == {"ours": 2.0, "theirs": None}

    def stopped() -> Iterator[tuple[str, Table]]:
        yield "finding", finding
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(tmp_path / "found", MACHINE, {}, stopped(), head="Here.")
    assert (tmp_path / "found.md").read_text() == f"Here.\n\n{finding.markdown()}\n"
    assert list(json.loads((tmp_path / "found.json").read_text())["parts"]) == ["finding"]
