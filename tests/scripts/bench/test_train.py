"""Training steps on noise, and averages of their times."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from brushwork.scripts.bench import profiler
from brushwork.scripts.bench.profiler import flops_of
from brushwork.scripts.bench.train import NoiseRun, Throughput, beside_stylegan2, measure, measure_all
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import RestyleConfig
from brushwork.training.schedules import GrowingConfig


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "CONVOLUTIONS", ((8, 4),))


RESULT = Throughput(
    resolution=16, batch=4, precision="fp32",
    steps={"sampling": (1.0, 2.0, 3.0), "sampling, penalty": (6.0, 6.0, 6.0), "autoencoding": (1.0,) * 3},
    flops={"sampling": 80, "sampling, penalty": 160, "autoencoding": 40},
    shares={"sampling": 0.75, "autoencoding": 0.25}, r1_interval=4,
    parts={"data": 1.0, "rest": 3.0}, convolution=100.0, before=1.0, peak=2.0,
)  # fmt: skip


def test_penalties_and_regimes_count_as_often_as_they_come() -> None:
    assert RESULT.seconds == pytest.approx(0.75 * (0.75 * 2 + 0.25 * 6) + 0.25 * 1)
    assert RESULT.gflops * 1e9 == pytest.approx((0.75 * (0.75 * 80 + 0.25 * 160) + 0.25 * 40) / 4)
    assert RESULT.rate == pytest.approx(4 / RESULT.seconds)
    assert RESULT.utilisation == pytest.approx(RESULT.gflops * 1e9 * RESULT.rate / 100)
    assert RESULT.spread == pytest.approx(0.5)


def test_the_parts_add_up_to_the_step() -> None:
    """2 s, a quarter data, and the penalty's 4 s in every fourth."""
    assert RESULT.breakdown() == pytest.approx({"data": 0.5 / 3, "rest": 1.5 / 3, "penalty": 1 / 3})
    assert sum(RESULT.breakdown().values()) == pytest.approx(1)
    assert replace(RESULT, parts={}).breakdown() == {}
    steps = {"sampling": (2.0, 2.0, 2.0), "autoencoding": (1.0,) * 3}
    unpunished = replace(RESULT, steps=steps).breakdown()  # R1's weight may be 0
    assert unpunished == pytest.approx({"data": 0.25, "rest": 0.75, "penalty": 0})


def test_a_step_trains_all_networks_and_the_penalty_is_more_work(
    make_config: Callable[..., TrainConfig],
) -> None:
    run = NoiseRun(make_config(), 16)
    networks = nn.ModuleList([run.state.nets.generator, run.state.nets.discriminator, run.state.average])
    before = copy.deepcopy(networks)
    run.step("sampling")
    for network, old in zip(networks, before, strict=True):
        pairs = zip(network.parameters(), old.parameters(), strict=True)
        assert any(not torch.equal(parameter, same) for parameter, same in pairs)
    plain = flops_of(lambda: run.step("sampling"))
    assert flops_of(lambda: run.step("sampling", penalty=True)) > 1.1 * plain


def test_measuring_takes_every_regime_that_the_run_has(make_config: Callable[..., TrainConfig]) -> None:
    plain = make_config()
    config = make_config(
        generator=replace(plain.generator, encoders=True, content_resolution=8),
        growing=GrowingConfig(start_resolution=16),
        restyle=RestyleConfig(sampling=1.0, restyling=1.0, autoencoding=2.0),
    )
    found = measure(config, 16, 2)
    assert list(found.steps) == [
        "sampling", "sampling, penalty", "restyling", "restyling, penalty", "autoencoding"
    ]  # fmt: skip
    assert all(len(rounds) == 2 for rounds in found.steps.values())
    for part in ("mapping forward", "synthesis forward", "synthesis backward", "discriminator backward",
                 "data", "optimizer (D)", "optimizer (G)", "average"):  # fmt: skip
        assert found.parts[part] > 0
    assert 0 < found.before <= found.peak
    assert found.convolution > 0


# Beside StyleGAN2
THEIRS = {
    "StyleGAN2": (4.0, 4.0, 4.0),
    "StyleGAN2, penalty": (8.0, 8.0, 8.0),
    "StyleGAN2, path length": (12.0, 12.0, 12.0),
}


def test_regularisation_of_stylegan2_counts_as_often_as_it_comes() -> None:
    """R1 every 4th step here, path length every 4th as published."""
    result = replace(RESULT, steps={**RESULT.steps, **THEIRS})
    assert result.stylegan2_seconds(path=False) == pytest.approx(4 + 4 / 4)
    assert result.stylegan2_seconds(path=True) == pytest.approx(4 + 4 / 4 + 8 / 4)
    found = beside_stylegan2([result])
    (row,) = found.rows
    ours = 0.75 * 2 + 0.25 * 6  # of sampling steps alone
    assert row == (
        "16 px", f"{4 / ours:.1f}", f"{4 / 5:.1f}", f"{5 / ours:.2f}", f"{4 / 7:.1f}", f"{7 / ours:.2f}"
    )  # fmt: skip
    assert found.data["16"]["times"] == pytest.approx(5 / ours)


def test_stylegan2_is_for_processors_and_sampling(
    make_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match=r"--device cpu"):
        measure_all(make_config(device="auto"), 2, True)
    generator = replace(make_config().generator, encoders=True, content_resolution=8)
    restyling = make_config(generator=generator, restyle=RestyleConfig(sampling=0.0, restyling=1.0))
    with pytest.raises(TrainingError, match="compares sampling steps"):
        measure_all(restyling, 2, True)
