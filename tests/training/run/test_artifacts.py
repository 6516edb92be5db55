"""A run leaves the same files whether or not its loop waits for them; and trackers get theirs."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from brushwork.data.dataset import ImageDataset
from brushwork.models.generator import Generator
from brushwork.models.snapshot import load_generator
from brushwork.models.stage import Stage
from brushwork.training import trainer
from brushwork.training.config import IntervalConfig, TrackerConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run import artifacts as module
from brushwork.training.run.artifacts import log_image, start_trackers
from brushwork.training.run.background import Background
from brushwork.training.run.checkpoint import checkpoints, cpu_copy, load_checkpoint
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.trainer import Trainer

MakeConfig = Callable[..., TrainConfig]
NOWHERE = Path("nowhere")
OFTEN = IntervalConfig(
    status_kimg=0.008, grid_kimg=0.008, checkpoint_kimg=0.016, snapshot_kimg=0.008, metrics_kimg=0.008
)


class Mean(InLoopMetrics):
    """A figure that follows from the weights alone."""

    def prepare(self, device: torch.device) -> None:
        pass

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        weights = torch.cat([weight.flatten() for weight in generator.parameters()])
        return {"fd": float(weights.double().std())}


class AtOnce(Background):
    """Makes every call where it is added."""

    def add(self, call: Callable[[], object]) -> None:
        call()


def trained(config: TrainConfig, pictures: ImageDataset) -> Path:
    Trainer(config, pictures, metrics=Mean(MetricsConfig(), NOWHERE)).run()
    return config.out


def left(folder: Path) -> dict[str, Any]:
    """Every file of a run by name; without its clock, and what was asked about speed."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".pt":
            found[name] = flat({**load_checkpoint(path), "seconds": 0.0})
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [
                {k: v for k, v in line.items() if k not in ("seconds", "img_per_s")} for line in lines
            ]
        elif path.is_file() and path.name != "config.json":
            found[name] = path.read_bytes()
    return found


def flat(state: Any) -> Any:
    """A checkpoint's tensors as lists, which compare."""
    if isinstance(state, torch.Tensor):
        return state.tolist()
    if isinstance(state, dict):
        return {name: flat(value) for name, value in state.items()}
    return [flat(value) for value in state] if isinstance(state, list) else state


def test_a_run_leaves_the_same_files_whether_or_not_it_waits(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = make_config(out=tmp_path / "patient", interval=OFTEN)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "Background", AtOnce)
        expected = left(trained(patient, pictures))
    out = trained(replace(patient, out=tmp_path / "busy"), pictures)
    found = left(out)
    assert sum(name.endswith((".pt", ".png", ".safetensors")) for name in found) > 8
    assert list(found) == list(expected)
    for name, content in expected.items():
        assert found[name] == content, name
    best = load_generator(out / "snapshots" / "best.safetensors")
    figures = [line["fd"] for line in found["metrics.jsonl"] if "fd" in line]
    assert Mean(MetricsConfig(), NOWHERE)(best, Stage(16))["fd"] == min(figures), "those that were measured"


def test_a_run_killed_beside_a_figure_keeps_the_best_snapshot_and_logs_the_figure_once(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best snapshot is on the disk before its figure is in the log, and what is in the log is not
    measured again."""

    class Killed(BaseException):
        pass

    def dying(before: bool) -> Callable[[RunFolder, dict[str, Any]], None]:
        def log(folder: RunFolder, line: dict[str, Any]) -> None:
            if "fd" not in line:
                return real(folder, line)
            if not before:
                real(folder, line)
            raise Killed

        return log

    real = RunFolder.log
    interval = replace(OFTEN, metrics_kimg=0.032, checkpoint_kimg=0.032)  # at the end, after the checkpoint
    for before in (True, False):
        config = make_config(out=tmp_path / str(before), interval=interval)
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "log", dying(before))
            with pytest.raises(Killed):
                trained(config, pictures)
        best = config.out / "snapshots" / "best.safetensors"
        content = best.read_bytes()
        trained(replace(config, resume=True), pictures)
        lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
        assert [line["nimg"] for line in lines if "fd" in line] == [32]
        assert best.read_bytes() == content


def test_a_folder_that_is_removed_under_its_run_is_not_filled_again(
    make_config: MakeConfig, pictures: ImageDataset
) -> None:
    config = make_config(interval=OFTEN)
    run = Trainer(config, pictures, metrics=Mean(MetricsConfig(), NOWHERE))
    step = run._step

    def removing() -> None:
        step()
        if run.state.nimg == 16:
            run.background.wait()
            shutil.rmtree(config.out)

    run._step = removing  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"config\.json is gone"):
        run.run()
    assert not list(config.out.rglob("*.pt"))


def test_a_disk_that_fills_up_ends_the_run_with_its_sentence(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, nimg: int, state: object) -> Path:
        if nimg == 32:
            raise TrainingError("the disk is full")
        return save(folder, nimg, state)  # pyright: ignore[reportArgumentType]

    save = module.save_checkpoint
    monkeypatch.setattr(module, "save_checkpoint", full)
    config = make_config(out=tmp_path / "run", interval=OFTEN)
    with pytest.raises(TrainingError, match="the disk is full"):
        trained(config, pictures)
    assert [path.stem for path in checkpoints(config.out / "checkpoints")] == ["000000000016"]


def test_a_still_state_does_not_follow_what_it_was_copied_from() -> None:
    weights = torch.ones(3, requires_grad=True)
    state = {"nimg": 1, "net": {"weights": weights}, "list": [weights, "text"], "nothing": None}
    copy = cpu_copy(state)
    with torch.no_grad():
        weights.zero_()
    assert copy["net"]["weights"].tolist() == copy["list"][0].tolist() == [1.0, 1.0, 1.0]
    assert not copy["net"]["weights"].requires_grad
    assert (copy["nimg"], copy["list"][1], copy["nothing"]) == (1, "text", None)


# Trackers
def accelerator(config: TrainConfig) -> Accelerator:
    return Accelerator(cpu=True, log_with=list(config.trackers.use) or None, project_dir=config.out)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_numbers_images_and_the_configuration(make_config: MakeConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = make_config(trackers=TrackerConfig(use=("tensorboard",), project="tests"))
    host = accelerator(config)
    start_trackers(host, config)
    host.log({"loss_d": 0.5}, step=8)
    log_image(host, "samples", np.zeros((8, 12, 3), dtype=np.uint8), 8)
    host.end_training()
    files = list(config.out.rglob("events.out.tfevents.*"))
    events = EventAccumulator(str(next(file.parent for file in files if file.parent.name == "tests")))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss_d")] == [(8, 0.5)]
    assert [(event.step, event.width, event.height) for event in events.Images("samples")] == [(8, 12, 8)]
    assert any("8" in path.read_text() for path in config.out.rglob("hparams.yml"))


def test_wandb_is_told_name_folder_and_group_and_when_disabled_asks_for_no_network(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    config = make_config(trackers=TrackerConfig(use=("wandb",), wandb_mode="disabled", group="study"))
    config.out.mkdir()
    host, told = accelerator(config), {}
    start = host.init_trackers

    def spy(project: str, **options: Any) -> None:
        told.update(options["init_kwargs"]["wandb"])
        start(project, **options)

    monkeypatch.setattr(host, "init_trackers", spy)
    start_trackers(host, config)
    host.log({"loss_d": 0.5}, step=8)
    host.end_training()
    assert told == {"name": "run", "dir": str(config.out), "mode": "disabled", "group": "study"}
    assert not list(config.out.rglob("*.wandb"))


def test_wandb_online_without_a_key_is_one_sentence(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config = make_config(trackers=TrackerConfig(use=("wandb",), wandb_mode="online"))
    with pytest.raises(
        TrainingError, match=r"wandb cannot start \(No API key.*: log in with `wandb login`, or"
    ):
        start_trackers(accelerator(config), config)
