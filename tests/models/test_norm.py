"""Instance norm and style injection against plain operations, and statistics shared by tiles."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from einops import rearrange
from torch import Tensor

from brushwork.models.layers import leaky
from brushwork.models.modulation import StyledEpilogue, adain, inject, noise_and_bias
from brushwork.models.norm import InstanceNorm, SharedStatistics

FORMS = (torch.channels_last, torch.contiguous_format)


def plain_norm(x: Tensor) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


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


def test_the_norm_keeps_low_precision_and_has_float32_statistics() -> None:
    x = (torch.randn(2, 3, 32, 32) + 20).bfloat16().requires_grad_()
    y = InstanceNorm()(x)
    torch.testing.assert_close(y, plain_norm(x.float()).bfloat16(), rtol=0.01, atol=0.01)
    (slope,) = torch.autograd.grad(y.float().square().mean(), x)
    assert slope.dtype == torch.bfloat16


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
    return adain(leaky(x + bias[:, None, None]), *style)


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
