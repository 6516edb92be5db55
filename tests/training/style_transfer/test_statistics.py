"""Sums of maps over places, and distances of what they describe."""

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.feature_statistics import gram, gram_distance, mean_and_std
from brushwork.training.style_transfer.statistics import (
    FeatureStatistics,
    Scaling,
    blended,
    gram_error,
    mean_std_error,
    moments,
    square_root,
    wasserstein_error,
)

ERRORS = (gram_error, mean_std_error, wasserstein_error)
SCALINGS: tuple[Scaling, ...] = ("gatys", "mean", "relative")


def maps(seed: int, channels: int = 4, side: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, side, side, generator=generator) + torch.arange(channels)[:, None, None]


def of(seed: int) -> FeatureStatistics:
    return moments(maps(seed))


# Sums
def test_they_are_the_statistics_of_the_maps() -> None:
    x = maps(0)
    found, (mean, deviation) = moments(x), mean_and_std(x)
    torch.testing.assert_close(found.mean, mean[0])
    torch.testing.assert_close(found.gram, gram(x)[0] * x.shape[1])
    torch.testing.assert_close(found.covariance, torch.cov(x[0].flatten(1), correction=0))
    torch.testing.assert_close(found.deviation, deviation[0], rtol=1e-2, atol=0)  # the other is unbiased


def test_sums_of_two_halves_add_up_to_those_of_the_whole() -> None:
    x = maps(0)
    whole, halves = moments(x), moments(x[..., :5]) + moments(x[..., 5:])
    for name in ("first", "second", "weight"):
        torch.testing.assert_close(getattr(halves, name), getattr(whole, name))


def test_a_mask_of_zeros_and_ones_cuts_out() -> None:
    x = maps(0)
    mask = torch.zeros(12, 12)
    mask[:, :4] = 1
    cut, masked = moments(x[..., :4]), moments(x, mask)
    torch.testing.assert_close(masked.gram, cut.gram)
    torch.testing.assert_close(masked.mean, cut.mean)


def test_a_blend_is_that_of_the_pictures_side_by_side_and_of_one_is_itself() -> None:
    a, b = maps(0), maps(1)
    both = blended([moments(a), moments(b)], [2.0, 2.0])
    torch.testing.assert_close(both.gram, moments(torch.cat([a, b], dim=3)).gram)
    alone = blended([moments(a), moments(b)], [1.0, 0.0])
    torch.testing.assert_close(alone.gram, moments(a).gram)
    with pytest.raises(ModelError, match="sum to 0"):
        blended([of(0)], [0.0])


# Distances
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("error", ERRORS)
def test_nothing_lies_between_a_picture_and_itself(error, scaling: Scaling) -> None:
    assert float(error(of(0), of(0), scaling)) == pytest.approx(0, abs=1e-4)
    assert float(error(of(0), of(1), scaling)) > 1e-4


def test_they_are_the_published_ones() -> None:
    a, b = maps(0), maps(1)
    c = a.shape[1]
    assert gram_error(of(0), of(1), "gatys").item() == pytest.approx(gram_distance(a, b).item() / 4)
    tutorial = (gram(a) - gram(b)).square().mean().item()
    assert gram_error(of(0), of(1), "mean").item() == pytest.approx(tutorial)
    (mean_a, std_a), (mean_b, std_b) = mean_and_std(a), mean_and_std(b)
    huang = ((mean_a - mean_b).square() + (std_a - std_b).square()).mean().item()
    assert mean_std_error(of(0), of(1), "mean").item() == pytest.approx(huang, rel=0.05)
    assert c == 4


@pytest.mark.parametrize("error", ERRORS)
def test_relative_errors_do_not_know_how_large_maps_are(error) -> None:
    small, large = (error(moments(f * maps(0)), moments(f * maps(1)), "relative").item() for f in (1.0, 30.0))
    assert small == pytest.approx(large, rel=1e-3)


def test_wasserstein_between_normals_of_commuting_covariances() -> None:
    """|m - m'|^2 + the sum of squared differences of the deviations."""
    a = FeatureStatistics(
        first=torch.tensor([1.0, 0.0]), second=torch.diag(torch.tensor([5.0, 9.0])), weight=torch.ones(())
    )
    b = FeatureStatistics(
        first=torch.zeros(2), second=torch.diag(torch.tensor([1.0, 16.0])), weight=torch.ones(())
    )
    expected = 1 + (2 - 1) ** 2 + (3 - 4) ** 2
    assert 2 * wasserstein_error(a, b, "mean").item() == pytest.approx(expected, rel=2e-2)


def test_a_shift_of_all_features_is_all_that_wasserstein_sees() -> None:
    x = maps(0)
    found = wasserstein_error(moments(x + 3), moments(x), "mean")
    assert found.item() == pytest.approx(9, rel=1e-2)


@pytest.mark.parametrize("error", ERRORS)
def test_gradients_are_right_and_finite_where_maps_are_constant(error) -> None:
    x = maps(0, channels=3, side=4).double().requires_grad_()
    goal = moments(maps(1, channels=3, side=4))

    def loss(x: Tensor) -> Tensor:
        flat = x[0].flatten(1)
        own = FeatureStatistics(
            first=flat.sum(1), second=flat @ flat.T, weight=torch.tensor(16.0, dtype=torch.double)
        )
        wide = FeatureStatistics(
            first=goal.first.double(), second=goal.second.double(), weight=goal.weight.double()
        )
        return error(own, wide, "relative")

    assert torch.autograd.gradcheck(loss, (x,), atol=1e-4)
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    error(moments(flat), goal, "relative").backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_a_root_squared_is_the_matrix() -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    matrix = x @ x.T
    root = square_root(matrix)
    torch.testing.assert_close(root @ root, matrix, rtol=1e-4, atol=1e-5)
    assert square_root(torch.diag(torch.tensor([4.0, -1e-7]))).isfinite().all()
