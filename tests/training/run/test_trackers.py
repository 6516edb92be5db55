import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator

from brushwork.training.config import TrackerConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.trackers import log_picture, log_values, start_trackers

Make = Callable[..., TrainConfig]


class Recorder:
    """A tracker that takes pictures."""

    def __init__(self) -> None:
        self.pictures: list[tuple[str, tuple[int, ...], int]] = []

    def log_images(self, values: dict[str, np.ndarray], step: int) -> None:
        self.pictures += [(name, value.shape, step) for name, value in values.items()]


def accelerator(config: TrainConfig) -> Accelerator:
    return Accelerator(cpu=True, log_with=list(config.trackers.use) or None, project_dir=config.out)


def run(config: TrainConfig) -> None:
    """What a trainer sends."""
    host = accelerator(config)
    start_trackers(host, config)
    log_values(host, {"loss_d": 0.5, "nimg": 8, "note": "text is left out"}, 8)
    log_picture(host, "samples", np.zeros((8, 12, 3), dtype=np.uint8), 8)
    host.end_training()


def test_without_trackers_nothing_is_written(make_config: Make) -> None:
    config = make_config()
    run(config)
    assert not list(config.out.rglob("*"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_writes_numbers_pictures_and_the_configuration(make_config: Make) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = make_config(trackers=TrackerConfig(use=("tensorboard",), project="tests"))
    run(config)
    files = list(config.out.rglob("events.out.tfevents.*"))
    assert files, "inside the run folder"
    folder = next(file.parent for file in files if file.parent.name == "tests")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss_d")] == [(8, 0.5)]
    assert [event.step for event in events.Images("samples")] == [8]
    assert any("8" in path.read_text() for path in config.out.rglob("hparams.yml"))


def test_wandb_when_disabled_asks_for_no_network_and_leaves_nothing(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    config = make_config(trackers=TrackerConfig(use=("wandb",), wandb_mode="disabled"))
    config.out.mkdir()
    run(config)
    assert not list(config.out.rglob("*.wandb"))


def test_wandb_is_told_name_folder_and_group(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(trackers=TrackerConfig(use=("wandb",), project="tests", group="study"))
    host, told = Accelerator(cpu=True), {}
    monkeypatch.setattr(host, "init_trackers", lambda project, **options: told.update(options["init_kwargs"]))
    start_trackers(host, config)
    assert told["wandb"] == {"name": "run", "dir": str(config.out), "mode": "offline", "group": "study"}


def test_wandb_online_without_a_key_is_one_sentence(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config = make_config(trackers=TrackerConfig(use=("wandb",), wandb_mode="online"))
    with pytest.raises(
        TrainingError, match=r"wandb cannot start \(No API key.*: log in with `wandb login`, or"
    ):
        start_trackers(accelerator(config), config)
