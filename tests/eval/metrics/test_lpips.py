"""LPIPS against torchmetrics with the same random trunk. No weights are downloaded."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics import lpips as module
from brushwork.eval.metrics.lpips import Lpips, random_trunk
from brushwork.models.errors import ModelError
from brushwork.scripts.bench.toy import toy_dataset


@pytest.fixture(scope="module")
def images() -> Tensor:
    return toy_dataset(styles=2, subjects=4, size=32).images


@pytest.fixture(scope="module")
def alex() -> Lpips:
    return Lpips()


def torchvision_state(seed: int) -> dict[str, Tensor]:
    return {f"features.{name}": value for name, value in random_trunk(seed).items()}


def test_equals_torchmetrics(images: Tensor) -> None:
    trunk = torchvision_state(3)
    for name, value in trunk.items():
        if name.endswith("bias"):
            value.copy_(torch.linspace(-0.1, 0.1, len(value)))
    with torch.random.fork_rng():
        theirs = _LPIPS(net="alex", pnet_rand=True)
    slices = [name for name in theirs.state_dict() if name.startswith("net.slice")]
    state = {name: trunk[f"features.{name.split('.', 2)[2]}"] for name in slices}
    theirs.load_state_dict(state, strict=False)
    a, b = images, images.flip(0)
    with torch.no_grad():
        expected = theirs(a / 127.5 - 1, b / 127.5 - 1).flatten()
    assert expected.min() > 1e-3
    torch.testing.assert_close(Lpips(trunk)(a, b), expected, rtol=1e-5, atol=1e-6)


def test_gradient_is_finite_where_images_are_equal_and_features_zero(alex: Lpips) -> None:
    flat = torch.full((1, 3, 32, 32), 0.0) + torch.tensor(module.SHIFT)[:, None, None]
    a = flat.requires_grad_()  # normalised to zero: without biases all features are zero
    alex.distance(a, flat.detach()).sum().backward()
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))


def test_float_images_keep_small_differences(alex: Lpips, images: Tensor) -> None:
    """Quadratic in a step of 1e-4, which rounding to 255 levels would remove."""
    a, b = images / 127.5 - 1, images.flip(0) / 127.5 - 1
    near, nearer = (alex.distance(a, torch.lerp(a, b, step)) for step in (2e-4, 1e-4))
    torch.testing.assert_close(near / nearer, torch.full((len(a),), 4.0), rtol=0.03, atol=0)


def test_protocol_names_the_trunk(alex: Lpips) -> None:
    trunk = torchvision_state(0)
    given, other = Lpips(trunk), Lpips({name: value + 1 for name, value in trunk.items()})
    assert len({lpips.protocol for lpips in (alex, given, other)}) == 3
    assert given.control().protocol == alex.protocol
    assert "LPIPS 0.1 (alex, random seed 0" in alex.protocol
    assert (alex.name, given.name) == ("lpips-alex-random", "lpips-alex")


def test_reads_the_trunk_from_a_file_of_the_known_hash(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = {**torchvision_state(5), "classifier.1.weight": torch.zeros(2, 2)}
    path = tmp_path / "trunk.pth"
    torch.save(trunk, path)
    with pytest.raises(ModelError, match="SHA-256"):
        Lpips.from_weights(path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(module, "ALEXNET", replace(module.ALEXNET, sha256_prefix=prefix))
    found, given = Lpips.from_weights(path), Lpips(trunk)
    assert found.protocol == given.protocol
    assert torch.equal(found(images, images.flip(0)), given(images, images.flip(0)))


def test_mistakes_are_named(alex: Lpips, images: Tensor) -> None:
    enough = torch.zeros(1, 3, 31, 36, dtype=torch.uint8)
    assert alex(enough, 255 - enough).item() >= 0
    with pytest.raises(EvalError, match=r"needs images of 31 px .* these are 35x30"):
        alex(enough[:, :, 1:, 1:], enough[:, :, 1:, 1:])
    with pytest.raises(EvalError, match="no pairs"):
        alex(images, images[:3])
    with pytest.raises(EvalError, match="0 pairs"):
        alex(images[:0], images[:0])
