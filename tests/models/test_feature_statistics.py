"""Closed forms of the statistics, and finite and correct gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised, gram, mean_and_std, total_variation


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def test_gram_matrices() -> None:
    x = maps(2, 3, 4, 5)
    torch.testing.assert_close(gram(x), torch.einsum("nahw, nbhw -> nab", x, x) / 60)


def test_deviation_is_unbiased_with_epsilon() -> None:
    x = maps(2, 3, 4, 5)
    mean, std = mean_and_std(x)
    torch.testing.assert_close(mean, x.mean((2, 3)))
    torch.testing.assert_close(std, (x.flatten(2).var(2, correction=1) + 1e-5).sqrt())
    mean, std = mean_and_std(x[:, :, :1, :1])
    assert torch.equal(mean, x[:, :, 0, 0])
    torch.testing.assert_close(std, torch.full((2, 3), 1e-5**0.5).double())


def test_normalised_channels() -> None:
    x = maps(2, 3, 8, 8) * 5 + 2
    torch.testing.assert_close(channel_normalised(x).norm(dim=1), torch.ones(2, 8, 8).double())
    torch.testing.assert_close(channel_normalised(7 * x), channel_normalised(x))


def test_total_variation_of_a_checkerboard_and_of_stripes() -> None:
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(8.0), indexing="ij")
    board, stripes = (x.expand(2, 3, 5, 8) for x in ((rows + columns) % 2, 3 * columns))
    assert total_variation(board).tolist() == [2, 2]
    assert total_variation(board[:, :, :1]).tolist() == [1, 1]
    assert total_variation(board[:, :, :1, :1]).tolist() == [0, 0]
    assert total_variation(stripes).tolist() == [9, 9]


@pytest.mark.parametrize("function", [channel_normalised, total_variation, gram])
def test_gradients_are_right_and_finite(function: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(function, maps(1, 2, 3, 3).requires_grad_(), fast_mode=True)
    for value in (0.0, 1.0):
        x = torch.full((2, 3, 4, 4), value, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(x).sum(), x)
        assert gradient.isfinite().all()
