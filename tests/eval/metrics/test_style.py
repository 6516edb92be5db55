"""The probe against its normal equations, and prototypes and cosines that are known by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.features.extract import Standardiser
from brushwork.eval.metrics.style import (
    LinearProbe,
    cosines,
    csls,
    mean_score,
    nearer_to_own,
    nearest_mean,
    prototypes,
    recognition,
    ridge,
)


def clusters(count: int, apart: float = 6.0) -> tuple[Tensor, Tensor]:
    styles = torch.arange(3).repeat_interleave(count)
    noise = torch.randn(len(styles), 5, generator=torch.Generator().manual_seed(count))
    return noise + apart * F.one_hot(styles, 5), styles


@pytest.mark.parametrize("shape", [(20, 6), (6, 20)])
def test_ridge_is_the_minimum(shape: tuple[int, int]) -> None:
    """The gradient of |xw - y|^2 + penalty |w|^2 vanishes, with more rows or more columns."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator, dtype=torch.float64)
    y = torch.randn(shape[0], 2, generator=generator, dtype=torch.float64)
    w = ridge(x, y, 3.0)
    torch.testing.assert_close(x.T @ (x @ w - y) + 3 * w, torch.zeros_like(w))


def test_probe_recognises_clusters_of_unseen_images() -> None:
    train, styles = clusters(100)
    probe = LinearProbe.fit(train, styles, 3)
    x, unseen = clusters(40)
    assert recognition(unseen, probe.predict(x), 3).value > 0.95
    standard = Standardiser.fit(train)
    fitted = LinearProbe.fit(standard(train), styles, 3)
    torch.testing.assert_close(fitted.before(standard).scores(x), fitted.scores(standard(x)))


def test_only_weights_are_penalised() -> None:
    """A shift of all features changes no score. A huge penalty leaves the shares of the styles."""
    x, styles = clusters(50)
    shifted = LinearProbe.fit(x + 100, styles, 3)
    expected = LinearProbe.fit(x, styles, 3).scores(x)
    torch.testing.assert_close(shifted.scores(x + 100), expected, rtol=0, atol=1e-4)
    norms = [LinearProbe.fit(x, styles, 3, penalty=p).weights.norm().item() for p in (1.0, 300.0, 1e5)]
    assert norms == sorted(norms, reverse=True)
    flat = LinearProbe.fit(x[:110], styles[:110], 3, penalty=1e12)
    torch.testing.assert_close(flat.bias.float(), torch.tensor([50, 50, 10]) / 110, rtol=1e-4, atol=1e-6)


def test_recognition_counts_each_style_once() -> None:
    true, predicted = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 0, 0])
    score = recognition(true, predicted, 2)
    assert score.matrix == ((0.75, 0.25), (1, 0))
    assert score.per_style == (0.75, 0)
    assert score.value == pytest.approx(0.375)  # the plain share would be 0.5
    assert score.spread == pytest.approx((0.75 * 0.25 / 4) ** 0.5 / 2)
    assert recognition(true, predicted, 3).value == pytest.approx(0.375), "an empty style does not count"


def test_mean_score() -> None:
    score = mean_score(torch.tensor([1.0, 3.0, 10.0]), torch.tensor([0, 0, 2]), 3)
    assert score.per_style == pytest.approx((2, torch.nan, 10), nan_ok=True)
    assert score.value == pytest.approx(14 / 3)
    assert score.spread == pytest.approx(torch.tensor([1.0, 3, 10]).std().item() / 3**0.5)


def test_a_prototype_is_the_mean_direction() -> None:
    features = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]])
    found = prototypes(features, torch.tensor([0, 0, 1]), 2)
    half = 0.5**0.5
    torch.testing.assert_close(found, torch.tensor([[half, half], [-1.0, 0.0]]))
    torch.testing.assert_close(cosines(features, found)[:, 0], torch.tensor([half, half, -half]))


def test_csls_follows_its_formula_and_corrects_a_hub() -> None:
    cosine = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.0]])
    found = csls(cosine, torch.tensor([0.7, 0.3, 0.1]), k=2)
    assert float(found[0, 0]) == pytest.approx(2 * 0.9 - (0.9 + 0.5) / 2 - 0.7)
    assert float(found[1, 2]) == pytest.approx(2 * 0.0 - (0.8 + 0.2) / 2 - 0.1)
    assert int(csls(torch.tensor([[0.6, 0.55]]), torch.tensor([0.6, 0.2])).argmax()) == 1
    assert nearest_mean(torch.tensor([[1.0, 2.0, 3.0]]), k=10).tolist() == [2.0]


def test_nearer_to_own_is_a_chance() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    assert nearer_to_own(values, torch.tensor([0, 1, 2])).tolist() == [1.0, 0.0, 0.5]
