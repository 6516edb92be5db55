"""The yardstick's steps: who learns, what a regularisation adds, and how lazily."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from brushwork.scripts.bench.stylegan2 import StyleGAN2, lazy_adam, moving
from brushwork.scripts.bench.train import flops_of, noise
from brushwork.training.config import TrainConfig


@pytest.fixture
def peer(make_config: Callable[..., TrainConfig]) -> StyleGAN2:
    return StyleGAN2(make_config(), 16, noise(16))


def copies(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def moved(network: nn.Module, before: list[Tensor]) -> bool:
    pairs = zip(network.parameters(), before, strict=True)
    return any(not torch.equal(parameter, old) for parameter, old in pairs)


def test_a_step_trains_all_networks(peer: StyleGAN2) -> None:
    networks = (peer.mapping, peer.synthesis, peer.discriminator, peer.average)
    before = [copies(network) for network in networks]
    peer.step()
    assert all(moved(network, old) for network, old in zip(networks, before, strict=True))


def test_both_regularisations_are_work_of_their_own(peer: StyleGAN2) -> None:
    plain = flops_of(peer.step)
    assert flops_of(lambda: peer.step(penalty=True)) > 1.1 * plain
    assert flops_of(lambda: peer.step(path=True)) > 1.1 * plain


def test_pictures_of_one_resolution_have_their_styles(peer: StyleGAN2) -> None:
    images, styles = peer.batch()
    assert images.shape == (peer.config.batch, 3, 16, 16)
    assert images.min() >= -1
    assert images.max() <= 1
    assert styles.sum(dim=1).tolist() == [1.0] * peer.config.batch


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_layers_share_a_code_or_change_it_once(
    make_config: Callable[..., TrainConfig], mixing: float
) -> None:
    config = make_config()
    peer = StyleGAN2(replace(config, loss=replace(config.loss, mixing=mixing)), 16, noise(16))
    _, codes = peer.draw(torch.eye(6)[:4])
    changes = (codes[:, 1:] != codes[:, :-1]).any(dim=2).sum(dim=1)
    assert changes.tolist() == [mixing] * 4


def test_path_lengths_are_held_to_their_mean(peer: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures k w of 3 x 16 x 16 numbers move k sqrt(3) for noise of ones."""
    k = 2.0

    def draw(styles: Tensor) -> tuple[Tensor, Tensor]:
        codes = torch.randn(len(styles), 1, 3 * 16 * 16, requires_grad=True)
        return k * codes.view(-1, 3, 16, 16), codes

    monkeypatch.setattr(peer, "draw", draw)
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    length = k * 3**0.5
    found = peer.path_penalty(torch.eye(6)[:4])
    assert found.item() == pytest.approx((0.99 * length) ** 2, rel=1e-5)
    assert peer.mean_length.item() == pytest.approx(0.01 * length, rel=1e-5)
    peer.mean_length = torch.tensor(length)
    assert peer.path_penalty(torch.eye(6)[:4]).item() == pytest.approx(0, abs=1e-6)


def test_what_is_not_finite_moves_nothing() -> None:
    layer = nn.Linear(2, 1)
    before, optimizer = layer.weight.detach().clone(), lazy_adam(layer, interval=4)
    with moving(layer, optimizer):
        layer(torch.tensor([[float("nan"), 1.0]])).sum().backward()
    assert layer.weight[0, 0] == before[0, 0]
    assert layer.weight[0, 1] != before[0, 1]


def test_rates_are_lower_where_a_step_more_comes_now_and_then() -> None:
    (group,) = lazy_adam(nn.Linear(2, 1), interval=16).param_groups
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
