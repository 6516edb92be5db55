"""Resizes against Pillow's and torch-fidelity's, and the pass of images in parts."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from brushwork.eval.errors import EvalError
from brushwork.eval.features.resize import (
    PRECISION_WORDS,
    RESIZE_WORDS,
    RESIZES,
    ResizeName,
    clean,
    in_parts,
    legacy_pytorch,
    legacy_tensorflow,
)

SIZES = [(32, 32), (299, 299), (350, 401), (17, 600), (1, 2)]
CPU = torch.device("cpu")


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


@pytest.mark.parametrize("name", RESIZES)
def test_range_shape_and_independence(name: ResizeName) -> None:
    resize = RESIZES[name]
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 5, 7)
    found = resize(flat, 16)
    assert found.shape == (3, 3, 16, 16)
    assert found.dtype == torch.float32
    scale = 127.5 if name == "legacy_pytorch" else 128
    shift = 127.5 if name == "legacy_pytorch" else 128
    expected = (torch.tensor([0.0, 128, 255]) - shift) / scale
    torch.testing.assert_close(found, expected[:, None, None, None].expand_as(found), rtol=0, atol=1e-5)
    images = pictures(3, 20, 30)
    torch.testing.assert_close(resize(images)[1:2], resize(images[1:2]), rtol=0, atol=1e-6)
    assert name in RESIZE_WORDS[name]


def test_only_clean_reads_every_pixel_of_a_large_image() -> None:
    """One in 64 pixels is lit. With antialias its light is spread; without, most pixels are skipped."""
    images = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    images[..., ::8, ::8] = 255
    images = images.roll((3, 3), dims=(2, 3))
    light = 255 / 64
    assert float(clean(images, 32).mean() * 128 + 128) == pytest.approx(light, rel=0.01)
    assert float((legacy_pytorch(images, 32).mean() + 1) * 127.5) > 10 * light
    assert float(legacy_tensorflow(images, 32).mean() * 128 + 128) < 0.1 * light


# The pass
def test_parts_in_order() -> None:
    images, seen = pictures(7, 4, 4), []

    def network(part: Tensor) -> tuple[Tensor, ...]:
        seen.append(len(part))
        return part.double().mean(dim=(2, 3)), part[:, :1].double()

    means, first = in_parts(network, images, device=CPU, part=3)
    assert seen == [3, 3, 1]
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, images.float().mean(dim=(2, 3)))
    assert torch.equal(first, images[:, :1].float())
    with pytest.raises(EvalError, match="0 images"):
        in_parts(network, images[:0], device=CPU, part=3)


def test_float32_inside_autocast_and_no_gradients() -> None:
    weight = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    images = pictures(2, 1, 1)

    def network(part: Tensor) -> tuple[Tensor, ...]:
        return (F.linear(part.flatten(1).float(), weight),)

    (expected,) = in_parts(network, images, device=CPU, part=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = in_parts(network, images, device=CPU, part=2)
    assert torch.equal(found, expected)
    assert not found.requires_grad
    (rough,) = in_parts(network, images, device=CPU, part=2, precision="bf16")
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, expected)
    torch.testing.assert_close(rough, expected, rtol=0.05, atol=2.0)
    assert len(set(PRECISION_WORDS.values())) == 2


@pytest.fixture
def settings() -> Iterator[None]:
    cudnn, cuda = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, cuda


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("allowed", [True, False])
def test_no_tf32_and_settings_are_restored(allowed: bool) -> None:
    """GPUs use TF32 for convolutions by default. The caller's settings are restored."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    inside = []

    def network(part: Tensor) -> tuple[Tensor, ...]:
        convolutions = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
        inside.append((convolutions.fp32_precision, torch.backends.cuda.matmul.fp32_precision))
        if len(inside) == 2:
            raise RuntimeError("stop")
        return (part.float(),)

    with pytest.raises(RuntimeError, match="stop"):
        in_parts(network, pictures(2, 2, 2), device=CPU, part=1)
    assert inside == [("ieee", "ieee")] * 2
    assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.backends.cuda.matmul.allow_tf32 is allowed
