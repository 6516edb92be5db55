"""Resizes against Pillow's and torch-fidelity's."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from brushwork.eval.features.resize import RESIZES, ResizeName, clean, legacy_pytorch, legacy_tensorflow

SIZES = [(32, 32), (299, 299), (350, 401), (17, 600), (1, 2)]


def pictures(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height + width)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def with_pillow(images: Tensor, size: int) -> Tensor:
    """Each channel as a picture of mode F, as the authors of clean-fid define it."""
    channels = [
        [Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC) for c in image.float().numpy()]
        for image in images
    ]
    return torch.from_numpy(np.array([[np.asarray(c) for c in image] for image in channels]))


# References
@pytest.mark.parametrize("shape", SIZES)
def test_clean_is_pillows(shape: tuple[int, int]) -> None:
    images = pictures(2, *shape)
    expected = (with_pillow(images, 299) - 128) / 128
    torch.testing.assert_close(clean(images), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SIZES)
def test_legacy_tensorflow_is_torch_fidelitys(shape: tuple[int, int]) -> None:
    images = pictures(2, *shape)
    resized = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    torch.testing.assert_close(legacy_tensorflow(images), (resized - 128) / 128, rtol=0, atol=1e-5)


# Properties
def test_two_pixels_become_four() -> None:
    """By hand: 0 and 100, at half-pixel centres, and with TensorFlow's shift to the right."""
    row = torch.tensor([0, 100], dtype=torch.uint8).expand(1, 3, 1, 2)
    found = (legacy_pytorch(row, 4)[0, 0, 0] + 1) * 255 / 2
    torch.testing.assert_close(found, torch.tensor([0.0, 25, 75, 100]))
    found = legacy_tensorflow(row, 4)[0, 0, 0] * 128 + 128
    torch.testing.assert_close(found, torch.tensor([0.0, 50, 100, 100]))


@pytest.mark.parametrize(
    ("name", "middle"), [("clean", 128), ("legacy_pytorch", 127.5), ("legacy_tensorflow", 128)]
)
def test_range_and_independence(name: ResizeName, middle: float) -> None:
    resize, _ = RESIZES[name]
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 5, 7)
    expected = (torch.tensor([0.0, 128, 255]) - middle) / middle
    torch.testing.assert_close(
        resize(flat, 16), expected[:, None, None, None].expand(3, 3, 16, 16), rtol=0, atol=1e-5
    )
    images = pictures(3, 20, 30)
    torch.testing.assert_close(resize(images)[1:2], resize(images[1:2]), rtol=0, atol=1e-6)


def test_only_clean_reads_every_pixel_of_a_large_image() -> None:
    """One in 64 pixels is lit. With antialias its light is spread; without, most pixels are skipped."""
    images = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    images[..., ::8, ::8] = 255
    images = images.roll((3, 3), dims=(2, 3))
    light = 255 / 64
    assert float(clean(images, 32).mean() * 128 + 128) == pytest.approx(light, rel=0.01)
    assert float((legacy_pytorch(images, 32).mean() + 1) * 127.5) > 10 * light
    assert float(legacy_tensorflow(images, 32).mean() * 128 + 128) < 0.1 * light
