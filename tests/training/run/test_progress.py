import math

import pytest
import torch

from brushwork.models.stage import Stage
from brushwork.training.adversarial import DiscriminatorStats
from brushwork.training.run import progress as progress
from brushwork.training.run.progress import NAMES, StepMeter, clock, status_line
from brushwork.training.step import GeneratorStats
from brushwork.training.update import StepStats


def discriminator(loss: float, penalty: float | None = None) -> DiscriminatorStats:
    values = (torch.tensor(value) for value in (loss, 1.0, -1.0, 0.5))
    real = dict(zip(("loss", "real_logit", "fake_logit", "real_sign"), values, strict=True))
    return DiscriminatorStats(**real, penalties={} if penalty is None else {"r1": torch.tensor(penalty)})


def generator(loss: float) -> GeneratorStats:
    return GeneratorStats(loss=torch.tensor(loss), w_sums=torch.zeros(2, 2))


def step(loss: float, penalty: float | None = None, *, generator_loss: float = 1.0) -> StepStats:
    return StepStats(discriminator=discriminator(loss, penalty), generator=generator(generator_loss))


def means(meter: StepMeter) -> dict[str, float]:
    return dict(zip(NAMES, meter.means().tolist(), strict=True))


def test_means_are_over_the_steps_that_saw_each_value() -> None:
    meter = StepMeter(torch.device("cpu"))
    for loss, penalty in ((1.0, 6.0), (2.0, None), (6.0, None)):
        meter.add(step(loss, penalty, generator_loss=loss / 2), 8, 16)
    seen = means(meter)
    assert (seen["loss_d"], seen["loss_g"], seen["r1"], seen["real_sign"]) == (3.0, 1.5, 6.0, 0.5)
    assert meter.images == 24


def test_the_resolution_of_a_rate_is_known_where_there_was_one() -> None:
    meter = StepMeter(torch.device("cpu"))
    assert not meter.is_at(16)
    meter.add(step(1.0, generator_loss=1.0), 8, 16)
    assert meter.is_at(16)
    meter.add(step(1.0, generator_loss=1.0), 8, 32)
    assert not meter.is_at(16)
    assert not meter.is_at(32)
    meter.restart()
    meter.add(step(1.0, generator_loss=1.0), 8, 32)
    assert meter.is_at(32)


def test_what_was_not_seen_is_nan() -> None:
    meter = StepMeter(torch.device("cpu"))
    assert all(math.isnan(value) for value in means(meter).values())
    meter.add(step(1.0, generator_loss=1.0), 8, 16)
    assert math.isnan(means(meter)["r1"])


def test_a_loss_that_is_not_finite_shows_in_the_mean() -> None:
    meter = StepMeter(torch.device("cpu"))
    meter.add(step(math.nan, generator_loss=math.inf), 8, 16)
    meter.add(step(1.0, generator_loss=1.0), 8, 16)
    assert not math.isfinite(means(meter)["loss_d"])
    assert not math.isfinite(means(meter)["loss_g"])


def test_the_rate_counts_from_the_last_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    meter = StepMeter(torch.device("cpu"))
    meter.restart()
    meter.add(step(1.0, generator_loss=1.0), 30, 16)
    now += 2.0
    assert meter.rate() == 15.0
    meter.restart()
    now += 1.0
    assert (meter.rate(), meter.images) == (0.0, 0)
    assert all(math.isnan(value) for value in means(meter).values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (75, "1:15"), (599.9, "9:59"), (4000, "1:06:40"), (360_000, "100:00:00"), (math.inf, "-"),
     (math.nan, "-")],
)  # fmt: skip
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(float(seconds)) == text


def test_the_line_says_where_the_run_stands() -> None:
    values = {
        "nimg": 12_400,
        "img_per_s": 99.6,
        "loss_d": 1.5,
        "loss_g": 0.25,
        "real_sign": -0.5,
        "r1": 0.125,
    }
    line = status_line(values, Stage(32, 0.5), left=75.0)
    assert "12.4 kimg | 32 px fading in  50% | 100 img/s | 1:15 left" in line
    assert "loss D 1.500 G 0.250 | sign of real logits -0.50 | R1 0.125" in line
    steady = status_line({k: v for k, v in values.items() if k != "r1"}, Stage(32), left=math.inf)
    assert "32 px | " in steady
    assert "diversity" not in steady
    warned = status_line(values | {"pixel_diversity": 0.75}, Stage(32), left=1.0, warning="1 of 2 styles ...")
    assert warned.endswith("| diversity 0.75 | 1 of 2 styles ...")
    assert "R1" not in steady
