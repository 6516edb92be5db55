"""Pooling by hand, and style vectors with the distances of Gram matrices."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.features.statistics import StyleStatistics, pooled, triangle
from brushwork.models.feature_statistics import gram, mean_and_std

from ..conftest import Pixels


def pictures(seed: int) -> Tensor:
    return torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(seed)).byte()


def test_pooling() -> None:
    x = torch.tensor([[[[1.0, 3], [1, 3]], [[5, 5], [5, 5]]]])
    assert pooled(x).tolist() == [[2, 5, 1, 0]]
    assert pooled(x[..., :1, :1]).tolist() == [[1, 5, 0, 0]]


def test_triangle_keeps_the_norm() -> None:
    x = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(0))
    symmetric = x + x.mT
    vectors = triangle(symmetric)
    assert vectors.shape == (4, 15)
    torch.testing.assert_close(vectors.square().sum(1), symmetric.square().sum((1, 2)))
    assert triangle(torch.tensor([[[1.0, 2], [2, 3]]])).tolist() == [[1, pytest.approx(2 * 2**0.5), 3]]


def test_distances_of_vectors_are_those_of_maps() -> None:
    statistics, a, b = StyleStatistics(Pixels()), pictures(0), pictures(1)
    x, y = statistics(a), statistics(b)
    assert x.shape == (5, statistics.dim) == (5, 10 + 4 + 4 + 6 + 3 + 3 + 10 + 4 + 4)
    maps = zip(Pixels().maps(a), Pixels().maps(b), strict=True)
    for mine, theirs, (p, q) in zip(statistics.split(x), statistics.split(y), maps, strict=True):
        squared = (gram(p) - gram(q)).square().sum((1, 2))
        torch.testing.assert_close((mine.gram - theirs.gram).square().sum(1), squared)
        torch.testing.assert_close((mine.mean, mine.std), mean_and_std(p))
        torch.testing.assert_close((theirs.mean, theirs.std), mean_and_std(q))


def test_statistics_of_the_evaluator() -> None:
    """Three taps of Lite0: 24, 40 and 80 channels."""
    statistics = StyleStatistics(EfficientNetLite())
    assert statistics.dim == sum(c * (c + 1) // 2 + 2 * c for c in (24, 40, 80)) == 4648
    assert statistics.name == "efficientnet-lite0-style"
    for word in ("chw", "taps 0,1,2", "1e-5", "57934424", "64 px"):
        assert word in statistics.protocol
    control = statistics.control()
    assert control.name == "efficientnet-lite0-random-style"
    x, y = statistics(pictures(0)), control(pictures(0))
    assert x.shape == y.shape == (5, 4648)
    assert not torch.allclose(x, y, atol=0.01)
