"""The yardstick is what its papers say: filters, modulated weights, skips, residuals, groups."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brushwork.scripts.bench.stylegan2 import (
    Block,
    Conv,
    Discriminator,
    Mapping,
    StyledConv,
    Synthesis,
    convolve,
    resample_filter,
    upfirdn,
)

KERNEL = resample_filter()


def inside(x: Tensor, edge: int = 3) -> Tensor:
    return x[..., edge:-edge, edge:-edge]


# Resampling
def test_the_filter_keeps_the_mean() -> None:
    assert KERNEL.sum() == pytest.approx(1)
    flat = torch.full((1, 2, 16, 16), 0.7)
    doubled = upfirdn(flat, 4 * KERNEL, up=2, padding=(2, 1, 2, 1))
    halved = upfirdn(flat, KERNEL, down=2, padding=(1, 1, 1, 1))
    assert doubled.shape[2:] == (32, 32)
    assert halved.shape[2:] == (8, 8)
    assert torch.allclose(inside(doubled), torch.tensor(0.7))
    assert torch.allclose(inside(halved, 1), torch.tensor(0.7))


def test_zeros_go_after_each_place() -> None:
    x = torch.arange(1.0, 5.0).view(1, 1, 2, 2)
    found = upfirdn(x, torch.ones(1, 1), up=2, padding=(0, 0, 0, 0))
    assert found[0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("size", [1, 3])
def test_shrinking_filters_before_it_convolves(size: int) -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, size, size)
    blurred = upfirdn(x, KERNEL, padding=(2, 2, 2, 2) if size == 3 else (1, 1, 1, 1))
    assert torch.allclose(convolve(x, weight, KERNEL, "down"), F.conv2d(blurred, weight, stride=2), atol=1e-5)


def test_enlarging_convolves_zeros_and_filters() -> None:
    """In whichever order: both are linear and the same everywhere."""
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    doubled = upfirdn(x, 4 * KERNEL, up=2, padding=(2, 1, 2, 1))
    expected = F.conv2d(doubled, weight.flip(2, 3), padding=1)
    assert torch.allclose(inside(convolve(x, weight, KERNEL, "up")), inside(expected), atol=1e-4)


# Synthesis
def test_scales_around_a_convolution_are_modulated_weights() -> None:
    """Karras 2020, equations 1 and 3, picture by picture."""
    layer, x, w = StyledConv(5, 7, 8), torch.randn(3, 5, 6, 6), torch.randn(3, 8)
    styles = layer.affine(w)
    for picture, style, found in zip(x, styles, layer(x, w), strict=True):
        weight = layer.weight * style[:, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = F.leaky_relu(F.conv2d(picture[None], weight, padding=1)[0], 0.2) * 2**0.5
        assert torch.allclose(found, expected, atol=1e-5)


def test_pictures_come_of_every_layers_code() -> None:
    network = Synthesis(resolution=16, w_dim=8, channel_base=64, channel_max=8)
    w = torch.randn(2, network.layers, 8, requires_grad=True)
    images = network(w)
    assert images.shape == (2, 3, 16, 16)
    (slopes,) = torch.autograd.grad(images.square().sum(), w)
    assert (slopes.abs().sum(dim=(0, 2)) > 0).all()


def test_outputs_of_all_resolutions_add_up() -> None:
    network = Synthesis(resolution=16, w_dim=8, channel_base=64, channel_max=8)
    w = torch.randn(2, network.layers, 8)
    for to_rgb in network.to_rgb:
        nn.init.zeros_(to_rgb.weight)  # type: ignore[arg-type]
        nn.init.constant_(to_rgb.bias, 0.25)  # type: ignore[arg-type]
    assert torch.allclose(inside(network(w)), torch.tensor(0.75), atol=1e-5)


# Mapping and discriminator
def test_styles_alone_can_be_mapped() -> None:
    network = Mapping(styles=3, z_dim=0, w_dim=8, layers=2)
    w = network(torch.empty(3, 0), torch.eye(3))
    assert w.shape == (3, 8)
    assert torch.allclose(network.average, 0.005 * w.mean(dim=0), atol=1e-6)


def test_a_block_is_two_branches_over_the_root_of_two() -> None:
    x, block = torch.randn(2, 4, 8, 8), Block(4, 6)

    def branch(layer: Conv, x: Tensor) -> Tensor:
        return convolve(x, layer.weight / (4 * layer.weight.shape[-1] ** 2) ** 0.5, KERNEL, layer.resample)

    deep = (
        F.leaky_relu(branch(block.second, F.leaky_relu(branch(block.first, x), 0.2) * 2**0.5), 0.2) * 2**0.5
    )
    assert torch.allclose(block(x), (branch(block.skip, x) + deep) / 2**0.5, atol=1e-5)


def test_the_spread_is_of_strided_groups() -> None:
    network = Discriminator(resolution=8, styles=3, channel_base=64, channel_max=8, group=2)
    x = torch.zeros(4, 8, 4, 4)
    x[1], x[3] = 1.0, -1.0
    found = network.spread(x)
    assert found.shape == (4, 1, 4, 4)
    assert found[:, 0, 0, 0].tolist() == pytest.approx([1e-4, 1.0, 1e-4, 1.0], abs=1e-5)


def test_a_logit_depends_on_picture_and_style() -> None:
    network = Discriminator(resolution=8, styles=3, channel_base=64, channel_max=8, group=1)
    images = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    logits = network(images, torch.eye(3))
    assert logits.shape == (3,)
    assert len({round(logit, 5) for logit in logits.tolist()}) == 3
    assert not torch.allclose(network(-images, torch.eye(3)), logits)
