"""The networks of a run, their optimizers and their moving average."""

from contextlib import suppress

import pytest
import torch
from torch import nn

from brushwork.training.config import EMAConfig, OptimizerConfig
from brushwork.training.state import averaged_copy, build_optimizers, frozen, update_average
from brushwork.training.step import Networks


def test_optimizers_are_adams_without_momentum(nets: Networks) -> None:
    optimizers = build_optimizers(nets, OptimizerConfig(generator_lr=0.25))
    for optimizer, rate in ((optimizers.generator, 0.25), (optimizers.discriminator, 0.001)):
        assert (optimizer.defaults["betas"], optimizer.defaults["lr"]) == ((0.0, 0.99), rate)


def test_frozen_puts_back_what_it_found() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    network[0].requires_grad_(False)
    with suppress(KeyError), frozen(network):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        raise KeyError
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, False, True, True]


def constant(value: float) -> nn.Module:
    module = nn.Linear(2, 2)
    module.register_buffer("seen", torch.tensor(value))
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


@pytest.mark.parametrize("batch", [1, 250, 1000])
def test_after_the_half_life_an_old_weight_counts_half(batch: int) -> None:
    config = EMAConfig(half_life_kimg=1.0, rampup=0.0)
    average, module = constant(1.0), constant(0.0)
    for nimg in range(batch, 1001, batch):
        update_average(average, module, config.decay(nimg, batch))
    for parameter in average.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, 0.5), atol=1e-4)


def test_the_ramp_up_shortens_the_half_life_to_a_share_of_the_images_seen() -> None:
    config = EMAConfig(half_life_kimg=10.0, rampup=0.05)
    assert config.decay(2000, 100) == pytest.approx(0.5)  # 5 % of 2000 is 100
    assert config.decay(0, 100) == 0.0, "at first the average is the network"
    assert config.decay(10**6, 10_000) == pytest.approx(0.5), "in the end the half-life is the configured one"


def test_a_frozen_copy_averages_parameters_and_takes_over_buffers() -> None:
    original = constant(1.0).train()
    average = averaged_copy(original)
    assert not average.training
    assert not any(p.requires_grad for p in average.parameters())
    update_average(average, constant(3.0), 0.75)
    assert all(torch.allclose(p, torch.full_like(p, 1.5)) for p in average.parameters())
    assert [float(buffer) for buffer in average.buffers()] == [3.0]
    assert original.training
    assert all(p.requires_grad and torch.equal(p, torch.ones_like(p)) for p in original.parameters())
