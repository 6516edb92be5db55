"""Closed forms of the distances of pairs."""

import pytest
import torch

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.content import feature_distance, ssim


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
