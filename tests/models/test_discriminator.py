"""Growing, projection conditioning, and minibatch statistics."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.errors import ModelError
from brushwork.models.layers import downsample2x
from brushwork.models.stage import Stage

Make = Callable[..., Discriminator]
LABELS = torch.eye(3)[[0, 1, 2, 0]]


def images(resolution: int = 16, rows: int = 4) -> Tensor:
    return torch.rand(rows, 3, resolution, resolution) * 2 - 1


def unlabelled(rows: int = 4) -> Tensor:
    return torch.zeros(rows, 3)


# Growing
@pytest.mark.parametrize("resolution", [8, 16])
def test_it_fades_from_the_stage_before(make_discriminator: Make, resolution: int) -> None:
    network, x = make_discriminator(), images(resolution)
    before = network.features(downsample2x(x), Stage(resolution // 2))
    assert torch.allclose(network.features(x, Stage(resolution, 0.0)), before, atol=1e-6)
    nearly = network.features(x, Stage(resolution, 1 - 1e-6))
    assert torch.allclose(nearly, network.features(x, Stage(resolution)), atol=1e-4)
    with pytest.raises(ModelError, match=f"images of {resolution} px at a stage of 4 px"):
        network(x, unlabelled(), Stage(4))


# Conditioning
def test_the_logit_is_linear_in_the_style_with_the_projection_as_slope(make_discriminator: Make) -> None:
    network, x = make_discriminator(), images()
    h = network.features(x, Stage(16))
    plain = network(x, unlabelled(), Stage(16))
    assert torch.equal(plain, network.score(h).squeeze(1)), "a zero row has no conditional part"

    def share(styles: Tensor) -> Tensor:
        return network(x, styles, Stage(16)) - plain

    other = torch.rand(4, 3)
    projection = (network.table[[0, 1, 2, 0]] * h).sum(dim=1) / h.shape[1] ** 0.5
    assert torch.allclose(share(LABELS), projection, atol=1e-5)
    mixed = share(0.3 * LABELS + 0.5 * other)
    assert torch.allclose(mixed, 0.3 * share(LABELS) + 0.5 * share(other), atol=1e-5)


def test_it_can_be_differentiated_twice(make_discriminator: Make) -> None:
    network, x = make_discriminator(), images().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x, LABELS, Stage(16, 0.5)).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    used = network.get_parameter("from_rgb.16.conv.weight").grad
    assert used is not None
    assert used.any()


# Minibatch statistics
@pytest.mark.parametrize(("group", "std", "more"), [(2, "each", 12), (2, "average", 1), (1, "each", 0)])
def test_the_last_convolution_sees_the_deviations(
    group: int, std: Literal["each", "average"], more: int
) -> None:
    shape = DiscriminatorConfig(channel_base=128, channel_max=12, minibatch_group=group, minibatch_std=std)
    network, x = Discriminator(shape, resolution=16, styles=3), images()
    assert network.conv.weight.shape[1] == 12 + more
    whole = network(x, LABELS, Stage(16, 0.5))
    for size in (1, 2):  # a batch may be split at its groups, and not within
        parts = [
            network(some, labels, Stage(16, 0.5))
            for some, labels in zip(x.split(size), LABELS.split(size), strict=True)
        ]
        assert torch.allclose(whole, torch.cat(parts), atol=1e-5) == (group <= size)
