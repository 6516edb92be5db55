"""Operations counted by hand."""

import torch
import torch.nn.functional as F

from brushwork.scripts.bench.roofline import CONVOLUTIONS, PRODUCT, Flops, convolution, flops_of, limits

CPU = torch.device("cpu")


def test_a_convolution_forward_and_backward_is_three_of_them() -> None:
    once = 2 * 9 * 8 * 8 * 6 * 6 * 4
    assert flops_of(convolution(6, 8, 4, torch.float32, CPU)) == 3 * once


def test_the_gradient_of_a_gradient_counts() -> None:
    x, weight = torch.randn(2, 3, 5, 5, requires_grad=True), torch.randn(4, 3, 1, 1, requires_grad=True)
    once = 2 * 3 * 4 * 25 * 2
    with Flops() as counter:
        (slope,) = torch.autograd.grad(F.conv2d(x, weight).square().sum(), x, create_graph=True)
        assert counter.total == 2 * once
        slope.square().sum().backward()
    assert counter.total > 4 * once


def test_the_works_are_those_of_the_actions() -> None:
    actions, work = limits(2, torch.float32, CPU)
    assert work.keys() == actions.keys()
    assert len(work) == 1 + len(CONVOLUTIONS)
    for name, action in actions.items():
        assert flops_of(action) == work[name], name
    assert PRODUCT in work
