import pytest
import torch
from torch import Tensor

from brushwork.models.feature_statistics import instance_normalised
from brushwork.models.modulation import StyledEpilogue, inject
from brushwork.models.norm import InstanceNorm
from brushwork.models.tiling import SharedStatistics

FORMS = (torch.channels_last, torch.contiguous_format)


def plain() -> InstanceNorm:
    norm = InstanceNorm()
    norm.fused = False
    return norm


def test_the_derivative_by_hand_is_the_numerical_one() -> None:
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(InstanceNorm(), x.requires_grad_())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", [1, 2, 9])
def test_values_and_gradients_are_those_of_the_plain_operations(form: torch.memory_format, side: int) -> None:
    x = (torch.randn(3, 4, side, side) * 3 + 5).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn_like(x)
    ours, theirs = InstanceNorm()(x), instance_normalised(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain()(x), theirs)
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", [InstanceNorm(), plain()])
def test_low_precision_keeps_its_type_and_float32_statistics(norm: InstanceNorm) -> None:
    x = (torch.randn(2, 3, 32, 32) + 20).bfloat16().requires_grad_()
    y = norm(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, instance_normalised(x.float()).bfloat16(), rtol=0.01, atol=0.01)
    (slope,) = torch.autograd.grad(y.float().square().mean(), x)
    assert slope.dtype == torch.bfloat16


def test_only_plain_operations_are_differentiated_twice() -> None:
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    for norm in (plain(), InstanceNorm()):
        (first,) = torch.autograd.grad((norm(x) ** 3).sum(), x, create_graph=True)
        if norm.fused:
            with pytest.raises(RuntimeError, match="once_differentiable"):
                first.square().sum().backward()
        else:
            first.square().sum().backward()
            assert x.grad is not None


@torch.no_grad()
def test_tiles_share_their_statistics_with_either() -> None:
    """Squares of other levels and contrasts, drawn with the statistics of all, in both ways alike."""
    squares = torch.randn(4, 3, 16, 16) * torch.tensor([0.1, 1, 3, 0.5])[:, None, None, None] + 2
    squares = squares.contiguous(memory_format=torch.channels_last)
    epilogue, w = StyledEpilogue(3, 8), torch.randn(1, 8).expand(4, 8)

    def drawn(fused: bool) -> tuple[Tensor, Tensor]:
        norm = InstanceNorm() if fused else plain()
        epilogue.fused = fused
        with SharedStatistics():
            return norm(squares), epilogue(squares.clone(memory_format=torch.channels_last), w, None)

    for fast, slow in zip(drawn(True), drawn(False), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-3, atol=1e-3)
    zeros = torch.zeros(3)
    alone = inject(squares.clone(), zeros, None, zeros, *epilogue.adain.coefficients(w))
    assert not torch.allclose(alone, drawn(True)[1], atol=0.1), "outside nothing is shared"
