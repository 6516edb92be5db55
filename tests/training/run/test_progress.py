import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.dataset import ImageDataset
from brushwork.models.stage import Stage
from brushwork.training.adversarial import DiscriminatorStats
from brushwork.training.config import TrainConfig
from brushwork.training.run import progress
from brushwork.training.run.progress import StepMeter, balance, clock, status_line
from brushwork.training.step import GeneratorStats
from brushwork.training.trainer import Trainer
from brushwork.training.update import StepStats


def step(loss: float, *, generator_loss: float = 1.0, **penalties: float) -> StepStats:
    discriminator = DiscriminatorStats(
        loss=torch.tensor(loss), real_logit=torch.tensor(1.0), fake_logit=torch.tensor(-1.0),
        penalties={name: torch.tensor(each) for name, each in penalties.items()},
    )  # fmt: skip
    return StepStats(
        discriminator=discriminator, generator=GeneratorStats(loss=torch.tensor(generator_loss), w_sums=None)
    )


def test_means_are_over_the_steps_that_saw_each_value() -> None:
    meter = StepMeter(torch.device("cpu"))
    for loss, penalties in ((1.0, {"r1": 6.0}), (2.0, {}), (6.0, {})):
        meter.add(step(loss, generator_loss=loss / 2, **penalties), 8, 16)
    assert meter.means(lambda values: values) == {
        "loss_g": 1.5, "loss_d": 3.0, "r1": 6.0, "real_logit": 1.0, "fake_logit": -1.0
    }  # fmt: skip
    assert meter.means(lambda values: 2 * values)["loss_d"] == 6.0, "averaged over processes"
    assert meter.images == 24
    meter.add(step(math.nan, generator_loss=math.inf), 8, 16)
    seen = meter.means(lambda values: values)
    assert not math.isfinite(seen["loss_d"])
    assert not math.isfinite(seen["loss_g"])


def test_the_rate_counts_from_the_last_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    meter = StepMeter(torch.device("cpu"))
    meter.restart()
    assert not meter.is_at(16)
    meter.add(step(1.0), 30, 16)
    now += 2.0
    assert (meter.rate(), meter.is_at(16)) == (15.0, True)
    meter.add(step(1.0), 8, 32)
    assert not meter.is_at(16)
    assert not meter.is_at(32)
    meter.restart()
    now += 1.0
    assert (meter.rate(), meter.images) == (0.0, 0)
    meter.add(step(1.0), 8, 32)
    assert meter.is_at(32)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (75, "1:15"), (599.9, "9:59"), (4000, "1:06:40"), (360_000, "100:00:00"), (math.inf, "-"),
     (math.nan, "-")],
)  # fmt: skip
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(float(seconds)) == text


def test_the_line_says_where_the_run_stands() -> None:
    values = {
        "nimg": 12_400, "img_per_s": 99.6, "loss_d": 1.5, "loss_g": 0.25, "overfitting": 0.5, "r1": 0.125
    }  # fmt: skip
    line = status_line(values, Stage(32, 0.5), left=75.0)
    assert "12.4 kimg | 32 px fading in  50% | 100 img/s | 1:15 left" in line
    assert "loss D 1.500 G 0.250 | overfitting 0.50 | R1 0.125" in line
    steady = status_line({k: v for k, v in values.items() if k != "r1"}, Stage(32), left=math.inf)
    assert "32 px | " in steady
    assert "diversity" not in steady
    warned = status_line(values | {"pixel_diversity": 0.75}, Stage(32), left=1.0, warning="1 of 2 styles ...")
    assert warned.endswith("| diversity 0.75 | 1 of 2 styles ...")
    assert "R1" not in steady
    assert status_line(values | {"nimg": 32}, Stage(32), left=1.0).startswith("    32 images | 32 px"), (
        "not 0.0"
    )


def test_a_run_says_on_which_machine_images_and_schedule_it_trains(
    make_config: Callable[..., TrainConfig], pictures: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(make_config(), pictures).run()
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == f"cpu, 1 process of 1 thread, fp32 | {len(pictures)} images, 3 styles of 8"
    assert second == "plan: 8 px, 16 px from 0.016 to 0.032 kimg"
    source = make_config(out=Path("other"), start_from=make_config().out)
    config = replace(source, out=make_config().out.with_name("from"), max_minutes=3.0, total_kimg=0.016)
    Trainer(config, pictures).run()
    taken, _, plan = capsys.readouterr().out.splitlines()[:3]
    assert taken.startswith(f"weights of {source.start_from} at 16 px: generator, average and discriminator")
    assert "0.0 of 3 minutes are used" in plan


def test_balance_names_what_has_no_label() -> None:
    assert balance(6, [3, 1]) == "6 images, 2 styles of 1 to 3, 2 without a label"
    assert balance(4000, []) == "4,000 images"
    assert balance(5, [5]) == "5 images, 1 style of 5"
