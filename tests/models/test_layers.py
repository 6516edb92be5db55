from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.models.layers import (
    Bias,
    EqualConv2d,
    EqualLinear,
    NoiseInjection,
    Resample,
    convolve,
    downsample2x,
    group_size,
    minibatch_std,
    pixel_norm,
    upsample2x,
)


def binomial(x: Tensor) -> Tensor:
    """StyleGAN's blur: [1, 2, 1] / 4 in both directions."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype)
    return F.conv2d(x, (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


@pytest.mark.parametrize("size", [(4, 4), (8, 6)])
def test_resampling_convolutions_are_stylegans_except_at_the_border(size: tuple[int, int]) -> None:
    # On a wide black frame, so that the border, where they differ, is far.
    x, weight = F.pad(torch.randn(2, 3, *size).double(), [4] * 4), torch.randn(5, 3, 3, 3).double()
    expected = binomial(F.conv2d(upsample2x(x), weight, padding=1))
    assert torch.allclose(convolve(x, weight, "up"), expected)
    expected = downsample2x(F.conv2d(binomial(x), weight, padding=1))
    assert torch.allclose(convolve(x, weight, "down"), expected)


@pytest.mark.parametrize("resample", get_args(Resample))
def test_convolutions_have_a_scale_and_a_bias(resample: Resample) -> None:
    layer, bias, x = EqualConv2d(4, 5, 3, gain=3.0, resample=resample), Bias(5), torch.randn(2, 4, 8, 8)
    torch.nn.init.normal_(bias.bias)
    with torch.inference_mode():  # a kernel that is kept from here must still serve training
        convolve(x, layer.weight * 0.5, resample)
    plain = convolve(x, layer.weight * 0.5, resample)  # gain / sqrt(fan-in)
    plain.sum().backward()
    assert layer.weight.grad is not None
    assert torch.allclose(layer(x), plain, atol=1e-5)
    assert torch.allclose(layer(x, bias), bias(plain), atol=1e-5)


def test_minibatch_std_is_the_deviation_within_each_group() -> None:
    x = torch.randn(6, 5, 4, 4)
    deviations = x.numpy().reshape(2, 3, 5, 4, 4).std(axis=1)
    each = minibatch_std(x, 3)
    assert torch.equal(each[:, :5], x)
    assert np.allclose(each[:, 5:].numpy(), deviations.repeat(3, axis=0), atol=1e-5), "one a feature"
    average = minibatch_std(x, 3, average=True)
    assert torch.equal(average[:, :5], x)
    expected = deviations.mean(axis=(1, 2, 3)).repeat(3)[:, None, None]
    assert np.allclose(average[:, 5].numpy(), expected, atol=1e-5), "one a group"
    assert torch.equal(minibatch_std(x, 4), each), "the largest divisor"
    assert [group_size(*pair) for pair in ((6, 4), (5, 4), (2, 4), (8, 4))] == [3, 1, 2, 4]


def test_layers_keep_the_variance_of_their_input() -> None:
    codes = pixel_norm(torch.randn(4, 32) * torch.tensor([[1e-2], [1], [1], [1e3]]))
    assert torch.allclose(codes.square().mean(dim=1), torch.ones(4), atol=1e-3)
    assert torch.isfinite(pixel_norm(torch.zeros(1, 4))).all()
    assert abs(EqualLinear(512, 256)(torch.randn(64, 512)).std() - 1) < 0.05
    inside = EqualConv2d(64, 64, 3, gain=1.0)(torch.randn(4, 64, 16, 16))[..., 1:-1, 1:-1]
    assert abs(inside.std() - 1) < 0.05


@pytest.mark.parametrize("multiplier", [1.0, 0.5, 0.01])
def test_an_adam_step_moves_the_effective_weight_by_lr_times_scale(multiplier: float) -> None:
    layer = EqualLinear(16, 4, gain=2**0.5, lr_multiplier=multiplier, bias=1.0)
    x = torch.eye(17)[:, :16]  # the rows of the weight, and the bias alone

    def effective() -> Tensor:
        y = layer(x).detach()
        return torch.cat([y[:16] - y[16], y[16:]])

    before, scale = effective(), 2**0.5 / 4 * multiplier
    assert torch.allclose(before[16], torch.ones(4)), "the start of the bias does not depend on the rate"
    (layer(torch.randn(3, 16)) * torch.randn(3, 4)).sum().backward()
    torch.optim.Adam(layer.parameters(), lr=0.1, betas=(0.0, 0.99)).step()
    steps = torch.tensor([[0.1 * scale]] * 16 + [[0.1 * multiplier]]).expand(-1, 4)
    assert torch.allclose((effective() - before).abs(), steps, rtol=1e-2)


def test_noise_is_off_at_first_and_one_map_serves_all_channels() -> None:
    layer, x = NoiseInjection(3), torch.zeros(2, 3, 4, 4)
    noise = torch.randn(2, 1, 4, 4)
    assert torch.equal(layer(x, lambda shape: noise), x)
    with torch.no_grad():
        layer.strength.copy_(torch.tensor([0.0, 1.0, -2.0]))
    assert torch.equal(layer(x, lambda shape: noise), torch.cat([0 * noise, noise, -2 * noise], dim=1))
    assert torch.equal(layer(x, None), x), "no source, no noise"
