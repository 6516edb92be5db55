"""Seeded random weights in the published format, by our pipeline and torch-fidelity; resizes.

One network of 95 MB is made for the whole file; no weights are downloaded.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from brushwork.eval.features import inception as module
from brushwork.eval.features.inception import Inception, random_state
from brushwork.models.errors import ModelError


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Noise, a gradient, two flat ones: 4 images of 32 pixels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images[1] = torch.arange(0, 256, 8, dtype=torch.uint8).expand(3, 32, 32)
    images[2:] = torch.tensor([40, 255], dtype=torch.uint8)[:, None, None, None]
    return images


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state(0)


@pytest.fixture(scope="module")
def path(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    return path


@pytest.fixture
def published(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, taken for the published one."""
    known = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(module, "INCEPTION", replace(module.INCEPTION, sha256_prefix=known))
    return path


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-4 of the scale of what is expected."""
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_features_are_torch_fidelitys(published: Path, pictures: Tensor) -> None:
    theirs = FeatureExtractorInceptionV3("test", ["2048"], feature_extractor_weights_path=str(published))
    ours = Inception(published, resize="legacy_tensorflow")
    assert_near(ours(pictures), theirs(pictures)[0])
    assert (ours.name, ours.dim, ours.standardised) == ("inception", 2048, False)
    known = module.INCEPTION.sha256_prefix
    for word in (known, "2015-12-05", "299 px legacy_tensorflow", "asymmetric", "pool3", "float32"):
        assert word in ours.protocol


def test_resize_batches_and_control(
    published: Path, state: dict[str, Tensor], pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "random_state", lambda: state)
    clean, tensorflow = Inception(pretrained=False), Inception(pretrained=False, resize="legacy_tensorflow")
    expected = clean(pictures)
    assert not torch.allclose(expected, tensorflow(pictures), rtol=1e-2, atol=1e-2)
    assert_near(clean(pictures[1:2]), expected[1:2])
    ours = Inception(published, resize="legacy_pytorch")
    control = ours.control()
    assert control.name == clean.name == "inception-random"
    assert "random seed 0" in control.protocol
    assert "299 px clean (bicubic" in clean.protocol
    assert control.protocol.split("), ", 1)[1] == ours.protocol.split("), ", 1)[1]
    assert len({each.protocol for each in (ours, control, clean, tensorflow)}) == 4


def test_random_weights_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a smaller batch of noise, for the sake of time."""
    small = torch.randn(1, 3, 139, 139, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(module, "_graded_noise", lambda generator: small)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = random_state(0), random_state(0), random_state(1)
    assert torch.equal(torch.rand(3), expected), "the global random state is left alone"
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("Mixed_7c.branch1x1.conv.weight", "fc.weight"):
        assert not torch.allclose(first[name], other[name], atol=0.01)


def test_activations_keep_their_scale(state: dict[str, Tensor], pictures: Tensor) -> None:
    x = module.RESIZES["clean"][0](pictures, 299)
    with torch.no_grad():
        for name, block in module._with_state(state).named_children():
            x = block(x)
            assert 0.2 < x.std() < 3, name
    pooled = x.mean(dim=(2, 3))
    assert 0.1 < pooled.std(dim=0).mean() < 3
    assert 0.1 < (pooled @ state["fc.weight"].T).std() < 10


def test_mistakes_are_named(
    state: dict[str, Tensor], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="6726825d"):
        Inception(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="does not exist"):
        Inception(tmp_path / "elsewhere.pth")
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    module._with_state(old)


@pytest.mark.parametrize("shape", [(299, 299), (350, 401), (17, 600), (1, 2)])
def test_resizes_are_those_of_pillow_and_torch_fidelity(shape: tuple[int, int]) -> None:
    """Each channel as an image of mode F, as the authors of clean-fid define it."""
    images = torch.randint(0, 256, (2, 3, *shape), generator=torch.Generator().manual_seed(0)).byte()
    channels = [Image.fromarray(channel) for channel in images.float().flatten(0, 1).numpy()]
    resized = [np.asarray(c.resize((299, 299), Image.Resampling.BICUBIC)) for c in channels]
    pillows = (torch.from_numpy(np.stack(resized)).unflatten(0, (2, 3)) - 128) / 128
    torch.testing.assert_close(module.clean(images), pillows, rtol=0, atol=1e-4)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    torch.testing.assert_close(module.legacy_tensorflow(images), (theirs - 128) / 128, rtol=0, atol=1e-5)


def test_two_pixels_become_four_at_half_pixel_centres() -> None:
    row = torch.tensor([0, 100], dtype=torch.uint8).expand(1, 3, 1, 2)
    found = (module.legacy_pytorch(row, 4)[0, 0, 0] + 1) * 255 / 2
    torch.testing.assert_close(found, torch.tensor([0.0, 25, 75, 100]))
