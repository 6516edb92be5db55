"""Timings by a clock that the candidates advance, memory of real child processes, and reports."""

import json
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import harness
from brushwork.scripts.bench.harness import Comparison, Table, Timings, in_child, peak_memory
from brushwork.training.config import TrainConfig

from .conftest import Clock


def test_candidates_alternate_and_the_first_rounds_do_not_count(clock: Clock) -> None:
    log: list[str] = []
    took = iter([50, 70, 1, 8, 2, 4, 3, 6, 9, 8])

    def work(name: str) -> int:
        log.append(name)
        clock.now += next(took)
        return len(log)

    timings = harness.alternated({name: partial(work, name) for name in "ab"}, repeats=4, warmup=1)
    assert log == ["a", "b"] * 5
    assert timings.wall == {"a": (1, 2, 3, 9), "b": (8, 4, 6, 8)}
    assert timings.processor == {"a": (0.5, 1, 1.5, 4.5), "b": (4, 2, 3, 4)}
    assert timings.results == {"a": 9, "b": 10}
    assert harness.iqr(timings.wall["a"]) == 4.5 - 1.75


def test_a_childs_peak_is_its_own() -> None:
    """Unlike getrusage on Linux, it does not include the parent's memory."""
    held = np.ones(100_000_000)  # 800 MB
    parent = peak_memory()
    assert parent >= 800
    assert in_child(peak_memory) < parent - 200
    del held
    assert peak_memory() == pytest.approx(parent, rel=0.01), "a peak stays"
    with pytest.raises(EvalError, match="was killed"):
        in_child(os._exit, 1)


def test_a_machine_has_versions_threads_and_device_and_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = harness.machine(["numpy", "no-such-package"])
    assert here.versions == {"numpy": np.__version__}
    assert f"numpy {np.__version__}" in here.describe()
    assert platform.node() not in here.describe()
    threads = [harness.machine_of(TrainConfig(device="cpu", threads=count)).threads for count in (7, 0)]
    assert threads == [7, here.threads]
    for name, value in (("is_available", True), ("device_count", 1), ("get_device_name", "a card")):
        monkeypatch.setattr(f"torch.cuda.{name}", lambda *_, value=value: value)
    for device in ("cuda", "auto"):
        assert harness.machine_of(TrainConfig(device=device)).processor.startswith("a card, ")


def comparison(images: int = 0) -> Comparison:
    timings = Timings(
        wall={"ours": (2.0, 2.0, 4.0), "theirs": (8.0, 8.0, 8.0)},
        processor={"ours": (1.0, 1.0, 1.0), "theirs": (5.0, 5.0, 5.0)},
        results={"ours": 3, "theirs": 4},
    )
    return Comparison(title="A task", timings=timings, images=images, metrics={"d": lambda found: found / 16})


def test_a_comparison_has_a_row_for_each_candidate_and_every_round() -> None:
    table = comparison(images=16).table
    assert [table.header, *table.rows] == [
        ("", "seconds (IQR)", "img/s", "times ours", "processor seconds", "times ours", "d"),
        ("ours", "2 (1)", "8.0", "1.00", "1", "1.00", "0.1875"),
        ("theirs", "8 (0)", "2.0", "4.00", "5", "5.00", "0.25"),
    ]
    assert (table.data["processor_seconds"]["theirs"], table.data["pictures"]) == ((5, 5, 5), 16)
    assert table.data["figures"] == {"d": {"ours": 0.1875, "theirs": 0.25}}
    assert "img/s" not in comparison().table.header
    assert {len(row) for row in comparison().table.rows} == {6}
    once = Timings(wall={"a": (2.0,)}, processor={"a": (1.0,)}, results={"a": 0})
    assert Comparison(title="", timings=once).table.rows[0][1] == "2 (1 run)"


def test_a_report_is_markdown_and_json_without_nan_and_kept_after_a_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, data = [("ours", "1"), ("a|b", "12345")], {"ours": (2.0, math.inf), "theirs": math.nan}
    finding = Table(title="T", header=("", "s"), rows=rows, notes=("N.",), data=data)
    assert finding.markdown().splitlines() == [
        "### T", "", "|      |     s |", "|------|------:|", "| ours |     1 |", "| a\\|b | 12345 |", "",
        "N.",
    ]  # fmt: skip
    parts = {"comparison": comparison().table, "finding": finding}
    here, path = harness.machine(["numpy"]), tmp_path / "new" / "found"
    harness.report(path, here, {"dim": 4}, parts.items())
    text = "\n\n".join([here.describe(), *(part.markdown() for part in parts.values())])
    assert path.with_suffix(".md").read_text() == f"{text}\n"
    assert capsys.readouterr().out.startswith(f"{text}\n\nAll rounds: {path}.json")
    found = json.loads(path.with_suffix(".json").read_text(), parse_constant=lambda name: 1 / 0)
    assert (found["machine"], found["sizes"]) == (asdict(here), {"dim": 4})
    assert found["parts"]["comparison"]["seconds"]["ours"] == [2, 2, 4]
    assert found["parts"]["finding"] == {"ours": [2.0, None], "theirs": None}

    def stopped() -> Iterator[tuple[str, Table]]:
        yield "finding", finding
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harness.report(tmp_path / "found", here, {}, stopped(), head="Here.")
    assert (tmp_path / "found.md").read_text() == f"Here.\n\n{finding.markdown()}\n"
    assert list(json.loads((tmp_path / "found.json").read_text())["parts"]) == ["finding"]
