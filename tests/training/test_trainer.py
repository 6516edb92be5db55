"""The trainer in one process; resuming and several processes have tests of their own."""

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.models.generator import Generator
from brushwork.models.snapshot import load_generator, snapshot_header
from brushwork.models.stage import Stage
from brushwork.training import plan, update
from brushwork.training import trainer as module
from brushwork.training.adversarial import LossConfig
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import IntervalConfig, OptimizerConfig, TrainConfig
from brushwork.training.context import StepContext
from brushwork.training.errors import TrainingError
from brushwork.training.plan import RESERVE
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.schedules import GrowingConfig
from brushwork.training.step import discriminator_step, simultaneous_step
from brushwork.training.trainer import Outcome, Trainer

Make = Callable[..., Trainer]
"""Runs are 4 steps of 8 pictures: two at 8 px, then two that fade 16 px in, at alpha 0 and 0.5."""


@pytest.fixture
def make(make_config: Callable[..., TrainConfig], pictures: Pictures) -> Make:
    def trainer(*, metrics: InLoopMetrics | None = None, **changes: Any) -> Trainer:
        return Trainer(make_config(**changes), pictures, metrics=metrics)

    return trainer


def cadence(**kimg: float) -> IntervalConfig:
    off = {"status_kimg": 0.0, "grid_kimg": 0.0, "checkpoint_kimg": 0.0, "snapshot_kimg": 0.0}
    return replace(IntervalConfig(), **(off | kimg))


def names(folder: Path) -> list[str]:
    """But those that are hidden."""
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def after(trainer: Trainer, steps: int, action: Callable[[], object]) -> None:
    """Has `action` called once so many steps were taken."""
    step, taken = trainer._step, count(1)

    def counted() -> None:
        step()
        if next(taken) == steps:
            action()

    trainer._step = counted  # type: ignore[method-assign]


# Course


def test_a_run_leaves_a_checkpoint_a_snapshot_and_grids(make: Make) -> None:
    trainer = make()
    assert trainer.run() == Outcome(reason="finished", nimg=32, resolution=16)
    folder = trainer.folder
    assert names(folder.path) == ["checkpoints", "config.json", "metrics.jsonl", "samples", "snapshots"]
    assert names(folder.checkpoints) == ["000000000032.pt"]
    assert names(folder.samples) == ["000000016-8px.png", "000000032-16px.png"], "one for each resolution"
    assert names(folder.snapshots) == ["generator-000000032.safetensors", "latest.safetensors"]
    snapshot = load_generator(folder.path)
    assert snapshot.trained_stage == Stage(16, 0.5), "that of the last step"
    ours = trainer.state.average.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in snapshot.state_dict().items())
    notes = snapshot_header(folder.snapshots / names(folder.snapshots)[0])["notes"]
    assert notes["nimg"] == 32


def test_both_networks_learn_and_the_average_follows(make: Make) -> None:
    trainer = make()
    before = {name: value.clone() for name, value in trainer.state.state_dict()["generator"].items()}
    first = trainer.state.nets.discriminator.table.detach().clone()
    trainer.run()
    state = trainer.state.state_dict()
    assert not torch.equal(state["discriminator"]["table"], first)
    for name in ("synthesis.start", "mapping.table", "synthesis.blocks.16.enter.conv.weight"):
        assert not torch.equal(state["generator"][name], before[name])
        assert not torch.equal(state["average"][name], before[name])
    assert (state["average"]["mapping.average"][:3].abs().sum(dim=1) > 0).all(), "every style has its centre"


def test_the_optimizers_start_afresh_at_a_new_resolution_only(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, taken = make(), []
    step = trainer._step

    def counted() -> None:
        step()
        for optimizer in (trainer.state.optimizers.generator, trainer.state.optimizers.discriminator):
            taken.append(max(int(values["step"]) for values in optimizer.state_dict()["state"].values()))

    monkeypatch.setattr(trainer, "_step", counted)
    trainer.run()
    assert taken == [1, 1, 2, 2, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("lr_decay_fraction", "factors"),
    [(0.0, [1, 1, 1, 1]), (0.5, [1, 1, 1, 0.5]), (1.0, [1, 0.75, 0.5, 0.25])],
)
def test_learning_rates_fall_at_the_end(
    make: Make, monkeypatch: pytest.MonkeyPatch, lr_decay_fraction: float, factors: list[float]
) -> None:
    """The rates of each step, at a new resolution's fresh optimizers, too."""
    own = OptimizerConfig(generator_lr=0.01, discriminator_lr=0.004, lr_decay_fraction=lr_decay_fraction)
    trainer, taken = make(optimizer=own), []
    step = trainer._step

    def noted() -> None:
        step()
        optimizers = trainer.state.optimizers
        for optimizer, lr in ((optimizers.generator, 0.01), (optimizers.discriminator, 0.004)):
            taken.append(optimizer.param_groups[0]["lr"] / lr)

    monkeypatch.setattr(trainer, "_step", noted)
    trainer.run()
    assert taken == pytest.approx([factor for factor in factors for _ in range(2)])


def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(make: Make, tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(states))  # the global state is not looked at
        trainer = make(out=tmp_path / name, seed=seed)
        trainer.run()
        states.append(trainer.state.state_dict()["generator"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["synthesis.start"], states[2]["synthesis.start"])


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_two_parts_of_a_batch_train_as_the_whole(make: Make, tmp_path: Path, order: Any) -> None:
    # A larger epsilon than usual: Adam would blow the rounding of vanishing gradients up to whole steps.
    common: dict[str, Any] = {
        "optimizer": OptimizerConfig(eps=1e-2),
        "augment": AugmentConfig(colour=1.0, translation=0.125, cutout=0.5),
        "loss": LossConfig(update_order=order, r1_gamma=0.5, r1_interval=2),
    }
    states = []
    for parts in (1, 2, 4):
        trainer = make(out=tmp_path / str(parts), accumulate=parts, **common)
        trainer.run()
        states.append(trainer.state.state_dict())
    for network in ("generator", "discriminator", "average"):
        for name, whole in states[0][network].items():
            for split in states[1:]:
                assert torch.allclose(split[network][name], whole, atol=1e-5), f"{network}.{name}"


def test_data_smaller_than_the_networks_are_refused(make_config: Callable[..., TrainConfig]) -> None:
    small = toy_pictures(styles=2, subjects=2, size=8)
    with pytest.raises(TrainingError, match="holds pictures of 8 px, too small for resolution 16"):
        Trainer(make_config(), small)


def test_the_log_of_a_batch_in_parts_is_that_of_the_whole(make: Make, tmp_path: Path) -> None:
    logs = []
    for parts in (1, 2):
        trainer = make(accumulate=parts, out=tmp_path / str(parts), interval=cadence(status_kimg=0.008))
        trainer.run()
        logs.append(trainer.folder.history())
    for one, other in zip(*logs, strict=True):
        for name in ("loss_d", "loss_g", "real_logit", "fake_logit", "real_sign"):
            assert other[name] == pytest.approx(one[name], rel=1e-3, abs=1e-3), (name, one["nimg"])


# What a step is told


def test_r1_is_lazy_with_as_many_times_the_weight(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(objective: Any, nets: Any, batch: Any, context: StepContext) -> Any:
        seen.append((context.scoring.gamma, context.label_weight))
        return discriminator_step(objective, nets, batch, context)

    monkeypatch.setattr(update, "discriminator_step", spy)
    loss = LossConfig(
        update_order="alternating", r1_gamma=0.5, r1_interval=2, ramp_start_kimg=0.008, ramp_end_kimg=0.024
    )
    make(precision="bf16", loss=loss).run()
    assert seen == [(1.0, 0.0), (0.0, 0.0), (1.0, 0.5), (0.0, 1.0)]


def test_both_learn_at_once_from_the_same_pictures_where_asked(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(objective: Any, nets: Any, batch: Any, context: StepContext) -> Any:
        seen.append((context.scoring.gamma, torch.is_autocast_enabled("cpu")))
        return simultaneous_step(objective, nets, batch, context)

    monkeypatch.setattr(update, "simultaneous_step", spy)
    loss = LossConfig(update_order="simultaneous", r1_gamma=0.5, r1_interval=2)
    trainer = make(precision="bf16", loss=loss)
    before = [trainer.state.nets.generator.state_dict(), trainer.state.nets.discriminator.state_dict()]
    before = [{name: value.clone() for name, value in state.items()} for state in before]
    trainer.run()
    assert seen == [(1.0, True), (0.0, True), (1.0, True), (0.0, True)]
    for network, old in zip(
        (trainer.state.nets.generator, trainer.state.nets.discriminator), before, strict=True
    ):
        moved = [name for name, value in network.named_parameters() if not torch.equal(value, old[name])]
        assert len(moved) > len(old) / 2


def test_gamma_follows_the_resolution_when_automatic(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(objective: Any, nets: Any, batch: Any, context: StepContext) -> Any:
        seen.append(context.scoring.gamma)
        return discriminator_step(objective, nets, batch, context)

    monkeypatch.setattr(update, "discriminator_step", spy)
    make(loss=LossConfig(update_order="alternating", r1_interval=1)).run()
    assert seen == pytest.approx([0.0002 * r**2 / 8 for r in (8, 8, 16, 16)])


# Chores


@pytest.mark.parametrize("kimg", [0.008, 0.02, 0.1, 0.016])
def test_a_chore_is_due_once_in_every_so_many_images(make: Make, kimg: float) -> None:
    trainer, due = make(), []
    for nimg in range(0, 4001, 8):
        trainer.state.nimg = nimg
        if trainer._due(kimg):
            due.append(nimg)
    interval = kimg * 1000
    assert due == [math.ceil(i * interval / 8) * 8 for i in range(1, int(4000 / interval) + 1)]


def test_ticks_are_lines_of_the_log(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make(interval=cadence(status_kimg=0.008))
    trainer.run()
    lines = trainer.folder.history()
    assert [line["nimg"] for line in lines] == [8, 16, 24, 32]
    assert [(line["resolution"], line["alpha"]) for line in lines] == [(8, 1), (16, 0), (16, 0.5), (16, 1)]
    for line in lines:
        assert {"seconds", "img_per_s", "loss_d", "loss_g", "real_sign"} < line.keys()
        assert all(math.isfinite(value) for value in line.values())
    assert ["r1" in line for line in lines] == [True, False, True, False], "in the steps that take it"
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert capsys.readouterr().out.count("loss D") == 4


def test_cadences_are_kept_and_nothing_is_done_twice(make: Make) -> None:
    trainer = make(interval=cadence(grid_kimg=0.008, snapshot_kimg=0.016, checkpoint_kimg=0.008))
    trainer.run()
    assert names(trainer.folder.samples) == [
        "000000008-8px.png", "000000016-8px.png", "000000024-16px.png", "000000032-16px.png"
    ]  # fmt: skip
    assert names(trainer.folder.snapshots) == [
        *(f"generator-0000000{nimg}.safetensors" for nimg in (16, 32)), "latest.safetensors"
    ]  # fmt: skip
    assert names(trainer.folder.checkpoints) == ["000000000024.pt", "000000000032.pt"]
    assert snapshot_header(trainer.folder.snapshots / "generator-000000016.safetensors")["stage"] == [8, 1.0]


def test_measurements_are_taken_of_the_average_and_logged(make: Make) -> None:
    seen: list[tuple[Generator, Stage]] = []

    class Fake(InLoopMetrics):
        def prepare(self, device: torch.device) -> None:
            assert not seen, "before the first step"
            prepared.append(True)

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            seen.append((generator, stage))
            average = trainer.state.average.state_dict()
            assert all(torch.equal(average[name], value) for name, value in generator.state_dict().items())
            return {"fd": 9.0 - len(seen) % 2}

    prepared: list[bool] = []
    fake = Fake(MetricsConfig(), Path("nowhere"))
    trainer = make(metrics=fake, interval=cadence(metrics_kimg=0.016))
    trainer.run()
    assert [stage for _, stage in seen] == [Stage(8), Stage(16, 0.5)]
    figures = [line for line in trainer.folder.history() if "fd" in line]
    assert figures == [{"nimg": 16, "fd": 8.0}, {"nimg": 32, "fd": 9.0}]
    best = snapshot_header(trainer.folder.snapshots / "best.safetensors")
    assert best["notes"]["nimg"] == 16, "the second is worse"
    assert (trainer.folder.path / "curves.png").exists()
    assert prepared == [True]


# Stopping


def timed(monkeypatch: pytest.MonkeyPatch, rates: dict[int, float]) -> None:
    """In place of the measurement of this machine that a time limit asks for."""
    monkeypatch.setattr(plan, "seconds_per_image", lambda scratch: rates)


def test_the_time_limit_ends_the_run_in_good_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, {8: 1.0, 16: 1.0})
    trainer = make(max_minutes=1.0)
    seconds = count(0, 25)
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(seconds)))
    outcome = trainer.run()
    assert outcome.reason == "time"
    assert outcome.signal is None
    assert 0 < outcome.nimg < 32
    assert names(trainer.folder.checkpoints) == [f"{outcome.nimg:012d}.pt"]
    assert names(trainer.folder.snapshots) == [
        f"generator-{outcome.nimg:09d}.safetensors", "latest.safetensors"
    ]  # fmt: skip


def test_too_little_time_shortens_the_course_and_what_is_left_is_trained_at_its_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, {8: 3.75, 16: 3.75})  # 32 images would take two minutes
    trainer = make(max_minutes=1.0)
    assert trainer.state.scale == pytest.approx(0.5 * RESERVE, rel=0.05)
    assert trainer.plan.images == pytest.approx(16, abs=1)
    assert trainer.run() == Outcome(reason="finished", nimg=32, resolution=16), "there was time for all"


def test_the_course_is_planned_again_by_the_steps_that_were_taken(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, {8: 100.0, 16: 300.0})  # a load peak while the machine was measured
    trainer = make(max_minutes=1.0, interval=cadence(status_kimg=0.008))
    assert trainer.state.scale < 0.01
    trainer.run()
    assert trainer.plan.rates[16] < 1.0
    assert trainer.state.scale == 1.0


def test_a_shortened_course_whose_rates_fall_ends_where_they_are_0(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, {8: 3.75, 16: 3.75})
    outcome = make(max_minutes=1.0, optimizer=OptimizerConfig(lr_decay_fraction=0.5)).run()
    assert outcome == Outcome(reason="finished", nimg=16, resolution=16)


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
    make = partial(make, optimizer=OptimizerConfig(lr_decay_fraction=0.75))
    whole = make(out=tmp_path / "whole")
    whole.run()
    trainer = make()
    after(trainer, 2, lambda: trainer.stop(number, None))
    assert trainer.run() == Outcome(reason="signal", nimg=16, resolution=8, signal=int(number))
    assert names(trainer.folder.checkpoints) == ["000000000016.pt"]
    assert names(trainer.folder.snapshots) == ["latest.safetensors"], (
        "leaving is quick, and can be drawn from"
    )
    assert load_generator(trainer.folder.path).trained_stage == Stage(8)
    again = make(resume=True)
    assert again.state.nimg == 16
    assert again.run() == Outcome(reason="finished", nimg=32, resolution=16)
    ours, theirs = again.state.state_dict(), whole.state.state_dict()
    for part in ("generator", "discriminator", "average"):
        assert all(torch.equal(ours[part][name], theirs[part][name]) for name in ours[part])


def test_a_signal_during_the_last_step_does_not_make_a_finished_run_unfinished(make: Make) -> None:
    trainer = make()
    after(trainer, 4, lambda: trainer.stop(signal.SIGTERM, None))
    assert trainer.run() == Outcome(reason="finished", nimg=32, resolution=16)
    assert names(trainer.folder.snapshots)


def test_the_log_is_rewound_to_the_checkpoint(make: Make) -> None:
    trainer = make(interval=cadence(status_kimg=0.008))
    after(trainer, 2, lambda: trainer.stop(signal.SIGTERM, None))
    trainer.run()
    trainer.folder.log({"nimg": 24, "lost": True})
    again = make(resume=True, interval=cadence(status_kimg=0.008))
    assert [line["nimg"] for line in again.folder.history()] == [8, 16]
    again.run()
    assert [line["nimg"] for line in again.folder.history()] == [8, 16, 24, 32]


# Divergence


def broken(trainer: Trainer) -> Callable[[], object]:
    return lambda: trainer.state.nets.discriminator.score.bias.data.fill_(math.nan)


def test_a_loss_that_is_not_finite_ends_the_run_with_a_sentence(make: Make) -> None:
    trainer = make(interval=cadence(status_kimg=0.008, checkpoint_kimg=0.016), total_kimg=0.064)
    after(trainer, 3, broken(trainer))
    with pytest.raises(
        TrainingError,
        match=r"the loss is not finite at 0.0 kimg: .* --start-from .*run --optim.*-lr 0.00025",
    ):
        trainer.run()
    assert names(trainer.folder.checkpoints) == ["000000000016.pt"]
    assert _finite(trainer)


@pytest.mark.parametrize("checkpoint_kimg", [0.008, 0.016])
def test_diverged_weights_never_become_a_checkpoint(make: Make, checkpoint_kimg: float) -> None:
    # Without ticks nobody looks at the loss, and a penalty can spoil the weights under a finite loss.
    trainer = make(interval=cadence(checkpoint_kimg=checkpoint_kimg), total_kimg=0.064)
    after(trainer, 3, broken(trainer))
    with pytest.raises(TrainingError, match="the weights are not finite"):
        trainer.run()
    assert names(trainer.folder.checkpoints)
    assert _finite(trainer)


def _finite(trainer: Trainer) -> bool:
    """Whether all checkpoints hold finite weights only."""
    states = [load_checkpoint(path) for path in checkpoints(trainer.folder.checkpoints)]
    tensors: list[Tensor] = [
        t for s in states for part in ("generator", "discriminator") for t in s[part].values()
    ]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


# State


def test_the_state_put_into_another_trainer_makes_it_the_same(make: Make, tmp_path: Path) -> None:
    trainer, other = make(out=tmp_path / "a"), make(out=tmp_path / "b", seed=3)
    trainer.run()
    other.state.load_state_dict(trainer.state.state_dict())
    assert (other.state.nimg, other.state.seconds) == (32, trainer.state.seconds)
    ours, theirs = trainer.state.state_dict(), other.state.state_dict()
    for part in ("generator", "discriminator", "average"):
        assert all(torch.equal(ours[part][name], theirs[part][name]) for name in ours[part])
    for part in ("generator_optimizer", "discriminator_optimizer"):
        for key, values in ours[part]["state"].items():
            assert all(torch.equal(value, theirs[part]["state"][key][name]) for name, value in values.items())
