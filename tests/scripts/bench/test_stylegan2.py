"""StyleGAN2 is what its papers say: steps, filters, modulated weights, skips, residuals, groups."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brushwork.scripts.bench import stylegan2
from brushwork.scripts.bench.profiler import flops_of
from brushwork.scripts.bench.stylegan2 import Conv, StyleGAN2, convolve, lazy_adam, upfirdn
from brushwork.scripts.bench.train import noise
from brushwork.training.config import TrainConfig


@pytest.fixture
def run(make_config: Callable[..., TrainConfig]) -> StyleGAN2:
    return StyleGAN2(make_config(), 16, noise(16))


def test_a_step_trains_all_networks_and_regularisation_is_more_work(run: StyleGAN2) -> None:
    networks = (run.mapping, run.synthesis, run.discriminator, run.average)
    before = [[*map(torch.clone, network.parameters())] for network in networks]
    plain = flops_of(run.step)
    for network, old in zip(networks, before, strict=True):
        assert not all(map(torch.equal, network.parameters(), old))
    assert flops_of(lambda: run.step(penalty=True)) > 1.1 * plain
    assert flops_of(lambda: run.step(path=True)) > 1.1 * plain


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_layers_share_a_code_or_change_it_once(run: StyleGAN2, mixing: float) -> None:
    run.config = replace(run.config, loss=replace(run.config.loss, mixing=mixing))
    _, codes = run.generate(torch.eye(6)[:4])
    changes = (codes[:, 1:] != codes[:, :-1]).any(dim=2).sum(dim=1)
    assert changes.tolist() == [mixing] * 4


def test_path_lengths_are_held_to_their_mean(run: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images 2 w of 3 x 16 x 16 numbers move 2 sqrt(3) for noise of ones."""

    def generate(styles: Tensor) -> tuple[Tensor, Tensor]:
        codes = torch.randn(len(styles), 1, 3 * 16 * 16, requires_grad=True)
        return 2.0 * codes.view(-1, 3, 16, 16), codes

    monkeypatch.setattr(run, "generate", generate)
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    length, styles = 2.0 * 3**0.5, torch.eye(6)[:4]
    assert run.path_penalty(styles).item() == pytest.approx((0.99 * length) ** 2, rel=1e-5)
    assert run.mean_length.item() == pytest.approx(0.01 * length, rel=1e-5)
    run.mean_length = torch.tensor(length)
    assert run.path_penalty(styles).item() == pytest.approx(0, abs=1e-6)


def test_what_is_not_finite_moves_nothing() -> None:
    layer = nn.Linear(2, 1)
    before, optimizer = layer.weight.detach().clone(), lazy_adam(layer, interval=4)
    with stylegan2.stepping(layer, optimizer):
        layer(torch.tensor([[float("nan"), 1.0]])).sum().backward()
    assert layer.weight[0, 0] == before[0, 0]
    assert layer.weight[0, 1] != before[0, 1]


def test_rates_are_lower_where_a_step_more_comes_now_and_then() -> None:
    (group,) = lazy_adam(nn.Linear(2, 1), interval=16).param_groups
    assert (group["lr"], *group["betas"]) == pytest.approx((0.002 * 16 / 17, 0.0, 0.99 ** (16 / 17)))


def inside(x: Tensor) -> Tensor:
    return x[..., 3:-3, 3:-3]


@pytest.mark.parametrize("size", [1, 3])
def test_shrinking_filters_before_it_convolves(size: int) -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, size, size)
    blurred = upfirdn(x, padding=(2, 2, 2, 2) if size == 3 else (1, 1, 1, 1))
    assert torch.allclose(convolve(x, weight, "down"), F.conv2d(blurred, weight, stride=2), atol=1e-5)


def test_enlarging_convolves_zeros_and_filters() -> None:
    """In whichever order: both are linear and the same everywhere."""
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    doubled = upfirdn(x, up=2, padding=(2, 1, 2, 1))
    expected = F.conv2d(doubled, weight.flip(2, 3), padding=1)
    assert torch.allclose(inside(convolve(x, weight, "up")), inside(expected), atol=1e-4)


def test_scales_around_a_convolution_are_modulated_weights() -> None:
    """Karras 2020, equations 1 and 3, image by image."""
    layer, x, w = stylegan2.StyledConv(5, 7, 8), torch.randn(3, 5, 6, 6), torch.randn(3, 8)
    styles = layer.affine(w)
    for image, style, result in zip(x, styles, layer(x, w), strict=True):
        weight = layer.weight * style[:, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = F.leaky_relu(F.conv2d(image[None], weight, padding=1)[0], 0.2) * 2**0.5
        assert torch.allclose(result, expected, atol=1e-5)


def test_every_layers_code_changes_the_image_and_resolutions_add_up() -> None:
    network = stylegan2.Synthesis(resolution=16, w_dim=8, channel_base=64, channel_max=8)
    w = torch.randn(2, network.layers, 8, requires_grad=True)
    (grads,) = torch.autograd.grad(network(w).square().sum(), w)
    assert (grads.abs().sum(dim=(0, 2)) > 0).all()
    for to_rgb in network.to_rgb:
        nn.init.zeros_(to_rgb.weight)  # type: ignore[arg-type]
        nn.init.constant_(to_rgb.bias, 0.25)  # type: ignore[arg-type]
    assert torch.allclose(inside(network(w)), torch.tensor(0.75), atol=1e-5)


def test_a_block_is_two_branches_over_the_root_of_two() -> None:
    x, block = torch.randn(2, 4, 8, 8), stylegan2.Block(4, 6)

    def branch(layer: Conv, x: Tensor) -> Tensor:
        return convolve(x, layer.weight / (4 * layer.weight.shape[-1] ** 2) ** 0.5, layer.resample)

    middle = F.leaky_relu(branch(block.first, x), 0.2) * 2**0.5
    deep = F.leaky_relu(branch(block.second, middle), 0.2) * 2**0.5
    assert torch.allclose(block(x), (branch(block.skip, x) + deep) / 2**0.5, atol=1e-5)


def test_minibatch_std_is_of_strided_groups() -> None:
    network = stylegan2.Discriminator(resolution=8, styles=3, channel_base=64, channel_max=8, group=2)
    x = torch.zeros(4, 8, 4, 4)
    x[1], x[3] = 1.0, -1.0
    result = network.minibatch_std(x)
    assert result.shape == (4, 1, 4, 4)
    assert result[:, 0, 0, 0].tolist() == pytest.approx([1e-4, 1.0, 1e-4, 1.0], abs=1e-5)


def test_a_logit_depends_on_picture_and_style() -> None:
    network = stylegan2.Discriminator(resolution=8, styles=3, channel_base=64, channel_max=8, group=1)
    images = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    logits = network(images, torch.eye(3))
    assert len({round(logit, 5) for logit in logits.tolist()}) == 3
    assert not torch.allclose(network(-images, torch.eye(3)), logits)
