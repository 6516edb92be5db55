"""The critic tells styles from what instance normalisation leaves: products of channels, and places."""

import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.models.critic import ContentCritic, View
from brushwork.models.feature_statistics import instance_normalised
from brushwork.models.synthesis import Content


def normalised(*shape: int) -> Tensor:
    return instance_normalised(torch.randn(*shape))


def test_answers_of_features_and_of_details() -> None:
    torch.manual_seed(0)
    critic = ContentCritic({8: 6, 16: 4}, styles=3)
    features, details = normalised(5, 6, 8, 8), normalised(5, 4, 16, 16)
    coarse = critic(Content(features=features))
    both = critic(Content(features=features, details={16: details}))
    assert coarse.shape == both.shape == (5, 3)
    torch.testing.assert_close(both - coarse, critic.scores["16"](critic.views["16"](details)))


def test_products_of_channels_are_seen_wherever_they_stand() -> None:
    torch.manual_seed(0)
    view, maps = View(4), normalised(2, 4, 8, 8)
    elsewhere = maps.flatten(2)[..., torch.randperm(64)].unflatten(2, (8, 8))
    half = view(maps).shape[1] // 2
    torch.testing.assert_close(view(maps)[:, half:], view(elsewhere)[:, half:], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(view(maps)[:, :half], view(elsewhere)[:, :half], atol=1e-3)


def test_it_learns_a_style_that_has_no_means_and_deviations() -> None:
    """Two styles: channels that go along, and channels that do not; both instance-normalised."""
    torch.manual_seed(0)
    critic = ContentCritic({8: 4}, styles=2)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)

    def batch() -> tuple[Tensor, Tensor]:
        labels = torch.arange(32) % 2
        maps = torch.randn(32, 4, 8, 8)
        maps[labels == 1, 1] = maps[labels == 1, 0]
        return instance_normalised(maps), labels

    for _ in range(30):
        maps, labels = batch()
        optimizer.zero_grad()
        F.cross_entropy(critic(Content(features=maps)), labels).backward()
        optimizer.step()
    maps, labels = batch()
    assert (critic(Content(features=maps)).argmax(dim=1) == labels).float().mean() > 0.95
