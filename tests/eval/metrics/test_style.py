"""The probe against least squares by hand, and the way its answers are counted."""

import pytest
import torch
import torch.nn.functional as F

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.style import LinearProbe, balanced_accuracy, confusion, ridge


def clusters(count: int, apart: float = 6.0) -> tuple[torch.Tensor, torch.Tensor]:
    styles = torch.arange(3).repeat_interleave(count)
    noise = torch.randn(len(styles), 5, generator=torch.Generator().manual_seed(count))
    return noise + apart * F.one_hot(styles, 5), styles


def test_ridge_is_the_minimum() -> None:
    """The gradient of |xw - y|^2 + penalty |w|^2 vanishes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    w = ridge(x, y, 3.0)
    torch.testing.assert_close(x.T @ (x @ w - y) + 3 * w, torch.zeros(6, 2, dtype=torch.float64))


def test_ridge_of_more_columns_than_rows_is_the_minimum_too() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 20, generator=generator, dtype=torch.float64)
    y = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    w = ridge(x, y, 3.0)
    torch.testing.assert_close(x.T @ (x @ w - y) + 3 * w, torch.zeros(20, 2, dtype=torch.float64))


def test_probe_tells_clusters_of_unseen_pictures() -> None:
    probe = LinearProbe.fit(*clusters(100), 3)
    x, styles = clusters(40)
    assert balanced_accuracy(confusion(styles, probe.predict(x), 3)) > 0.95


def test_intercept_is_not_penalised() -> None:
    """Shifting all features changes no prediction, and huge penalties leave the shares of the styles."""
    x, styles = clusters(50)
    shifted = LinearProbe.fit(x + 100, styles, 3)
    assert torch.equal(LinearProbe.fit(x, styles, 3).predict(x), shifted.predict(x + 100))
    flat = LinearProbe.fit(x[:110], styles[:110], 3, penalty=1e12)
    shares = torch.tensor([50, 50, 10]) / 110
    torch.testing.assert_close(flat.bias.float(), shares, rtol=1e-4, atol=1e-6)


def test_penalty_shrinks() -> None:
    norms = [LinearProbe.fit(*clusters(50), 3, penalty=p).weights.norm().item() for p in (1.0, 300.0, 1e5)]
    assert norms == sorted(norms, reverse=True)


def test_confusion_rows_are_true_styles() -> None:
    true, predicted = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 0, 0])
    shares = confusion(true, predicted, 2)
    assert shares.tolist() == [[0.75, 0.25], [1, 0]]
    assert balanced_accuracy(shares) == pytest.approx(0.375)  # the plain share would be 0.5


@pytest.mark.parametrize("styles", [[], [0, -1], [0, 3]])
def test_labels_out_of_range(styles: list[int]) -> None:
    with pytest.raises(EvalError, match="labels 0 to 2"):
        LinearProbe.fit(torch.zeros(len(styles), 4), torch.tensor(styles, dtype=torch.int64), 3)
