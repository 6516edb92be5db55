"""Closed forms and pinned values of the statistics; VGG against torchvision's."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models.vgg import cfgs, make_layers

from brushwork.models.errors import ModelError
from brushwork.models.feature_statistics import (
    GramNormalisation,
    channel_normalised,
    gram,
    gram_distance,
    instance_normalised,
    mean_and_std,
    mean_std_distance,
    total_variation,
)
from brushwork.models.pretrained import vgg as perceptual
from brushwork.models.pretrained.vgg import Architecture, Vgg, layer_names

NORMALISATIONS: tuple[GramNormalisation, ...] = ("none", "hw", "chw", "gatys")


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def checkerboard(height: int, width: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((rows + columns) % 2).double()[None, None]


# Gram matrices (metrics.md 7)
@pytest.mark.parametrize(("normalisation", "expected"), [("none", 20), ("hw", 1), ("chw", 1 / 3)])
def test_gram_of_ones(normalisation: GramNormalisation, expected: float) -> None:
    torch.testing.assert_close(
        gram(torch.ones(2, 3, 4, 5), normalisation), torch.full((2, 3, 3), float(expected))
    )


def test_gram_entries() -> None:
    x = maps(0, 2, 3, 4, 5)
    expected = [[[(a * b).sum() for b in picture] for a in picture] for picture in x]
    torch.testing.assert_close(gram(x, "none"), torch.tensor(expected))


def test_gatys_distance_is_equation_4() -> None:
    a, b = maps(0, 2, 3, 4, 5), maps(1, 2, 3, 4, 5)
    difference = (gram(a, "none") - gram(b, "none")).square().sum(dim=(1, 2))
    torch.testing.assert_close(gram_distance(a, b, "gatys"), difference / (4 * 3**2 * 20**2))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_gram_distance(normalisation: GramNormalisation) -> None:
    a, b = maps(0, 2, 3, 4, 4), maps(1, 2, 3, 4, 4)
    distance = gram_distance(a, b, normalisation)
    assert (distance > 0).all()
    torch.testing.assert_close(gram_distance(b, a, normalisation), distance)
    assert gram_distance(a, a, normalisation).tolist() == [0, 0]
    # blind to where things are
    torch.testing.assert_close(gram_distance(a.flip(3), b.mT, normalisation), distance)


@pytest.mark.parametrize("normalisation", ["hw", "chw", "gatys"])
def test_gram_distance_is_blind_to_tiling(normalisation: GramNormalisation) -> None:
    a = maps(0, 2, 3, 4, 4)
    torch.testing.assert_close(gram_distance(a, a.repeat(1, 1, 2, 3), normalisation), torch.zeros(2).double())


# Means and deviations
def test_deviation_is_unbiased_with_epsilon() -> None:
    x = maps(0, 2, 3, 4, 5)
    mean, std = mean_and_std(x)
    torch.testing.assert_close(mean, x.mean((2, 3)))
    torch.testing.assert_close(std, (x.flatten(2).var(2, correction=1) + 1e-5).sqrt())
    mean, std = mean_and_std(x[:, :, :1, :1])
    assert torch.equal(mean, x[:, :, 0, 0])
    torch.testing.assert_close(std, torch.full((2, 3), 1e-5**0.5).double())


def test_shifted_maps_are_c_squared_apart_a_layer() -> None:
    xs = [maps(0, 2, 3, 8, 8), maps(1, 2, 5, 4, 4)]
    torch.testing.assert_close(mean_std_distance(xs, [x + 0.5 for x in xs]), torch.full((2,), 0.5).double())
    assert mean_std_distance(xs, xs).tolist() == [0, 0]
    scaled = mean_std_distance(xs[:1], [3 * xs[0]])
    mean, std = mean_and_std(xs[0], eps=0.0)
    torch.testing.assert_close(scaled, 4 * (mean**2 + std**2).mean(1), rtol=1e-4, atol=0)
    with pytest.raises(ValueError, match="shorter"):
        mean_std_distance(xs, xs[:1])


def test_normalised_maps() -> None:
    x = maps(0, 2, 3, 8, 8) * 5 + 2
    torch.testing.assert_close(channel_normalised(x).norm(dim=1), torch.ones(2, 8, 8).double())
    torch.testing.assert_close(channel_normalised(7 * x), channel_normalised(x))
    mean, std = mean_and_std(instance_normalised(x), eps=0.0)
    torch.testing.assert_close(mean, torch.zeros(2, 3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(std, torch.ones(2, 3).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(instance_normalised(3 * x + 1), instance_normalised(x), rtol=0, atol=1e-4)


# Total variation (metrics.md 7)
@pytest.mark.parametrize(("height", "width"), [(2, 2), (5, 8), (64, 64)])
def test_total_variation_of_a_checkerboard(height: int, width: int) -> None:
    board = checkerboard(height, width).repeat(2, 3, 1, 1)
    assert total_variation(board).tolist() == [2, 2]
    assert total_variation(board[:, :, :1]).tolist() == [1, 1]
    assert total_variation(board[:, :, :1, :1]).tolist() == [0, 0]
    stripes = torch.arange(width).double().expand(1, 3, height, width)
    assert total_variation(3 * stripes).tolist() == [9]


# Gradients
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_are_finite_where_maps_are_constant(value: float) -> None:
    x = torch.full((2, 3, 4, 4), value, requires_grad=True)
    other = torch.zeros(2, 3, 4, 4)
    results = [
        gram_distance(x, other, "gatys"),
        mean_std_distance([x], [other]),
        channel_normalised(x),
        instance_normalised(x),
        total_variation(x),
    ]
    for result in results:
        (gradient,) = torch.autograd.grad(result.sum(), x)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("function", [channel_normalised, instance_normalised, total_variation, gram])
def test_gradients_are_right(function: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(function, maps(0, 1, 2, 3, 3).requires_grad_(), fast_mode=True)


# VGG
def test_layer_names_are_in_torchvisions_order() -> None:
    kinds = {"conv": "Conv2d", "relu": "ReLU", "pool": "MaxPool2d"}
    architectures: tuple[tuple[Architecture, str], ...] = (("vgg16", "D"), ("vgg19", "E"))
    for arch, config in architectures:
        names = layer_names(arch)
        assert [kinds[name[:4]] for name in names] == [type(m).__name__ for m in make_layers(cfgs[config])]
        assert len(set(names)) == len(names)
    assert layer_names("vgg19")[20:22] == ["relu4_1", "conv4_2"]


@pytest.fixture(scope="module")
def reference() -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_layers(cfgs["D"][:9]).eval().requires_grad_(False)


@pytest.fixture
def published(reference: torch.nn.Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as torchvision publishes it, cut after the third stage, and known by its hash."""
    path = tmp_path / "vgg16.pth"
    state = {f"features.{name}": tensor for name, tensor in reference.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    known = replace(perceptual.PUBLISHED["vgg16"], sha256_prefix=prefix)
    monkeypatch.setitem(perceptual.PUBLISHED, "vgg16", known)
    return path


def test_taps_are_torchvisions(published: Path, reference: torch.nn.Sequential) -> None:
    """Taps before an activation must not be overwritten by it, whatever order they are asked for in."""
    taps = ("relu3_1", "conv1_1", "relu1_1", "conv3_1", "pool1", "relu2_2")
    network = Vgg.from_weights("vgg16", taps, published)
    images = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    found = network(images)
    assert list(found) == ["conv1_1", "relu1_1", "pool1", "relu2_2", "conv3_1", "relu3_1"]
    assert len(network.features) == 12
    shift, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - shift[:, None, None]) / scale[:, None, None]
    plain = torch.nn.Sequential(*[torch.nn.ReLU() if isinstance(m, torch.nn.ReLU) else m for m in reference])
    for tap, maps_of_tap in found.items():
        expected = plain[: layer_names("vgg16").index(tap) + 1](x)
        torch.testing.assert_close(maps_of_tap, expected, rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_picture_alone() -> None:
    network = Vgg.random("vgg16", ["conv1_2", "relu2_1"])
    images = torch.rand(1, 3, 8, 8).requires_grad_()
    torch.stack([m.square().mean() for m in network(images).values()]).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_random_is_seeded_and_keeps_its_scale() -> None:
    taps = [f"relu{stage}_1" for stage in range(1, 6)]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    network, again, other = (Vgg.random("vgg16", taps, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = network(images)
    for tap, x in found.items():
        assert torch.equal(x, again(images)[tap])
        assert not torch.allclose(x, other(images)[tap], atol=0.01)
        assert 0.1 < x.square().mean().sqrt() < 10


def test_mistakes_are_named(published: Path) -> None:
    with pytest.raises(ModelError, match="no layer relu1_3, relu6_1"):
        Vgg("vgg16", ["relu1_1", "relu1_3", "relu6_1"])
    with pytest.raises(ModelError, match="no layer to tap"):
        Vgg("vgg19", [])
    with pytest.raises(ModelError, match=r"no features\.17\.weight"):
        Vgg.from_weights("vgg16", ["relu4_1"], published)
    with pytest.raises(ModelError, match=r"7x9 pixels are too small for relu4_1.*8 pixels"):
        Vgg("vgg16", ["relu4_1"])(torch.rand(1, 3, 9, 7))
