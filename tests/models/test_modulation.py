"""Instance norm, AdaIN and weight modulation against plain operations, and statistics shared by tiles."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from brushwork.models.layers import Resample, convolve
from brushwork.models.modulation import (
    STYLE_INJECTION,
    Modulation,
    StyledEpilogue,
    adain,
    inject,
    modulated_conv,
    noise_and_bias,
)
from brushwork.models.norm import InstanceNorm, SharedStatistics

FORMS = (torch.channels_last, torch.contiguous_format)


def plain_norm(x: Tensor, eps: float = 1e-5, correction: int = 1) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=correction, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


# Instance norm
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", [2, 9])
def test_values_and_gradients_of_the_norm(form: torch.memory_format, side: int) -> None:
    x = (torch.randn(3, 4, side, side) * 3 + 5).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn_like(x)
    ours, theirs = InstanceNorm()(x), plain_norm(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
    assert InstanceNorm()(x[:, :, :1, :1]).abs().max() < 1e-3, "a single position"
    low = (x + 20).detach().bfloat16().requires_grad_()
    y = InstanceNorm()(low)
    torch.testing.assert_close(y, plain_norm(low.float()).bfloat16(), rtol=0.01, atol=0.01)
    assert torch.autograd.grad(y.float().square().mean(), low)[0].dtype == torch.bfloat16


# AdaIN
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


# Injection
Inputs = list[Any]


def inputs(
    *, noise: bool = True, dtype: torch.dtype = torch.float64, side: int = 6, eps: float = 1e-5
) -> Inputs:
    """x, bias, noise, strength, scale, shift, of 3 images and 4 channels, and eps."""

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, dtype=dtype).requires_grad_()

    x = torch.randn(3, 4, side - 1, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    maps = torch.randn(3, 1, side - 1, side, dtype=dtype) if noise else None
    return [x.requires_grad_(), normal(4), maps, normal(4), normal(3, 4), normal(3, 4), eps]


def plain(x: Tensor, bias: Tensor, noise: Tensor | None, strength: Tensor, *style: Any) -> Tensor:
    x = x if noise is None else x + noise * strength[:, None, None]
    return adain(F.leaky_relu(x + bias[:, None, None], 0.2), *style)


def ours(x: Tensor, bias: Tensor, noise: Tensor | None, strength: Tensor, *style: Any) -> Tensor:
    """Call `inject`, which overwrites x, on a copy."""
    return inject(x.clone(), *noise_and_bias(x, noise, strength, bias), *style)


def gradients(function: Callable[..., Tensor], values: Inputs, weight: Tensor) -> list[Tensor]:
    inputs = [value for value in values if isinstance(value, Tensor) and value.requires_grad]
    found = torch.autograd.grad((function(*values) * weight).sum(), inputs, allow_unused=True)
    return [torch.zeros(()) if one is None else one for one in found]


@pytest.mark.parametrize("eps", [1e-5, 1.0])
@pytest.mark.parametrize("noise", [True, False])
def test_values_and_gradients_of_the_injection(noise: bool, eps: float) -> None:
    assert torch.autograd.gradcheck(ours, tuple(inputs(noise=noise, eps=eps)))
    for form in FORMS:
        x, *rest = inputs(noise=noise, dtype=torch.float32, side=16, eps=eps)
        values = [x.detach().contiguous(memory_format=form).requires_grad_(), *rest]
        weight = torch.randn_like(x)
        torch.testing.assert_close(ours(*values), plain(*values), rtol=1e-5, atol=1e-5)
        pairs = zip(gradients(ours, values, weight), gradients(plain, values, weight), strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_injection_keeps_low_precision_and_overwrites_the_features_alone() -> None:
    x, bias, noise, *style, eps = inputs(dtype=torch.float32, side=32)
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


# Shared statistics
def as_one(tiles: Tensor) -> Tensor:
    """Tiles (n, c, h, w) one below the other: (1, c, n h, w)."""
    return rearrange(tiles, "n c h w -> 1 c (n h) w")


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

    first, whole, alone = both(tiles, statistics), both(as_one(tiles)), both(tiles)
    later = both(tiles[2:3], statistics)
    for one, expected, again, unshared in zip(first, whole, later, alone, strict=True):
        torch.testing.assert_close(as_one(one), expected, rtol=1e-3, atol=2e-3)
        torch.testing.assert_close(again, one[2:3])
        assert not torch.allclose(unshared, one, atol=0.1)
    for single, expected in zip(both(tiles[:1], SharedStatistics()), both(tiles[:1]), strict=True):
        torch.testing.assert_close(single, expected)


# Weight demodulation, and the interface
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


@pytest.mark.parametrize("kind", get_args(Modulation))
@pytest.mark.parametrize("up", [False, True])
def test_both_kinds_map_features_and_codes_to_features(kind: Modulation, up: bool) -> None:
    layer, x, w = STYLE_INJECTION[kind](4, 6, 8, up=up), torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    y = layer(x, w, lambda shape: torch.randn(2, *shape))
    assert y.shape == ((2, 6, 16, 16) if up else (2, 6, 8, 8))
    assert not torch.allclose(y, layer(x, torch.randn(2, 8), None), atol=1e-3), "the layer depends on w"
    assert torch.allclose(layer(x, w, None)[1:], layer(x[1:], w[1:], None), atol=1e-5), "rows are independent"
