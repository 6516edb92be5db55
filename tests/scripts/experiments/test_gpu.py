"""The commands that wait for a GPU."""

from functools import partial
from pathlib import Path

import pytest

from brushwork.data.curate.pack import PackConfig
from brushwork.data.dataset import describe
from brushwork.scripts.bench.toy import write_toy
from brushwork.scripts.experiments import gpu


def test_every_data_set_is_packed_once_trained_on_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run, done = tmp_path / "data" / "wide", tmp_path / "runs" / "wide", list[list[str]]()
    toy = partial(write_toy, styles=2, subjects=20, size=16)
    monkeypatch.setattr(gpu, "COLLECTIONS", {"wide": (toy, PackConfig(resolution=16, aspect="3:2"))})
    monkeypatch.setattr(gpu, "brushwork", lambda *words: done.append([str(word) for word in words]))
    args = gpu.Arguments(minutes=0.5, device="cpu", data=data.parent, out=run.parent)
    for _ in range(2):
        gpu.run_experiment(args)
    assert describe(data).shape == (3, 16, 24)
    assert (done[:2], done[2:]) == (done[2:], done[:2])
    train, measure = done[:2]
    assert train[:7] == ["train", "auto", "--data", str(data), "--out", str(run), "--max-minutes"]
    assert train[7:] == ["0.5", "--device", "cpu", "--resume"]
    assert measure[:4] == ["measure", str(run), "--reference", str(data)]


def test_a_command_that_fails_ends_the_experiment(capfd: pytest.CaptureFixture[str]) -> None:
    gpu.brushwork("--version")
    assert capfd.readouterr().out.startswith("$ brushwork --version\nbrushwork 0.3")
    with pytest.raises(SystemExit) as ended:
        gpu.brushwork("no-verb")
    assert ended.value.code == 2
