"""Closed forms of the distances of pairs."""

import pytest
import torch
from torch import Tensor

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


# Self-similarity
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
def test_ssim() -> None:
    """1 for equal images, pair by pair, and the luminance term alone for flat ones."""
    images = torch.randint(0, 256, (40, 3, 16, 12), generator=torch.Generator().manual_seed(0)).byte()
    found = ssim(images, images.flip(0))
    assert torch.equal(ssim(images, images), torch.ones(40))
    torch.testing.assert_close(ssim(images[35:], images.flip(0)[35:]), found[35:])
    a, b = (torch.full((1, 3, 11, 16), level, dtype=torch.uint8) for level in (100, 200))
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b).item() == pytest.approx((2 * 100 * 200 + c1) / (100**2 + 200**2 + c1), rel=1e-6)
    for words, sides in (
        ("11 px a side at least and these are 12x10", (images[:, :, :10], images[:, :, :10])),
        ("no pairs", (images[:2], images[:3])),
        ("0 pairs", (images[:0], images[:0])),
    ):
        with pytest.raises(EvalError, match=words):
            ssim(*sides)
