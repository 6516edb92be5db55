"""AdaIN and weight modulation: their definitions, and the layers with either."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.models.layers import Resample, convolve
from brushwork.models.modulation import STYLE_INJECTION, Modulation, StyledEpilogue, adain, modulated_conv


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)


# AdaIN
def test_adain_gives_each_channel_the_scale_and_shift() -> None:
    scale, shift = torch.rand(3, 4) + 0.5, torch.randn(3, 4)
    mean, std = moments(adain(torch.randn(3, 4, 16, 16) * 7 - 3, scale, shift))
    assert torch.allclose(mean, shift, atol=1e-5)
    assert torch.allclose(std, scale, rtol=1e-4)


def test_adain_leaves_a_channel_weak_whose_deviation_is_far_below_the_root_of_eps() -> None:
    x = torch.randn(3, 4, 16, 16)
    x[:, 0] *= 1e-2
    x[:, 1] *= 1e2
    deviations = moments(adain(x, torch.ones(3, 4), torch.zeros(3, 4), eps=1.0))[1]
    assert torch.allclose(deviations[:, 0], moments(x)[1][:, 0], rtol=1e-3)
    assert torch.allclose(deviations[:, 1], torch.ones(3), rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mean_far_from_zero_does_not_drown_the_norm(dtype: torch.dtype) -> None:
    # Statistics in bf16 would; so would a variance from squares in float32 at a far larger ratio.
    x = (torch.randn(2, 3, 16, 16) + 30).to(dtype)
    mean, std = moments(x.double())
    exact = (x.double() - mean[..., None, None]) / std[..., None, None]
    y = adain(x, torch.ones(2, 3), torch.zeros(2, 3))
    assert y.dtype == dtype
    assert torch.allclose(y.double(), exact, atol=0.05 if dtype == torch.bfloat16 else 0.01)
    constant = torch.full((2, 3, 4, 4), 3.0, dtype=dtype, requires_grad=True)
    y = adain(constant, torch.ones(2, 3), torch.zeros(2, 3))
    (gradient,) = torch.autograd.grad(y.sum(), constant)
    assert y.abs().max() < 1e-2
    assert torch.isfinite(gradient).all()


def test_the_epilogue_is_noise_bias_leaky_adain_in_this_order() -> None:
    layer, x, w = StyledEpilogue(3, 8), torch.randn(2, 3, 4, 4), torch.randn(2, 8)
    torch.nn.init.normal_(layer.bias.bias)
    torch.nn.init.normal_(layer.noise.strength)
    noise = torch.randn(2, 1, 4, 4)
    shifted = x + noise * layer.noise.strength[:, None, None] + layer.bias.bias[:, None, None]
    scale, offset = (w @ layer.adain.affine.weight.T / 8**0.5).chunk(2, dim=1)
    expected = adain(F.leaky_relu(shifted, 0.2), 1 + scale, offset)
    assert torch.allclose(layer(x, w, lambda shape: noise), expected, atol=1e-5)


# Weight demodulation
@pytest.mark.parametrize("resample", get_args(Resample))
def test_modulated_conv_equals_one_convolution_per_image(resample: Resample) -> None:
    x, style = torch.randn(3, 4, 8, 8, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    weight = torch.randn(5, 4, 3, 3, dtype=torch.float64)
    expected = []
    for image, own in zip(x, style, strict=True):
        modulated = weight * own[:, None, None]
        modulated = modulated / (modulated.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(convolve(image[None], modulated, resample))
    assert torch.allclose(modulated_conv(x, weight, style, resample=resample), torch.cat(expected))


# The interface
@pytest.mark.parametrize("kind", get_args(Modulation))
@pytest.mark.parametrize("up", [False, True])
def test_both_kinds_map_features_and_codes_to_features(kind: Modulation, up: bool) -> None:
    layer, x, w = STYLE_INJECTION[kind](4, 6, 8, up=up), torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    y = layer(x, w, lambda shape: torch.randn(2, *shape))
    assert y.shape == ((2, 6, 16, 16) if up else (2, 6, 8, 8))
    assert not torch.allclose(y, layer(x, torch.randn(2, 8), None), atol=1e-3), "the layer depends on w"
    assert torch.allclose(layer(x, w, None)[1:], layer(x[1:], w[1:], None), atol=1e-5), "rows are independent"
