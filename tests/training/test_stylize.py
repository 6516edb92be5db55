"""Pixels move only where there is something to gain, each picture by itself, and nothing else moves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.perceptual import Vgg
from brushwork.training.errors import TrainingError
from brushwork.training.stylize import Objective, Optimizer, StylizeConfig, enlarged, optimised, stylize

QUICK = StylizeConfig(
    style_taps=("relu1_1", "relu2_1"), content_tap="relu1_2", iterations=6, side=16, style_weight=1e4
)
OPTIMIZERS: tuple[Optimizer, ...] = ("lbfgs", "adam")


@pytest.fixture(scope="module")
def network() -> Vgg:
    return Vgg.random("vgg16", QUICK.taps)


def noise(seed: int, count: int = 2, size: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def losses(
    network: Vgg, images: Tensor, contents: Tensor, styles: Tensor, config: StylizeConfig = QUICK
) -> Tensor:
    images, contents, styles = (enlarged(x.float() / 255, config.side) for x in (images, contents, styles))
    with torch.no_grad():
        return Objective.of(network, contents, styles, config)(images)


# Fixed points
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_picture_in_its_own_style_stays_as_it_is(network: Vgg, optimizer: Optimizer) -> None:
    images = noise(0)
    assert torch.equal(stylize(images, images, network, replace(QUICK, optimizer=optimizer)), images)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_a_weight_for_style_the_content_comes_back(network: Vgg, optimizer: Optimizer) -> None:
    config = replace(QUICK, optimizer=optimizer, style_weight=0.0)
    assert torch.equal(stylize(noise(0), noise(1), network, config), noise(0))


# Progress
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_falls(network: Vgg, optimizer: Optimizer) -> None:
    contents, styles = noise(0), noise(1) // 4
    config = replace(QUICK, optimizer=optimizer)
    before = losses(network, contents, contents, styles)
    few = stylize(contents, styles, network, replace(config, iterations=2))
    many = stylize(contents, styles, network, replace(config, iterations=20))
    after = [losses(network, images, contents, styles) for images in (few, many)]
    assert (after[1] < after[0]).all()
    assert (after[0] < before).all()
    assert (after[1] < 0.5 * before).all()


def test_more_weight_for_content_keeps_more_of_it(network: Vgg) -> None:
    contents, styles = noise(0), noise(1) // 4
    content_alone = replace(QUICK, style_weight=0.0)
    loose, tight = (
        losses(network, stylize(contents, styles, network, config), contents, styles, content_alone)
        for config in (replace(QUICK, content_weight=0.0), replace(QUICK, content_weight=1e5))
    )
    assert (tight < 0.8 * loose).all()


def test_nothing_is_left_to_chance(network: Vgg) -> None:
    torch.manual_seed(1)
    first, state = stylize(noise(0), noise(1), network, QUICK), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(stylize(noise(0), noise(1), network, QUICK), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "nor is anything drawn"


# One by one
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pictures_do_not_meet(network: Vgg, optimizer: Optimizer) -> None:
    """The second has a loss a hundred times as steep, which would set a common step size."""
    contents, styles = noise(0), torch.cat([noise(1)[:1] // 8 + 100, noise(1)[1:]])
    config = replace(QUICK, optimizer=optimizer, iterations=4)
    together = stylize(contents, styles, network, config).int()
    alone = torch.cat(
        [stylize(contents[i : i + 1], styles[i : i + 1], network, config) for i in range(2)]
    ).int()
    assert (together - alone).abs().max() <= 1
    assert (together - contents.int()).abs().max() > 4


def test_gradients_reach_pixels_alone() -> None:
    """Even of a network whose weights ask for them."""
    network = Vgg.random("vgg16", QUICK.taps).requires_grad_()
    before = [parameter.clone() for parameter in network.parameters()]
    start = torch.rand(1, 3, 16, 16)
    objective = Objective.of(network, start, torch.rand(1, 3, 16, 16), QUICK)
    calls: list[int] = []
    moved = optimised(objective, start, replace(QUICK, optimizer="adam"), lambda: calls.append(1))
    assert not torch.equal(moved, start)
    assert not moved.requires_grad
    assert len(calls) == QUICK.iterations
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


# Sizes
def test_pictures_keep_their_size_and_styles_may_have_another(network: Vgg) -> None:
    contents = noise(0, size=20)[:, :, :, :14]
    found = stylize(contents, noise(1, size=24), network, QUICK)
    assert found.shape == contents.shape
    assert found.dtype == torch.uint8


def test_enlarging_keeps_shape_and_range() -> None:
    images = torch.rand(1, 3, 8, 12).round()
    large = enlarged(images, 16)
    assert large.shape == (1, 3, 16, 24)
    assert large.min() >= 0
    assert large.max() <= 1
    assert enlarged(images, 8) is images


# Mistakes
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"style_taps": ()}, "style_taps names no layer"),
        ({"style_weight": -1.0}, "style_weight is -1"),
        ({"style_weight": 0.0, "content_weight": 0.0}, "one above"),
        ({"iterations": 0}, "iterations is 0"),
        ({"side": 8}, "side is 8"),
        ({"adam_lr": 0.0}, "adam_lr is 0"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], words: str) -> None:
    make: Callable[..., StylizeConfig] = StylizeConfig
    with pytest.raises(TrainingError, match=words):
        make(**change)
