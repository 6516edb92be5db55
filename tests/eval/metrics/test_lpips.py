"""Against torchmetrics' own LPIPS with the same random trunk; no weights are fetched."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _LPIPS

from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.lpips import ARCHITECTURES, Lpips, random_trunk, read_heads, weighted_distance
from brushwork.models.errors import ModelError

NETWORKS = ("alex", "vgg")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return toy_pictures(styles=2, subjects=4, size=32).images


@pytest.fixture(scope="module")
def alex() -> Lpips:
    return Lpips("alex")


def theirs(network: str, trunk: dict[str, Tensor]) -> nn.Module:
    """torchmetrics' network with its heads and our trunk; its slices keep torchvision's layer numbers."""
    with torch.random.fork_rng():
        module = _LPIPS(net="alex" if network == "alex" else "vgg", pnet_rand=True)
    state = {
        name: trunk[f"{name.split('.', 2)[2]}"]
        for name in module.state_dict()
        if name.startswith("net.slice")
    }
    module.load_state_dict(state, strict=False)
    return module


@pytest.mark.parametrize("network", NETWORKS)
def test_equals_torchmetrics(network: str, pictures: Tensor) -> None:
    trunk = random_trunk(network, seed=3)
    for name, value in trunk.items():
        if name.endswith("bias"):
            value.copy_(torch.linspace(-0.1, 0.1, len(value)))
    a, b = pictures, pictures.flip(0)
    with torch.no_grad():
        expected = theirs(network, trunk)(a / 127.5 - 1, b / 127.5 - 1).flatten()
    ours = Lpips(network, {f"features.{name}": value for name, value in trunk.items()})
    assert expected.min() > 1e-3
    torch.testing.assert_close(ours(a, b), expected, rtol=1e-5, atol=1e-6)


def test_weighted_distance_by_hand() -> None:
    """Two channels at a right angle at one of two places: (w1 + w2) / 2; taps add up."""
    a = torch.tensor([[[[2.0, 1]], [[0, 0]]]])
    b = torch.tensor([[[[0.0, 5]], [[7, 0]]]])
    head = torch.tensor([0.5, 3.0])
    assert weighted_distance([a], [b], [head]).item() == pytest.approx(1.75)
    assert weighted_distance([a, a], [b, b], [head, head]).item() == pytest.approx(3.5)


@pytest.mark.parametrize("network", NETWORKS)
def test_heads_are_not_negative_and_fit_the_taps(network: str) -> None:
    heads, distance = read_heads(network), Lpips(network)
    found = distance.maps(torch.zeros(1, 3, 32, 32))
    assert [len(head) for head in heads] == [x.shape[1] for x in found]
    assert all(head.min() >= 0 and head.max() > 0 for head in heads)


def test_zero_on_itself_symmetric_and_alike_in_any_batch(alex: Lpips, pictures: Tensor) -> None:
    many = pictures.repeat(5, 1, 1, 1)
    distances = alex(many, many.flip(0))
    assert torch.equal(alex(pictures, pictures), torch.zeros(len(pictures)))
    torch.testing.assert_close(alex(many.flip(0), many), distances)
    torch.testing.assert_close(alex(pictures[:1], pictures[-1:])[0], distances[0])


def test_grows_with_noise(alex: Lpips, pictures: Tensor) -> None:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    means = [
        float(alex(pictures, (pictures + s * noise).clamp(0, 255).to(torch.uint8)).mean())
        for s in (5, 20, 60)
    ]
    assert 0 < 2 * means[0] < 1.5 * means[1] < means[2]


def test_gradient_is_finite_where_pictures_are_equal_and_features_zero(alex: Lpips) -> None:
    flat = torch.full((1, 3, 32, 32), 0.0) + torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    a = flat.requires_grad_()  # normalised to zero: without biases all features are zero
    alex.distance(a, flat.detach()).sum().backward()
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))
    b = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alex.distance(b, flat.detach()).sum().backward()
    assert b.grad is not None
    assert b.grad.isfinite().all()
    assert b.grad.abs().max() > 0


def test_small_differences_survive_in_float_pictures(alex: Lpips, pictures: Tensor) -> None:
    """Quadratic in a step of 1e-4, which a rounding to 255 levels would have swallowed."""
    a = pictures / 127.5 - 1
    towards = pictures.flip(0) / 127.5 - 1
    near, nearer = (alex.distance(a, torch.lerp(a, towards, step)) for step in (2e-4, 1e-4))
    torch.testing.assert_close(near / nearer, torch.full((len(a),), 4.0), rtol=0.03, atol=0)


@pytest.mark.parametrize(("network", "size"), [("alex", 31), ("vgg", 16)])
def test_smallest_pictures(network: str, size: int) -> None:
    distance = Lpips(network)
    enough = torch.zeros(1, 3, size, size + 5, dtype=torch.uint8)
    assert distance(enough, 255 - enough).item() >= 0
    with pytest.raises(EvalError, match=rf"needs pictures of {size} px .* these are {size + 4}x{size - 1}"):
        distance(enough[:, :, 1:, 1:], enough[:, :, 1:, 1:])
    with pytest.raises(RuntimeError):
        distance.maps(torch.zeros(1, 3, size - 1, size + 5))


def test_refuses_what_is_no_pair(alex: Lpips, pictures: Tensor) -> None:
    with pytest.raises(EvalError, match="no pairs"):
        alex(pictures, pictures[:3])
    with pytest.raises(EvalError, match="0 pairs"):
        alex(pictures[:0], pictures[:0])


def test_protocol_tells_trunks_apart(alex: Lpips) -> None:
    trunk = {f"features.{name}": value for name, value in random_trunk("alex", 0).items()}
    given = Lpips("alex", trunk)
    other = Lpips("alex", {name: value + 1 for name, value in trunk.items()})
    protocols = [
        alex.protocol,
        alex.control(1).protocol,
        given.protocol,
        other.protocol,
        Lpips("vgg").protocol,
    ]
    assert len(set(protocols)) == 5
    assert alex.control(0).protocol == alex.protocol
    assert "LPIPS 0.1 (alex, random seed 0" in alex.protocol
    assert (alex.name, given.name) == ("lpips-alex-random", "lpips-alex")


def test_random_trunks_are_seeded_and_leave_global_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = random_trunk("alex", 0)
    Lpips("alex")
    assert torch.equal(torch.rand(3), expected)
    again, other = random_trunk("alex", 0), random_trunk("alex", 1)
    assert torch.equal(first["0.weight"], again["0.weight"])
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_refuses_other_networks_and_trunks(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="no trunk 'squeeze': choose from alex, vgg"):
        Lpips("squeeze")
    with pytest.raises(EvalError, match="no trunk"):
        Lpips.from_weights("squeeze", tmp_path / "alexnet.pth")
    trunk = {f"features.{name}": value for name, value in random_trunk("vgg", 0).items()}
    with pytest.raises(EvalError, match=r"'alex': 'features\.0\.weight' is of shape \(64, 3, 3, 3\)"):
        Lpips("alex", trunk)
    with pytest.raises(EvalError, match=r"'features\.2\.weight' is missing; give the file vgg16"):
        Lpips("vgg", {name: value for name, value in trunk.items() if name != "features.2.weight"})
    (tmp_path / "alexnet.pth").write_bytes(b"something else")
    with pytest.raises(ModelError, match="SHA-256"):
        Lpips.from_weights("alex", tmp_path / "alexnet.pth")


def test_reads_the_trunk_from_a_file_of_the_known_hash(
    pictures: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = {f"features.{name}": value for name, value in random_trunk("alex", 5).items()}
    trunk["classifier.1.weight"] = torch.zeros(2, 2)
    path = tmp_path / "trunk.pth"
    torch.save(trunk, path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    known = replace(ARCHITECTURES["alex"].weights, sha256_prefix=prefix)
    monkeypatch.setitem(ARCHITECTURES, "alex", replace(ARCHITECTURES["alex"], weights=known))
    found, given = Lpips.from_weights("alex", path), Lpips("alex", trunk)
    assert found.protocol == given.protocol
    assert torch.equal(found(pictures, pictures.flip(0)), given(pictures, pictures.flip(0)))
