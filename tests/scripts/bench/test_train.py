"""Training steps on noise, and averages of their times."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from brushwork.scripts.bench import profiler
from brushwork.scripts.bench.profiler import flops_of
from brushwork.scripts.bench.train import NoiseRun, Throughput, beside_stylegan2, measure, measure_all
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import RestyleConfig
from brushwork.training.schedules import GrowingConfig

MakeConfig = Callable[..., TrainConfig]

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
    assert replace(RESULT, parts={}).breakdown() == {}
    steps = {"sampling": (2.0, 2.0, 2.0), "autoencoding": (1.0,) * 3}
    unpunished = replace(RESULT, steps=steps).breakdown()  # R1's weight may be 0
    assert unpunished == pytest.approx({"data": 0.25, "rest": 0.75, "penalty": 0})


def test_a_step_trains_all_networks_and_the_penalty_is_more_work(make_config: MakeConfig) -> None:
    run = NoiseRun(make_config(), 16)
    networks = (run.state.nets.generator, run.state.nets.discriminator, run.state.average)
    before = [[*map(torch.clone, network.parameters())] for network in networks]
    plain = flops_of(lambda: run.step("sampling"))
    for network, old in zip(networks, before, strict=True):
        assert not all(map(torch.equal, network.parameters(), old))
    assert flops_of(lambda: run.step("sampling", penalty=True)) > 1.1 * plain


def restyling(make_config: MakeConfig, restyle: RestyleConfig) -> TrainConfig:
    """A run that does not grow and has encoders."""
    generator = replace(make_config().generator, encoders=True, content_resolution=8)
    growing = GrowingConfig(start_resolution=16)
    return make_config(generator=generator, growing=growing, restyle=restyle)


def test_measuring_takes_every_regime_that_the_run_has(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler, "CONVOLUTIONS", ((8, 4),))
    shares = RestyleConfig(sampling=1.0, restyling=1.0, autoencoding=2.0)
    found = measure(restyling(make_config, shares), 16, 2)
    regimes = ["sampling", "sampling, penalty", "restyling", "restyling, penalty", "autoencoding"]
    assert list(found.steps) == regimes
    assert all(len(rounds) == 2 for rounds in found.steps.values())
    for part in ("mapping forward", "synthesis forward", "synthesis backward", "discriminator backward",
                 "data", "optimizer (D)", "optimizer (G)", "average"):  # fmt: skip
        assert found.parts[part] > 0
    assert 0 < found.before <= found.peak
    assert found.convolution > 0


def test_regularisation_of_stylegan2_counts_as_often_as_it_comes() -> None:
    """R1 every 4th step here, path length every 4th as published."""
    seconds = {"StyleGAN2": 4.0, "StyleGAN2, penalty": 8.0, "StyleGAN2, path length": 12.0}
    result = replace(RESULT, steps={**RESULT.steps, **{name: (one,) * 3 for name, one in seconds.items()}})
    found = beside_stylegan2([result])
    ours, plain, path = 0.75 * 2 + 0.25 * 6, 4 + 4 / 4, 4 + 4 / 4 + 8 / 4  # of sampling steps alone
    rates = (f"{4 / ours:.1f}", f"{4 / plain:.1f}", f"{plain / ours:.2f}", f"{4 / path:.1f}")
    assert found.rows == [("16 px", *rates, f"{path / ours:.2f}")]
    assert found.data["16"] == pytest.approx({"times": plain / ours, "times_with_path_length": path / ours})


def test_stylegan2_is_for_processors_and_sampling(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(TrainingError, match=r"--device cpu"):
        measure_all(make_config(device="auto"), 2, True)
    with pytest.raises(TrainingError, match="compares sampling steps"):
        measure_all(restyling(make_config, RestyleConfig(sampling=0.0, restyling=1.0)), 2, True)
