"""Instance norm, AdaIN and weight modulation against plain operations, and statistics shared by tiles."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from brushwork.models import modulation
from brushwork.models.layers import Resample, convolve
from brushwork.models.modulation import StyledEpilogue, adain
from brushwork.models.norm import InstanceNorm, SharedStatistics

FORMS = (torch.channels_last, torch.contiguous_format)


def plain_norm(x: Tensor, eps: float = 1e-5, correction: int = 1) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=correction, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", [2, 9])
def test_values_and_gradients_of_the_norm(form: torch.memory_format, side: int) -> None:
    x = (torch.randn(3, 4, side, side) * 3 + 5).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn_like(x)
    ours, theirs = InstanceNorm()(x), plain_norm(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    slopes = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)
    assert InstanceNorm()(x[:, :, :1, :1]).abs().max() < 1e-3, "a single position"
    low = (x + 20).detach().bfloat16().requires_grad_()
    y = InstanceNorm()(low)
    torch.testing.assert_close(y, plain_norm(low.float()).bfloat16(), rtol=0.01, atol=0.01)
    assert torch.autograd.grad(y.float().square().mean(), low)[0].dtype == torch.bfloat16


@pytest.mark.parametrize("eps", [1e-5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adain_scales_and_shifts_the_norm_of_channels_weak_and_far_from_zero(
    dtype: torch.dtype, eps: float
) -> None:
    scale, shift = torch.rand(3, 4) + 0.5, torch.randn(3, 4)
    factors, offsets = torch.tensor([1e-2, 1.0, 1e2, 1.0]), torch.tensor([0, 30.0, -3.0, 0])
    x = (torch.randn(3, 4, 16, 16) * factors[:, None, None] + offsets[:, None, None]).to(dtype)
    y, places = adain(x, scale, shift, eps), (..., None, None)
    expected = plain_norm(x.double(), eps, correction=0) * scale[places] + shift[places]
    assert y.dtype == dtype
    assert torch.allclose(y.double(), expected, atol=0.05 if dtype == torch.bfloat16 else 0.02)
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
    scale, offset = (w @ layer.adain.affine.weight.T / 8**0.5).chunk(2, dim=1)
    expected = plain(x, layer.bias.bias, noise, layer.noise.strength, 1 + scale, offset)
    assert torch.allclose(layer(x, w, lambda shape: noise), expected, atol=1e-5)


Inputs = list[Any]


def inputs(side: int = 6, kind: torch.dtype = torch.float64, eps: float = 1e-5, noisy: bool = True) -> Inputs:
    """x, bias, noise, strength, scale, shift, of 3 images and 4 channels, and eps."""
    sizes = [(3, 4, side - 1, side), (4,), (3, 1, side - 1, side), (4,), (3, 4), (3, 4)]
    x, bias, noise, *rest = (torch.randn(size, dtype=kind, requires_grad=True) for size in sizes)
    x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    return [x, bias, noise if noisy else None, *rest, eps]


def plain(x: Tensor, bias: Tensor, noise: Tensor | None, strength: Tensor, *style: Any) -> Tensor:
    x = x if noise is None else x + noise * strength[:, None, None]
    return adain(F.leaky_relu(x + bias[:, None, None], 0.2), *style)


def ours(x: Tensor, bias: Tensor, noise: Tensor | None, strength: Tensor, *style: Any) -> Tensor:
    """Call `inject`, which overwrites x, on a copy."""
    return modulation.inject(x.clone(), *modulation.noise_and_bias(x, noise, strength, bias), *style)


def gradients(function: Callable[..., Tensor], values: Inputs, weight: Tensor) -> list[Tensor]:
    inputs = [value for value in values if isinstance(value, Tensor) and value.requires_grad]
    result = (function(*values) * weight).sum()
    return list(torch.autograd.grad(result, inputs, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("eps", [1e-5, 1.0])
@pytest.mark.parametrize("noisy", [True, False])
def test_values_and_gradients_of_the_injection(noisy: bool, eps: float) -> None:
    assert torch.autograd.gradcheck(ours, tuple(inputs(eps=eps, noisy=noisy)))
    for form in FORMS:
        x, *rest = inputs(16, torch.float32, eps, noisy)
        values = [x.detach().contiguous(memory_format=form).requires_grad_(), *rest]
        weight = torch.randn_like(x)
        torch.testing.assert_close(ours(*values), plain(*values), rtol=1e-5, atol=1e-5)
        found, expected = (gradients(function, values, weight) for function in (ours, plain))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_injection_keeps_low_precision_and_overwrites_the_features_alone() -> None:
    x, bias, noise, *style, eps = inputs(32, torch.float32)
    before = [value.detach().clone() for value in (x, bias, noise, *style)]
    low, full = ours(x.bfloat16(), bias, noise.bfloat16(), *style, eps), ours(x, bias, noise, *style, eps)
    assert low.dtype == torch.bfloat16
    assert (low.float() - full).abs().mean() < 0.01 * full.std()
    full.sum().backward()
    assert all(torch.equal(*pair) for pair in zip((x, bias, noise, *style), before, strict=True))


@pytest.mark.parametrize("function", [InstanceNorm(), lambda x: ours(x, *inputs()[1:])])
def test_a_second_derivative_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    x = inputs()[0]
    (first,) = torch.autograd.grad((function(x) ** 3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()


@torch.no_grad()
def test_tiles_with_shared_statistics_are_the_whole_image_piece_by_piece() -> None:
    levels, contrasts = torch.tensor([0.0, 2.0, -1.0, 5.0]), torch.tensor([0.01, 1.0, 3.0, 0.5])
    tiles = torch.randn(4, 3, 32, 32) * contrasts[:, None, None, None] + levels[:, None, None, None]
    norm, epilogue, w = InstanceNorm(), StyledEpilogue(3, 8), torch.randn(1, 8)
    statistics = SharedStatistics()

    def both(x: Tensor, statistics: SharedStatistics | None = None) -> tuple[Tensor, Tensor]:
        """The epilogue overwrites its input."""
        copy = x.clone(memory_format=torch.channels_last)
        return norm(x, statistics), epilogue(copy, w.expand(len(x), -1), None, statistics)

    below = "n c h w -> 1 c (n h) w"
    first, whole = both(tiles, statistics), both(rearrange(tiles, below))
    later = both(tiles[2:3], statistics)
    for one, expected, again in zip(first, whole, later, strict=True):
        torch.testing.assert_close(rearrange(one, below), expected, rtol=1e-3, atol=2e-3)
        torch.testing.assert_close(again, one[2:3])
    torch.testing.assert_close(both(tiles[:1], SharedStatistics()), both(tiles[:1]))


@pytest.mark.parametrize("resample", get_args(Resample))
def test_modulated_conv_equals_one_convolution_per_image(resample: Resample) -> None:
    sizes = (3, 4, 8, 8), (5, 4, 3, 3), (3, 4)
    x, weight, style = (torch.randn(size, dtype=torch.float64) for size in sizes)
    found = modulation.modulated_conv(x, weight, style, resample=resample)
    for image, own, result in zip(x, style, found, strict=True):
        modulated = weight * own[:, None, None]
        modulated = modulated / (modulated.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert torch.allclose(result, convolve(image[None], modulated, resample)[0])


@pytest.mark.parametrize("kind", get_args(modulation.Modulation))
@pytest.mark.parametrize("up", [False, True])
def test_both_kinds_map_features_and_codes_to_features(kind: modulation.Modulation, up: bool) -> None:
    layer = modulation.STYLE_INJECTION[kind](4, 6, 8, up=up)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    y = layer(x, w, lambda shape: torch.randn(2, *shape))
    assert y.shape == ((2, 6, 16, 16) if up else (2, 6, 8, 8))
    assert not torch.allclose(y, layer(x, torch.randn(2, 8), None), atol=1e-3), "the layer depends on w"
    assert torch.allclose(layer(x, w, None)[1:], layer(x[1:], w[1:], None), atol=1e-5), "rows are independent"
