from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.layers import leaky
from brushwork.models.modulation import adain, inject

Inputs = list[Any]


def inputs(
    *, noise: bool = True, dtype: torch.dtype = torch.float64, side: int = 6, eps: float = 1e-5
) -> Inputs:
    """x, bias, noise, strength, scale, shift: of 3 pictures and 4 channels, and eps."""

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, dtype=dtype).requires_grad_()

    x = torch.randn(3, 4, side - 1, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    maps = torch.randn(3, 1, side - 1, side, dtype=dtype) if noise else None
    return [x.requires_grad_(), draw(4), maps, draw(4), draw(3, 4), draw(3, 4), eps]


def plain(
    x: Tensor, bias: Tensor, noise: Tensor | None, strength: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> Tensor:
    x = x if noise is None else x + noise * strength[:, None, None]
    return adain(leaky(x + bias[:, None, None]), scale, shift, eps)


def gradients(function: Callable[..., Tensor], values: Inputs, weight: Tensor) -> list[Tensor]:
    wanted = [value for value in values if isinstance(value, Tensor) and value.requires_grad]
    found = torch.autograd.grad((function(*values) * weight).sum(), wanted, allow_unused=True)
    return [torch.zeros(()) if one is None else one for one in found]


def ours(x: Tensor, *rest: Any) -> Tensor:
    """On a copy, for x is written over."""
    return inject(x.clone(), *rest)


@pytest.mark.parametrize("eps", [1e-5, 1.0])
@pytest.mark.parametrize("noise", [True, False])
def test_the_derivative_by_hand_is_the_numerical_one(noise: bool, eps: float) -> None:
    assert torch.autograd.gradcheck(ours, tuple(inputs(noise=noise, eps=eps)))


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 1.0])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_those_of_the_plain_operations(
    noise: bool, form: torch.memory_format, eps: float
) -> None:
    x, *rest = inputs(noise=noise, dtype=torch.float32, side=16, eps=eps)
    values = [x.detach().contiguous(memory_format=form).requires_grad_(), *rest]
    weight = torch.randn_like(x)
    torch.testing.assert_close(ours(*values), plain(*values), rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients(ours, values, weight), gradients(plain, values, weight), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_low_precision_keeps_its_type_and_float32_statistics() -> None:
    x, bias, noise, *style = inputs(dtype=torch.float32, side=32)
    low = inject(x.bfloat16(), bias, noise.bfloat16(), *style)
    assert low.dtype == torch.bfloat16
    full = inject(x, bias, noise, *style)
    assert (low.float() - full).abs().mean() < 0.01 * full.std()


def test_all_but_the_features_is_left_as_it_is() -> None:
    *values, _eps = inputs()
    before = [value.detach().clone() for value in values]
    ours(*values).sum().backward()
    for value, old in zip(values, before, strict=True):
        assert torch.equal(value, old)


def test_a_second_derivative_is_refused() -> None:
    x, *rest = inputs()
    (first,) = torch.autograd.grad(ours(x, *rest).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
