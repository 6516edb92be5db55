import pytest
import torch
from torch import Tensor

from brushwork.models.feature_statistics import gram
from brushwork.training.style_transfer.statistics import (
    FeatureStatistics,
    Scaling,
    blend,
    feature_statistics,
    gram_error,
    luma,
    square_root,
    wasserstein_error,
    with_luma_of,
)

ERRORS = (gram_error, wasserstein_error)
SCALINGS: tuple[Scaling, ...] = ("gatys", "mean", "relative")


def features(seed: int, channels: int = 4, side: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, side, side, generator=generator) + torch.arange(channels)[:, None, None]


def statistics(seed: int, scale: float = 1.0) -> FeatureStatistics:
    return feature_statistics(scale * features(seed))


def test_statistics_are_those_of_the_features() -> None:
    x = features(0)
    found = feature_statistics(x)
    torch.testing.assert_close(found.mean, x.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(found.gram, gram(x)[0] * x.shape[1])
    torch.testing.assert_close(found.covariance, torch.cov(x[0].flatten(1), correction=0))


def test_halves_add_up_to_the_whole_and_a_mask_crops() -> None:
    x, mask = features(0), torch.zeros(12, 12)
    mask[:, :5] = 1
    left, right = feature_statistics(x[..., :5]), feature_statistics(x[..., 5:])
    for name in ("first", "second", "weight"):
        torch.testing.assert_close(getattr(left + right, name), getattr(feature_statistics(x), name))
        torch.testing.assert_close(getattr(feature_statistics(x, mask), name), getattr(left, name))


def test_a_blend_is_that_of_the_images_side_by_side_and_of_one_is_itself() -> None:
    parts, both = [statistics(0), statistics(1)], torch.cat([features(0), features(1)], dim=3)
    torch.testing.assert_close(blend(parts, [2.0, 2.0]).gram, feature_statistics(both).gram)
    assert blend(parts, [1.0, 0.0]).gram.equal(parts[0].gram)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("error", ERRORS)
def test_only_equal_statistics_have_distance_0(error, scaling: Scaling) -> None:
    assert float(error(statistics(0), statistics(0), scaling)) == pytest.approx(0, abs=1e-4)
    assert float(error(statistics(0), statistics(1), scaling)) > 1e-4


def test_distances_are_the_published_ones() -> None:
    x, y, squares = statistics(0), statistics(1), (gram(features(0)) - gram(features(1))).square()
    torch.testing.assert_close(gram_error(x, y, "gatys"), squares.sum() / 4)
    torch.testing.assert_close(gram_error(x, y, "mean"), squares.mean())


@pytest.mark.parametrize("error", ERRORS)
def test_relative_distances_do_not_depend_on_the_scale_of_features(error) -> None:
    small, large = (error(statistics(0, scale), statistics(1, scale), "relative") for scale in (1.0, 30.0))
    assert small.item() == pytest.approx(large.item(), rel=1e-3)


def test_wasserstein_distance_of_normals() -> None:
    """With commuting covariances it is |m - m'|^2 + the squared differences of deviations."""
    x, y = (
        FeatureStatistics(first=first, second=second.diag(), weight=torch.ones(()))
        for first, second in torch.tensor([[[1.0, 0.0], [5.0, 9.0]], [[0.0, 0.0], [1.0, 16.0]]])
    )
    found = wasserstein_error(x, y, "mean")
    assert 2 * found.item() == pytest.approx(1 + (2 - 1) ** 2 + (3 - 4) ** 2, rel=2e-2)
    shifted = wasserstein_error(feature_statistics(features(0) + 3), statistics(0), "mean")
    assert shifted.item() == pytest.approx(9, rel=1e-2)


@pytest.mark.parametrize("error", ERRORS)
def test_gradients_are_right_and_finite_where_features_are_constant(error) -> None:
    x = features(0, channels=3, side=4).double().requires_grad_()
    target = feature_statistics(features(1, channels=3, side=4))
    wide = FeatureStatistics(**{name: value.double() for name, value in vars(target).items()})

    def loss(x: Tensor) -> Tensor:
        flat, count = x[0].flatten(1), torch.tensor(16.0, dtype=torch.double)
        own = FeatureStatistics(first=flat.sum(1), second=flat @ flat.T, weight=count)
        return error(own, wide, "relative")

    assert torch.autograd.gradcheck(loss, (x,), atol=1e-4)
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    error(feature_statistics(flat), target, "relative").backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_the_square_of_a_root_is_the_matrix() -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    root = square_root(x @ x.T)
    torch.testing.assert_close(root @ root, x @ x.T, rtol=1e-4, atol=1e-5)
    assert square_root(torch.diag(torch.tensor([4.0, -1e-7]))).isfinite().all()


def test_luma_is_the_stylized_images_and_chroma_the_contents() -> None:
    torch.testing.assert_close(luma(torch.full((1, 3, 2, 2), 0.4)), torch.full((1, 1, 2, 2), 0.4))
    content, other = 0.3 + 0.4 * torch.rand(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    stylized = content + 0.05 * (luma(other) - 0.5)
    found = with_luma_of(content, stylized)
    torch.testing.assert_close(luma(found), luma(stylized))
    torch.testing.assert_close(found - luma(found), content - luma(content), atol=1e-6, rtol=0)
