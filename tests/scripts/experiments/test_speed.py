"""The experiments of speed, in seconds."""

import json
from pathlib import Path
from typing import Any

import pytest

from brushwork.scripts.experiments.documented import QUICK

from ...conftest import Shell


@pytest.fixture(autouse=True)
def _small_and_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for benchmark in ("train", "growth", "stylize"):
        name = f"brushwork.scripts.bench.{benchmark}.in_child"
        monkeypatch.setattr(name, lambda function, *given: function(*given))
    monkeypatch.setattr("brushwork.scripts.bench.profiler.CONVOLUTIONS", ((8, 4),))
    monkeypatch.setattr("brushwork.scripts.bench.data.TOY_SUBJECTS", 8)


def tables(name: str) -> dict[str, Any]:
    return json.loads((QUICK / f"{name}.json").read_text())["tables"]


def test_speed(shell: Shell) -> None:
    shell("reproduce", "speed", "--quick")
    found = tables("speed")
    assert list(found) == [
        "train-rates", "train-breakdown", "float32-rates", "float32-breakdown", "float32-stylegan2",
        "wide-rates", "wide-breakdown", "sample-generating", "sample-encoding",
        "sample-generating_and_encoding", "data-batches", "data-decoding", "growth-growth",
    ]  # fmt: skip
    assert all(table["made"]["command"] == "brushwork reproduce speed --quick" for table in found.values())


def test_stylize(shell: Shell) -> None:
    shell("reproduce", "stylize", "--quick")
    found = tables("stylize")
    assert list(found) == ["tutorial", "neural-style"]
    assert found["tutorial"]["rows"][1][0] == "brushwork"
