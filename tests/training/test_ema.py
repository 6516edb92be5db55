import pytest
import torch
from torch import nn

from brushwork.training.ema import EMAConfig, averaged_copy, update_average


def constant(value: float) -> nn.Module:
    module = nn.Linear(2, 2)
    module.register_buffer("seen", torch.tensor(value))
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


@pytest.mark.parametrize("batch", [1, 8, 250, 1000])
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
    decays = [config.decay(nimg, 8) for nimg in range(0, 300_000, 8000)]
    assert decays == sorted(decays)


def test_parameters_are_averaged_and_buffers_taken_over() -> None:
    average, module = constant(1.0), constant(3.0)
    update_average(average, module, 0.75)
    assert all(torch.allclose(p, torch.full_like(p, 1.5)) for p in average.parameters())
    assert [float(buffer) for buffer in average.buffers()] == [3.0]


def test_the_copy_is_frozen_equal_and_apart() -> None:
    module = constant(2.0).train()
    copy = averaged_copy(module)
    assert not copy.training
    assert not any(p.requires_grad for p in copy.parameters())
    update_average(copy, constant(0.0), 0.5)
    assert module.training
    assert all(torch.equal(p, torch.full_like(p, 2.0)) for p in module.parameters())
    assert all(p.requires_grad for p in module.parameters())
