"""Growing, projection conditioning, and minibatch statistics."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.errors import ModelError
from brushwork.models.layers import downsample2x
from brushwork.models.stage import Stage

LABELS, NONE = torch.eye(3)[[0, 1, 2, 0]], torch.zeros(4, 3)


def images(resolution: int = 16) -> Tensor:
    return torch.rand(4, 3, resolution, resolution) * 2 - 1


def make(group: int = 2, std: Literal["each", "average"] = "each") -> Discriminator:
    shape = DiscriminatorConfig(channel_base=128, channel_max=12, minibatch_group=group, minibatch_std=std)
    return Discriminator(shape, resolution=16, styles=3)


@pytest.mark.parametrize("resolution", [8, 16])
def test_it_fades_from_the_stage_before(resolution: int) -> None:
    network, x = make(), images(resolution)
    before = network.features(downsample2x(x), Stage(resolution // 2))
    assert torch.allclose(network.features(x, Stage(resolution, 0.0)), before, atol=1e-6)
    nearly = network.features(x, Stage(resolution, 1 - 1e-6))
    assert torch.allclose(nearly, network.features(x, Stage(resolution)), atol=1e-4)
    with pytest.raises(ModelError, match=f"images of {resolution} px at a stage of 4 px"):
        network(x, NONE, Stage(4))


def test_the_logit_is_linear_in_the_style_with_the_projection_as_slope() -> None:
    network, x = make(), images()
    h = network.features(x, Stage(16))
    plain = network.score(h).squeeze(1)
    assert torch.equal(network(x, NONE, Stage(16)), plain), "a zero row has no conditional part"
    projections = network.table @ h.T / h.shape[1] ** 0.5
    for styles in (LABELS, torch.rand(4, 3)):
        expected = plain + (styles * projections.T).sum(dim=1)
        assert torch.allclose(network(x, styles, Stage(16)), expected, atol=1e-5)


def test_it_can_be_differentiated_twice() -> None:
    network, x = make(), images().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x, LABELS, Stage(16, 0.5)).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    used = network.get_parameter("from_rgb.16.conv.weight").grad
    assert used is not None
    assert used.any()


@pytest.mark.parametrize(("group", "std", "more"), [(2, "each", 12), (2, "average", 1), (1, "each", 0)])
def test_the_last_convolution_sees_the_deviations(
    group: int, std: Literal["each", "average"], more: int
) -> None:
    network, x, stage = make(group, std), images(), Stage(16, 0.5)
    assert network.conv.weight.shape[1] == 12 + more
    whole = network(x, LABELS, stage)
    for size in (1, 2):  # a batch may be split at its groups, and not within
        pairs = zip(x.split(size), LABELS.split(size), strict=True)
        parts = torch.cat([network(some, labels, stage) for some, labels in pairs])
        assert torch.allclose(whole, parts, atol=1e-5) == (group <= size)
