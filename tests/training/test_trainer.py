"""The trainer in one process; resuming and several processes have tests of their own."""

import copy
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from brushwork.data.dataset import ImageDataset
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import from_notes
from brushwork.models.snapshot import load_generator, snapshot_header
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.scripts.train import last_line
from brushwork.training import plan, update
from brushwork.training import trainer as module
from brushwork.training.adversarial import LossConfig
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.plan import RESERVE
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.schedules import GrowingConfig
from brushwork.training.step import StepContext
from brushwork.training.trainer import Outcome, Trainer

from .conftest import QUIET, after_each_step

Make = Callable[..., Trainer]
"""Runs are 4 steps of 8 images: two at 8 px, then two that fade 16 px in, at alpha 0 and 0.5."""
same = partial(assert_close, rtol=0, atol=0)


@pytest.fixture
def make(make_config: Callable[..., TrainConfig], pictures: ImageDataset) -> Make:
    def trainer(*, metrics: InLoopMetrics | None = None, **changes: Any) -> Trainer:
        return Trainer(make_config(**changes), pictures, metrics=metrics)

    return trainer


cadence = partial(replace, QUIET)


def names(folder: Path) -> list[str]:
    """But those that are hidden."""
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_a_run_leaves_a_checkpoint_a_snapshot_and_grids(make: Make) -> None:
    trainer = make()
    assert trainer.run() == Outcome(reason="finished", nimg=32, resolution=16)
    folder = trainer.folder
    left = ["checkpoints", "config.json", "index.html", "metrics.jsonl", "samples", "snapshots"]
    assert names(folder.path) == left
    assert names(folder.checkpoints) == ["000000000032.pt"]
    assert names(folder.samples) == ["000000016-8px.png", "000000032-16px.png"], "one for each resolution"
    assert names(folder.snapshots) == ["generator-000000032.safetensors", "latest.safetensors"]
    snapshot = load_generator(folder.path)
    assert snapshot.trained_stage == Stage(16, 0.5), "that of the last step"
    same(snapshot.state_dict(), trainer.state.average.state_dict())
    assert snapshot_header(folder.snapshots / names(folder.snapshots)[0])["notes"]["nimg"] == 32


def test_runs_of_one_seed_are_equal_and_both_networks_and_the_average_learn(
    make: Make, tmp_path: Path
) -> None:
    tables = (("generator", "mapping.table"), ("average", "mapping.table"), ("discriminator", "table"))
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(states))
        random = torch.get_rng_state()
        trainer = make(out=tmp_path / name, seed=seed)
        before = copy.deepcopy(trainer.state.state_dict())
        trainer.run()
        assert torch.equal(torch.get_rng_state(), random), "the global state is neither read nor moved"
        states.append(trainer.state.state_dict() | {"seconds": 0.0})
    one, other, last = states
    same(one, other)
    assert not torch.equal(one["generator"]["synthesis.start"], last["generator"]["synthesis.start"])
    assert all(not torch.equal(last[network][name], before[network][name]) for network, name in tables)
    assert (last["average"]["mapping.average"][:3].abs().sum(dim=1) > 0).all(), "every style has its average"


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_two_parts_of_a_batch_train_and_log_as_the_whole(
    make: Make, tmp_path: Path, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With the usual epsilon, Adam would blow the rounding of vanishing gradients up to whole steps.
    monkeypatch.setattr(torch.optim, "Adam", partial(torch.optim.Adam, eps=1e-2))
    augment = AugmentConfig(colour=1.0, translation=0.125, cutout=0.5)
    loss = LossConfig(update_order=order, r1_gamma=0.5, r1_interval=2)
    states, logs = [], []
    for parts in (1, 2, 4):
        trainer = make(
            out=tmp_path / str(parts), accumulate=parts, augment=augment, loss=loss,
            interval=cadence(status_kimg=0.008),
        )  # fmt: skip
        trainer.run()
        networks = (*vars(trainer.state.nets).values(), trainer.state.average)
        states.append([network.state_dict() for network in networks])
        logs.append([line | {"seconds": 0, "img_per_s": 0} for line in trainer.folder.history()])
    for split, log in zip(states[1:], logs[1:], strict=True):
        assert_close(split, states[0], atol=1e-5, rtol=1e-5)
        assert_close(log, logs[0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("loss", "gammas"),
    [
        (LossConfig(update_order="alternating", r1_gamma=0.5, r1_interval=2), [1.0, 0.0, 1.0, 0.0]),
        (LossConfig(r1_gamma=0.5, r1_interval=2), [1.0, 0.0, 1.0, 0.0]),
        (LossConfig(r1_interval=1), [0.0002 * r**2 / 8 for r in (8, 8, 16, 16)]),
    ],
)
def test_r1_is_lazy_with_as_many_times_the_weight(
    make: Make, monkeypatch: pytest.MonkeyPatch, loss: LossConfig, gammas: list[float]
) -> None:
    seen, name = [], "discriminator_step" if loss.update_order == "alternating" else "simultaneous_step"
    real = getattr(update, name)

    def spy(objective: Any, nets: Any, batch: Any, context: StepContext) -> Any:
        seen.append(context.scoring.gamma)
        assert torch.is_autocast_enabled("cpu")
        return real(objective, nets, batch, context)

    monkeypatch.setattr(update, name, spy)
    make(precision="bf16", loss=loss).run()
    assert seen == pytest.approx(gammas)


def test_data_smaller_than_the_networks_are_refused(make_config: Callable[..., TrainConfig]) -> None:
    small = toy_dataset(styles=2, subjects=2, size=8)
    with pytest.raises(TrainingError, match="holds images of 8 px, too small for resolution 16"):
        Trainer(make_config(), small)


def test_status_lines_are_lines_of_the_log(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make(interval=cadence(status_kimg=0.008))
    trainer.run()
    for optimizer in (trainer.state.optimizers.generator, trainer.state.optimizers.discriminator):
        steps = {int(values["step"]) for values in optimizer.state_dict()["state"].values()}
        assert steps == {2}, "the optimizers start afresh at a new resolution only"
    lines = trainer.folder.history()
    assert [line["nimg"] for line in lines] == [8, 16, 24, 32]
    assert [(line["resolution"], line["alpha"]) for line in lines] == [(8, 1), (16, 0), (16, 0.5), (16, 1)]
    for line in lines:
        assert {"seconds", "img_per_s", "loss_d", "loss_g", "real_logit"} < line.keys()
        assert all(math.isfinite(value) for value in line.values())
    assert ["r1" in line for line in lines] == [True, False, True, False], "in the steps that take it"
    assert lines == sorted(lines, key=itemgetter("seconds"))
    assert capsys.readouterr().out.count("loss D") == 4


def test_intervals_are_kept_and_nothing_is_done_twice(make: Make) -> None:
    trainer = make(interval=cadence(grid_kimg=0.008, snapshot_kimg=0.016, checkpoint_kimg=0.008))
    trainer.run()
    samples = [f"0000000{nimg}px.png" for nimg in ("08-8", "16-8", "24-16", "32-16")]
    assert names(trainer.folder.samples) == samples
    snapshots = [f"generator-0000000{nimg}.safetensors" for nimg in (16, 32)]
    assert names(trainer.folder.snapshots) == [*snapshots, "latest.safetensors"]
    assert names(trainer.folder.checkpoints) == ["000000000024.pt", "000000000032.pt"]
    assert snapshot_header(trainer.folder.snapshots / snapshots[0])["stage"] == [8, 1.0]


def test_measurements_are_taken_of_the_average_and_logged(make: Make) -> None:
    seen: list[object] = []

    class Fake(InLoopMetrics):
        def prepare(self, device: torch.device) -> None:
            seen.append("prepared")

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            seen.append(stage)
            same(generator.state_dict(), trainer.state.average.state_dict())
            return {"fd": 6.0 + len(seen)}

    trainer = make(metrics=Fake(MetricsConfig(), Path("nowhere")), interval=cadence(metrics_kimg=0.016))
    trainer.run()
    assert seen == ["prepared", Stage(8), Stage(16, 0.5)]
    figures = [line for line in trainer.folder.history() if "fd" in line]
    assert figures == [{"nimg": 16, "fd": 8.0}, {"nimg": 32, "fd": 9.0}]
    best = snapshot_header(trainer.folder.snapshots / "best.safetensors")
    (chosen,) = from_notes(best["notes"]["looked_through"])
    assert (chosen.name, chosen.role) == ("efficientnet-lite0", "selection")
    assert best["notes"]["nimg"] == 16, "the second is worse"
    assert (trainer.folder.path / "curves.png").exists()


def test_a_run_without_progress_ends_and_keeps_its_best_snapshot(make: Make) -> None:
    class Worse(InLoopMetrics):
        def prepare(self, device: torch.device) -> None:
            pass

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            return {"fd": float(trainer.state.nimg)}

    trainer = make(
        metrics=Worse(MetricsConfig(), Path("nowhere")), interval=cadence(metrics_kimg=0.008), total_kimg=0.2,
        patience=2,
    )  # fmt: skip
    outcome = trainer.run()
    assert (outcome.reason, outcome.nimg) == ("patience", 24), "no step after the third measurement"
    assert [line["nimg"] for line in trainer.folder.history() if "fd" in line] == [8, 16, 24]
    ended = "stopped by --patience, since fd did not improve in the last 2 measurements, at "
    assert last_line(outcome, trainer.config.out).startswith(ended)
    assert names(trainer.folder.checkpoints) == ["000000000024.pt"]
    best = snapshot_header(trainer.folder.snapshots / "best.safetensors")
    assert best["notes"]["nimg"] == 8
    with pytest.raises(TrainingError, match=r"patience is 2, but nothing is measured: set --interval"):
        make(patience=2)


def test_the_time_limit_ends_the_run_in_good_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "seconds_per_image", lambda _: {8: 1.0, 16: 1.0})
    trainer = make(max_minutes=1.0)
    seconds = count(0, 25)
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(seconds)))
    outcome, nimg = trainer.run(), trainer.state.nimg
    assert outcome == Outcome(reason="time", nimg=nimg, resolution=8)
    assert 0 < nimg < 32
    assert trainer.bar.total == nimg, "it ends with the time"
    assert names(trainer.folder.checkpoints) == [f"{nimg:012d}.pt"]
    assert names(trainer.folder.snapshots) == [f"generator-{nimg:09d}.safetensors", "latest.safetensors"]


def test_too_little_time_shortens_the_schedule_which_is_planned_again_by_the_steps_that_were_taken(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        plan, "seconds_per_image", lambda _: {8: 3.75, 16: 3.75}
    )  # 32 images would take two minutes
    short = make(max_minutes=1.0)
    assert short.state.scale == pytest.approx(0.5 * RESERVE, rel=0.05)
    assert short.plan.images == pytest.approx(16, abs=1)
    assert short.run() == Outcome(reason="finished", nimg=32, resolution=16), "there was time for all"
    monkeypatch.setattr(
        plan, "seconds_per_image", lambda _: {8: 100.0, 16: 300.0}
    )  # a load peak while the machine was measured
    trainer = make(max_minutes=1.0, interval=cadence(status_kimg=0.008), out=tmp_path / "peak")
    assert trainer.state.scale < 0.01
    trainer.run()
    assert trainer.plan.rates[16] < 1.0
    assert trainer.state.scale == 1.0


def test_a_run_with_too_few_images_for_its_course_reaches_the_resolution(make: Make) -> None:
    growing = GrowingConfig(start_resolution=8, fade_kimg=(0.05,), steady_kimg=(0.05,))
    trainer = make(growing=growing)
    assert trainer.run() == Outcome(reason="finished", nimg=32, resolution=16)
    longer = make(growing=growing, total_kimg=0.064, resume=True)
    assert longer.run() == Outcome(reason="finished", nimg=64, resolution=16)
    stages = [(line["resolution"], line["alpha"]) for line in longer.folder.history()]
    assert stages == sorted(stages), "no way back"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_a_checkpoint_to_go_on_from(
    make: Make, tmp_path: Path, number: signal.Signals
) -> None:
    make = partial(make, interval=cadence(status_kimg=0.008))
    whole = make(out=tmp_path / "whole")
    whole.run()
    trainer = make()
    after_each_step(trainer, lambda: trainer.state.nimg == 16 and trainer.stop(number, None))
    assert trainer.run() == Outcome(reason="signal", nimg=16, resolution=8, signal=int(number))
    assert names(trainer.folder.checkpoints) == ["000000000016.pt"]
    assert names(trainer.folder.snapshots) == ["latest.safetensors"], "leaving is quick"
    assert load_generator(trainer.folder.path).trained_stage == Stage(8)
    trainer.folder.log({"nimg": 24, "lost": 1})
    again = make(resume=True)
    assert again.state.nimg == 16
    assert [line["nimg"] for line in again.folder.history()] == [8, 16], "rewound to the checkpoint"
    assert again.run() == Outcome(reason="finished", nimg=32, resolution=16)
    same(again.state.state_dict() | {"seconds": 0.0}, whole.state.state_dict() | {"seconds": 0.0})


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ({"status_kimg": 0.008, "checkpoint_kimg": 0.016},
         r"the loss is not finite at 32 images: .* --start-from .*run --optim.*-lr 0.00025"),
        # Without status lines nobody looks at the loss, and a penalty can spoil weights under a finite loss.
        ({"checkpoint_kimg": 0.008}, "the weights are not finite"),
        ({"checkpoint_kimg": 0.016}, "the weights are not finite"),
    ],
)  # fmt: skip
def test_a_run_that_diverges_ends_with_a_sentence_and_keeps_finite_weights(
    make: Make, intervals: dict[str, float], words: str
) -> None:
    trainer = make(interval=cadence(**intervals), total_kimg=0.064)
    bias = trainer.state.nets.discriminator.score.bias.data
    after_each_step(trainer, lambda: trainer.state.nimg == 24 and bias.fill_(math.nan))
    with pytest.raises(TrainingError, match=words):
        trainer.run()
    states = [load_checkpoint(path) for path in checkpoints(trainer.folder.checkpoints)]
    assert states
    for network in (state[part] for state in states for part in ("generator", "discriminator")):
        assert all(bool(tensor.isfinite().all()) for tensor in network.values())
