"""Prototypes, cosines and their calibration, on directions that can be worked out by hand."""

import pytest
import torch

from brushwork.eval.metrics.similarity import (
    cosines,
    csls,
    nearer_to_own,
    nearest_mean,
    own,
    prototypes,
    style_means,
)


def test_a_prototype_is_the_mean_direction_whatever_the_lengths() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]])
    found = prototypes(features, torch.tensor([0, 0, 1]), 2)
    half = 0.5**0.5
    torch.testing.assert_close(found, torch.tensor([[half, half], [-1.0, 0.0]]))
    torch.testing.assert_close(cosines(features, found)[:, 0], torch.tensor([half, half, -half]))


def test_csls_by_its_formula() -> None:
    cosine = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.0]])
    crowding = torch.tensor([0.7, 0.3, 0.1])
    found = csls(cosine, crowding, k=2)
    assert float(found[0, 0]) == pytest.approx(2 * 0.9 - (0.9 + 0.5) / 2 - 0.7)
    assert float(found[1, 2]) == pytest.approx(2 * 0.0 - (0.8 + 0.2) / 2 - 0.1)


def test_csls_takes_a_hub_down() -> None:
    """A prototype that everything is near to wins by cosine, and by CSLS no longer."""
    cosine = torch.tensor([[0.6, 0.55]])
    assert int(cosine.argmax()) == 0
    assert int(csls(cosine, torch.tensor([0.6, 0.2])).argmax()) == 1


def test_csls_does_not_change_with_a_shift_of_everything() -> None:
    """Cosines and crowding all larger by c: 2c - c - c."""
    generator = torch.Generator().manual_seed(0)
    cosine, crowding = torch.rand(5, 4, generator=generator), torch.rand(4, generator=generator)
    torch.testing.assert_close(csls(cosine + 0.3, crowding + 0.3), csls(cosine, crowding))


def test_nearest_mean_takes_all_where_there_are_fewer() -> None:
    assert nearest_mean(torch.tensor([[1.0, 2.0, 3.0]]), k=10).tolist() == [2.0]
    assert nearest_mean(torch.tensor([[1.0, 2.0, 3.0]]), k=1).tolist() == [3.0]


def test_nearer_to_own_is_a_chance() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    assert own(values, torch.tensor([0, 1, 2])).tolist() == [3.0, 1.0, 1.0]
    assert nearer_to_own(values, torch.tensor([0, 1, 2])).tolist() == [1.0, 0.0, 0.5]


def test_style_means() -> None:
    values = torch.tensor([[1.0], [3.0], [10.0]])
    found = style_means(values, torch.tensor([0, 0, 2]), 3).squeeze(1)
    assert found[[0, 2]].tolist() == [2.0, 10.0]
    assert found[1].isnan()
