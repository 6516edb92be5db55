"""What waits for a GPU, on a processor."""

import json
from functools import partial
from pathlib import Path

import pytest

from brushwork.data.curate.pack import PackConfig
from brushwork.data.dataset import describe
from brushwork.scripts.bench.harness import Table
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.experiments import gpu
from brushwork.scripts.experiments.documented import QUICK

from ...conftest import Shell


def test_every_data_set_is_packed_once_trained_on_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run, done = tmp_path / "data" / "wide", tmp_path / "runs" / "wide", list[list[str]]()

    def brushwork(*words: object) -> None:
        done.append([str(word) for word in words])
        if words[0] == "train":
            (run / "measure").mkdir(parents=True, exist_ok=True)
            line = {"nimg": 9000, "seconds": 30.0, "resolution": 16}
            (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        else:
            figures = {"fd": {"measured": {"value": 12.0}, "real": {"value": 3.0}}}
            (run / "measure" / "report.json").write_text(json.dumps({"figures": figures}))

    toy = partial(write_toy, styles=2, subjects=20, size=16)
    monkeypatch.setattr(gpu, "COLLECTIONS", {"wide": (toy, PackConfig(resolution=16, aspect="3:2"))})
    monkeypatch.setattr(gpu, "brushwork", brushwork)
    monkeypatch.setattr(
        gpu, "step_tables", lambda _: [("steps", Table(title="", header=("",), rows=[("1",)]))]
    )
    args = gpu.Arguments(minutes=4, device="cpu", data=data.parent, out=run.parent, results=tmp_path / "r")
    for _ in range(2):
        gpu.run_experiment(args)
    assert describe(data).shape == (3, 16, 24)
    train, measure = done[2:]
    assert train[:7] == ["train", "auto", "--data", str(data), "--out", str(run), "--max-minutes"]
    assert float(train[7]) == pytest.approx(3, abs=0.5), "a quarter of the time is left for measuring"
    assert train[8:] == ["--device", "cpu", "--resume"]
    assert measure[:4] == ["measure", str(run), "--reference", str(data)]
    tables = json.loads((tmp_path / "r" / "gpu.json").read_text())["tables"]
    assert list(tables) == ["steps", "trained"]
    assert tables["trained"]["rows"] == [
        ["wide", "16 px", "9.00", "0.500", "300", "12.0 / 3.00", "", "", "", ""],
    ]  # fmt: skip


def test_a_try_times_steps(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("brushwork.scripts.bench.train.in_child", lambda function, *given: function(*given))
    monkeypatch.setattr("brushwork.scripts.bench.profiler.CONVOLUTIONS", ((8, 4),))
    shell("reproduce", "gpu", "--quick", "--device", "cpu")
    assert set(json.loads((QUICK / "gpu.json").read_text())["tables"]) == {"toy-rates", "toy-breakdown"}


def test_a_command_that_fails_ends_the_experiment(capfd: pytest.CaptureFixture[str]) -> None:
    gpu.brushwork("--version")
    assert capfd.readouterr().out.startswith("$ brushwork --version\nbrushwork 0.3")
    with pytest.raises(SystemExit) as ended:
        gpu.brushwork("no-verb")
    assert ended.value.code == 2
