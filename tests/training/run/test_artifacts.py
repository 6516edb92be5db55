"""A run leaves the same files whether or not its loop waits for them; and trackers get theirs."""

import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.testing import assert_close

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
from brushwork.training.run.checkpoint import checkpoints, cpu_copy
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.trainer import Trainer

from ..conftest import QUIET, after_each_step

MakeConfig = Callable[..., TrainConfig]
NOWHERE = Path("nowhere")
OFTEN = IntervalConfig(**(dict.fromkeys(vars(QUIET), 0.008) | {"checkpoint_kimg": 0.016}))


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


def test_a_run_leaves_the_same_files_whether_or_not_it_waits(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(name: str) -> dict[str, bytes]:
        folder = trained(make_config(out=tmp_path / name, interval=OFTEN), pictures)
        own = ("config.json", "index.html")  # they have the folder's name
        files = [path for path in folder.rglob("*") if path.is_file() and path.name not in own]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    busy = left("busy")
    assert sum(name.endswith((".pt", ".png", ".safetensors")) for name in busy) > 8
    monkeypatch.setattr(trainer, "Background", AtOnce)
    assert left("patient") == busy
    best = load_generator(tmp_path / "busy" / "snapshots" / "best.safetensors")
    figures = [line["fd"] for line in RunFolder(tmp_path / "busy").history() if "fd" in line]
    assert Mean(MetricsConfig(), NOWHERE)(best, Stage(16))["fd"] == min(figures), "those that were measured"


@pytest.mark.parametrize("before", [True, False])
def test_a_run_killed_beside_a_figure_keeps_the_best_snapshot_and_logs_the_figure_once(
    make_config: MakeConfig, pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """The best snapshot is on the disk before its figure is in the log; what is in the log is not measured
    again."""

    class Killed(BaseException):
        pass

    def dying(folder: RunFolder, line: dict[str, Any]) -> None:
        if "fd" not in line or not before:
            real(folder, line)
        if "fd" in line:
            raise Killed

    real = RunFolder.log
    interval = replace(OFTEN, metrics_kimg=0.032, checkpoint_kimg=0.032)  # at the end, after the checkpoint
    config = make_config(interval=interval)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "log", dying)
        with pytest.raises(Killed):
            trained(config, pictures)
    folder = RunFolder(config.out)
    best = folder.snapshots / "best.safetensors"
    content = best.read_bytes()
    trained(replace(config, resume=True), pictures)
    assert [line["nimg"] for line in folder.history() if "fd" in line] == [32]
    assert best.read_bytes() == content


def test_a_folder_that_is_removed_under_its_run_is_not_filled_again(
    make_config: MakeConfig, pictures: ImageDataset
) -> None:
    config = make_config(interval=OFTEN)
    run = Trainer(config, pictures, metrics=Mean(MetricsConfig(), NOWHERE))

    def removing() -> None:
        if run.state.nimg == 16:
            run.background.wait()
            shutil.rmtree(config.out)

    after_each_step(run, removing)
    with pytest.raises(TrainingError, match=r"config\.json is gone"):
        run.run()
    assert not list(config.out.rglob("*.pt"))


def test_a_disk_that_fills_up_ends_the_run_with_its_sentence(
    make_config: MakeConfig, pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, nimg: int, state: object) -> Path:
        if nimg == 32:
            raise TrainingError("the disk is full")
        return save(folder, nimg, state)  # pyright: ignore[reportArgumentType]

    save = module.save_checkpoint
    monkeypatch.setattr(module, "save_checkpoint", full)
    config = make_config(interval=OFTEN)
    with pytest.raises(TrainingError, match="the disk is full"):
        trained(config, pictures)
    assert [path.stem for path in checkpoints(config.out / "checkpoints")] == ["000000000016"]


def test_a_still_state_does_not_follow_what_it_was_copied_from() -> None:
    weights = torch.ones(3, requires_grad=True)
    copy = cpu_copy({"nimg": 1, "net": {"weights": weights}, "list": [weights], "nothing": None})
    torch.nn.init.zeros_(weights)
    ones = torch.ones(3)
    assert_close(copy, {"nimg": 1, "net": {"weights": ones}, "list": [ones], "nothing": None})
    assert not copy["net"]["weights"].requires_grad


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
    with pytest.raises(TrainingError, match=r"wandb cannot start \(No API key.*: log in with `wandb login`"):
        start_trackers(accelerator(config), config)
