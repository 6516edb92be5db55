"""Closed forms, and distances that are zero on itself and grow with blur and noise."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.metrics import content as module
from brushwork.eval.metrics.content import (
    cfsd,
    feature_distance,
    self_similarity,
    ssim,
    structural_distance,
)


def maps(seed: int, count: int = 3) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(count, c, s, s, generator=generator).relu() for c, s in ((4, 8), (6, 4), (10, 2))
    )


def network(images: Tensor) -> tuple[Tensor, ...]:
    """Three random convolutions, each tapped after its ReLU."""
    generator, x, taps = torch.Generator().manual_seed(0), images.float() / 127.5 - 1, []
    for inputs, outputs in ((3, 12), (12, 16), (16, 24)):
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        x = F.conv2d(x, weight, stride=2, padding=1).relu()
        taps.append(x)
    return tuple(taps)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return toy_pictures(styles=3, subjects=8, size=32).images


def blurred(images: Tensor, sigma: float) -> Tensor:
    x = torch.arange(-8, 9) / sigma
    kernel = torch.exp(-(x**2) / 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 17)
    padded = F.pad(images.float(), (8, 8, 8, 8), mode="replicate")
    rows = F.conv2d(padded, kernel[..., None], groups=3)
    return F.conv2d(rows, kernel[:, :, None], groups=3).round().to(torch.uint8)


def noisy(images: Tensor, sigma: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)) * sigma
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


FAULTS: dict[str, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    "blur": (blurred, (0.5, 1.0, 2.0, 4.0)),
    "noise": (noisy, (4.0, 12.0, 36.0, 80.0)),
}


# Feature distance
def test_closed_forms_of_the_feature_distance() -> None:
    """One tap of one place: (3, 0) and (0, 4) are 12.5 apart raw, and at a right angle."""
    a, b = torch.tensor([3.0, 0])[None, :, None, None], torch.tensor([0.0, 4])[None, :, None, None]
    assert feature_distance([a], [b], normalised=False).tolist() == [12.5]
    assert feature_distance([a], [b], normalised=True).item() == pytest.approx(2)
    assert feature_distance([a], [-a], normalised=True).item() == pytest.approx(4)
    # a second tap without a difference halves both; places count alike
    assert feature_distance([a, a], [b, a], normalised=False).tolist() == [6.25]
    wide = [torch.cat([a, a], dim=3)], [torch.cat([a, b], dim=3)]
    assert feature_distance(*wide, normalised=False).tolist() == [6.25]
    assert feature_distance(*wide, normalised=True).item() == pytest.approx(1)


@pytest.mark.parametrize("normalised", [False, True])
def test_feature_distance_is_zero_on_itself_and_pair_by_pair(normalised: bool) -> None:
    a, b = maps(0), maps(1)
    distances = feature_distance(a, b, normalised=normalised)
    assert torch.equal(feature_distance(a, a, normalised=normalised), torch.zeros(3))
    alone = feature_distance([x[1:2] for x in a], [x[1:2] for x in b], normalised=normalised)
    torch.testing.assert_close(alone[0], distances[1])


def test_only_the_normalised_distance_is_independent_of_gain() -> None:
    a, b = maps(0), maps(1)
    gains = torch.tensor([0.2, 3.0, 40.0])[:, None, None, None]
    louder = tuple(gains * x for x in b)
    torch.testing.assert_close(
        feature_distance(a, louder, normalised=True), feature_distance(a, b, normalised=True)
    )
    raw = feature_distance(a, louder, normalised=False) / feature_distance(a, b, normalised=False)
    assert (raw - 1).abs().min() > 0.1


# Self-similarity
def test_self_similarity_is_the_scaled_gram_of_places() -> None:
    x = maps(0)[1]
    expected = (x[2, :, 1, 3] * x[2, :, 2, 0]).sum() / 6**2
    torch.testing.assert_close(self_similarity(x)[2, 1 * 4 + 3, 2 * 4 + 0], expected)


def test_cfsd_equals_the_formula_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = maps(0), maps(1)
    expected = torch.zeros(3, dtype=torch.float64)
    for x, y in zip(a, b, strict=True):
        p, q = (self_similarity(z.double()).softmax(-1) for z in (x, y))
        expected += (p * (p / q).log()).sum(-1).mean(-1) / 3
    found = cfsd(a, b)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    monkeypatch.setattr(module, "_BLOCK", 500)
    torch.testing.assert_close(cfsd(a, b), found)
    assert torch.equal(cfsd(a, a), torch.zeros(3))


def test_cfsd_is_exact_where_float32_would_cancel() -> None:
    """Two nearly flat maps: KL is half the variance of the small difference of similarities."""
    generator = torch.Generator().manual_seed(0)
    base = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    step = 1e-4 * torch.randn(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    found = structural_distance(base, base + step)
    apart = self_similarity(base + step) - self_similarity(base)
    expected = apart.var(-1, correction=0).mean(-1) / 2
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


# SSIM
def test_ssim(images: Tensor) -> None:
    """1 for equal images, symmetric, and the luminance term alone for flat ones."""
    assert torch.equal(ssim(images, images), torch.ones(len(images)))
    torch.testing.assert_close(ssim(images, images.flip(0)), ssim(images.flip(0), images))
    torch.testing.assert_close(ssim(images, images.flip(0))[5:7], ssim(images[5:7], images.flip(0)[5:7]))
    a, b = (torch.full((1, 3, 11, 16), level, dtype=torch.uint8) for level in (100, 200))
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b).item() == pytest.approx((2 * 100 * 200 + c1) / (100**2 + 200**2 + c1), rel=1e-6)


def test_ssim_refuses_small_and_unequal_images(images: Tensor) -> None:
    with pytest.raises(EvalError, match="11 px a side at least and these are 12x10"):
        ssim(images[:2, :, :10, :12], images[:2, :, :10, :12])
    with pytest.raises(EvalError, match="no pairs"):
        ssim(images[:2], images[:3])
    with pytest.raises(EvalError, match="0 pairs"):
        ssim(images[:0], images[:0])


# Faults
@pytest.mark.parametrize("fault", FAULTS)
def test_all_worsen_with_the_fault(images: Tensor, fault: str) -> None:
    spoil, strengths = FAULTS[fault]
    clean = network(images)
    for measure in (
        lambda spoilt: feature_distance(clean, network(spoilt), normalised=False),
        lambda spoilt: feature_distance(clean, network(spoilt), normalised=True),
        lambda spoilt: cfsd(clean, network(spoilt)),
        lambda spoilt: 1 - ssim(images, spoilt),
    ):
        means = [float(measure(spoil(images, strength)).mean()) for strength in strengths]
        assert means[0] > 0
        assert all(next_ > 1.1 * mean for mean, next_ in itertools.pairwise(means)), means
