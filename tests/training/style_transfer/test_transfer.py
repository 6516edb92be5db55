"""Neural style transfer: what is fixed, what moves, and that nothing else does."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.vgg import Vgg
from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.config import PRESETS, Optimizer, StylizeConfig
from brushwork.training.style_transfer.transfer import Scene, Stylizer, stylize

QUICK = StylizeConfig(
    backbone="random", style_layers=("relu1_1", "relu2_1"), content_layers=("relu1_2",), evaluations=8,
    precision="fp32",
)  # fmt: skip
OPTIMIZERS: tuple[Optimizer, ...] = ("lbfgs", "adam", "adam-lbfgs")


@pytest.fixture(scope="module")
def network() -> Vgg:
    return Vgg.random("vgg19", ("relu1_1", "relu1_2", "relu2_1"))


def noise(seed: int, height: int = 20, width: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def stripes(height: int = 20, width: int = 24) -> Tensor:
    return (torch.arange(width) % 4 * 80).to(torch.uint8).expand(3, height, width).contiguous()


def drawn(network: Vgg, scene: Scene, config: StylizeConfig = QUICK) -> Tensor:
    stylizer = Stylizer(scene, config, network=network)
    list(stylizer)
    return stylizer.drawn()


# Fixed points
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_picture_in_its_own_style_stays_as_it_is(network: Vgg, optimizer: Optimizer) -> None:
    config = replace(QUICK, optimizer=optimizer)
    assert stylize(noise(0), [noise(0)], config, network=network).equal(noise(0))


def test_strength_0_is_the_content_and_half_is_between(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    assert drawn(network, scene, replace(QUICK, strength=0.0)).equal(noise(0))
    whole, half = drawn(network, scene).float(), drawn(network, scene, replace(QUICK, strength=0.5)).float()
    assert (whole - noise(0).float()).abs().max() > 20
    assert (half - (whole + noise(0).float()) / 2).abs().max() <= 1


def test_without_weight_for_style_the_content_comes_back_from_noise(network: Vgg) -> None:
    config = replace(
        QUICK,
        style_weight=0.0,
        content_weight=1.0,
        content_layers=("relu1_1",),
        start="noise",
        evaluations=60,
    )
    content = noise(0) // 2 + 64
    found = drawn(network, Scene(content=content, styles=[stripes()]), config)
    assert (found.float() - content.float()).abs().mean() < 6


# Progress
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("style_loss", ["gram", "mean-std", "wasserstein"])
def test_the_loss_falls(network: Vgg, optimizer: Optimizer, style_loss: Any) -> None:
    config = replace(QUICK, optimizer=optimizer, style_loss=style_loss, evaluations=25)
    steps = list(Stylizer(Scene(content=noise(0), styles=[stripes()]), config, network=network))
    assert len(steps) == 25
    assert steps[-1].losses.total < 0.7 * steps[0].losses.total


def test_weights_shift_the_balance(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    ends = []
    for weight in (0.001, 0.03, 1.0):
        config = replace(QUICK, style_weight=weight, evaluations=30)
        ends.append(list(Stylizer(scene, config, network=network))[-1].losses)
    assert ends[0].style > ends[1].style > ends[2].style
    assert ends[0].content < ends[1].content < ends[2].content


def test_values_leave_black_and_white_only_if_they_may(network: Vgg) -> None:
    content, style = noise(0), stripes()
    for clamp in (True, False):
        config = replace(QUICK, clamp=clamp, optimizer="adam", adam_lr=0.2)
        stylizer = Stylizer(Scene(content=content, styles=[style]), config, network=network)
        list(stylizer)
        standing = stylizer.standing()
        assert (standing.min() >= 0 and standing.max() <= 1) == clamp
        cut = (standing[0].clamp(0, 1) * 255).round().to(torch.uint8)
        assert stylizer.drawn().equal(cut)


def test_roughness_is_reduced_by_its_weight(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    rough, smooth = (drawn(network, scene, replace(QUICK, tv_weight=w)).float() for w in (0.0, 10.0))
    assert smooth.diff(dim=2).abs().mean() < 0.8 * rough.diff(dim=2).abs().mean()


# Several styles
def test_weights_1_and_0_are_the_single_style(network: Vgg) -> None:
    alone = drawn(network, Scene(content=noise(0), styles=[stripes()]))
    both = drawn(network, Scene(content=noise(0), styles=[stripes(), noise(1)], weights=(1.0, 0.0)))
    assert (both.int() - alone.int()).abs().max() <= 1
    other = drawn(network, Scene(content=noise(0), styles=[stripes(), noise(1)]))
    assert (other.int() - alone.int()).abs().max() > 5


# Masks
def test_what_a_mask_leaves_out_stays_bit_for_bit(network: Vgg) -> None:
    mask = torch.zeros(20, 24, dtype=torch.uint8)
    mask[:, :12] = 255
    found = drawn(network, Scene(content=noise(0), styles=[stripes()], masks=[mask]))
    assert found[..., 12:].equal(noise(0)[..., 12:])
    assert not found[..., :12].equal(noise(0)[..., :12])
    full = torch.full((20, 24), 255, dtype=torch.uint8)
    masked = drawn(network, Scene(content=noise(0), styles=[stripes()], masks=[full]))
    assert (masked.int() - drawn(network, Scene(content=noise(0), styles=[stripes()])).int()).abs().max() <= 1


def test_each_style_has_its_place(network: Vgg) -> None:
    left = torch.zeros(20, 24, dtype=torch.uint8)
    left[:, :12] = 255
    black, white = torch.zeros(3, 20, 24, dtype=torch.uint8), torch.full((3, 20, 24), 255, dtype=torch.uint8)
    config = replace(QUICK, content_weight=0.0, evaluations=30)
    grey = torch.full((3, 20, 24), 128, dtype=torch.uint8)
    found = drawn(
        network, Scene(content=grey, styles=[black, white], masks=[left, 255 - left]), config
    ).float()
    assert found[..., :10].mean() + 40 < found[..., 14:].mean()


# Sizes
def test_tiles_give_what_the_whole_gives(network: Vgg) -> None:
    """The gradient is the same but for rounding; steps grow that, so few are compared."""
    scene = Scene(content=noise(0, 70, 50), styles=[stripes(40, 40)], masks=[])
    config = replace(QUICK, evaluations=3)
    ends = []
    for tile in (0, 16, 32):
        stylizer = Stylizer(scene, replace(config, tile=tile), network=network)
        steps = list(stylizer)
        ends.append((steps, stylizer.drawn().int()))
    for steps, image in ends[1:]:
        assert (image - ends[0][1]).abs().max() <= 1
        for one, other in zip(steps, ends[0][0], strict=True):
            assert one.losses.total == pytest.approx(other.losses.total, rel=1e-4)


@pytest.mark.parametrize("style_loss", ["gram", "mean-std", "wasserstein"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_by_tiles_is_that_of_the_whole(network: Vgg, style_loss: Any, masked: bool) -> None:
    mask = (torch.arange(50) * 5).to(torch.uint8).expand(70, 50).contiguous()
    scene = Scene(content=noise(0, 70, 50), styles=[stripes(40, 40)], masks=[mask] if masked else [])
    image = torch.rand(1, 3, 70, 50, generator=torch.Generator().manual_seed(3))
    found = []
    for tile in (0, 32):
        config = replace(QUICK, style_loss=style_loss, tile=tile, tv_weight=0.1)
        found.append(Stylizer(scene, config, network=network).objective(image))
    (losses, gradient), (tiled, by_tiles) = found
    assert tiled.total == pytest.approx(losses.total, rel=1e-4)
    assert (by_tiles - gradient).abs().max() < 1e-3 * gradient.abs().max()


def test_the_result_has_the_size_that_was_asked_for(network: Vgg) -> None:
    scene = Scene(content=noise(0, 40, 60), styles=[stripes()])
    assert drawn(network, scene).shape == (3, 40, 60)
    config = replace(QUICK, size=48, coarsest=24, evaluations=2)
    assert config.sides(48) == [24, 48]
    assert drawn(network, scene, config).shape == (3, 32, 48)


def test_smaller_sizes_may_take_fewer_evaluations(network: Vgg) -> None:
    config = replace(QUICK, size=40, coarsest=10, evaluations=3, coarse_evaluations=2)
    steps = list(Stylizer(Scene(content=noise(0), styles=[stripes()]), config, network=network))
    assert [step.side for step in steps] == [10, 10, 20, 20, 40, 40, 40]
    assert {step.of for step in steps} == {7}


def test_sizes_grow_to_the_last_one() -> None:
    assert replace(QUICK, coarsest=0).sides(100) == [100]
    assert replace(QUICK, coarsest=128).sides(512) == [128, 256, 512]
    assert replace(QUICK, coarsest=128).sides(100) == [100]
    assert replace(QUICK, coarsest=128, growth=2**0.5).sides(256) == [128, 181, 256]


# Colours
def test_luma_keeps_the_contents_colours(network: Vgg) -> None:
    content = noise(0) // 2 + 64
    found = drawn(network, Scene(content=content, styles=[stripes()]), replace(QUICK, colours="luma"))
    change = found.float() - content.float()
    inside = ((found > 0) & (found < 255)).all(dim=0)
    assert (change.amax(dim=0) - change.amin(dim=0))[inside].max() <= 2


def test_statistics_recolour_the_style(network: Vgg) -> None:
    red = torch.stack([noise(1)[0], noise(1)[1] // 8, noise(1)[2] // 8])
    scene = Scene(content=noise(0), styles=[red])
    plain, recoloured = (
        drawn(network, scene, replace(QUICK, content_weight=0.0, colours=colours, evaluations=30)).float()
        for colours in ("style", "statistics")
    )
    assert plain[0].mean() - plain[1].mean() > 20
    assert (recoloured[0].mean() - recoloured[1].mean()).abs() < 10


# Repeating and resuming
def test_the_seed_gives_the_noise_and_the_same_picture(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    config, state = replace(QUICK, start="noise"), torch.get_rng_state()
    first = drawn(network, scene, config)
    assert drawn(network, scene, config).equal(first)
    assert torch.get_rng_state().equal(state)
    assert not drawn(network, scene, replace(config, seed=1)).equal(first)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("cut", [3, 8, 9, 13])
def test_resumed_is_uninterrupted(network: Vgg, optimizer: Optimizer, cut: int) -> None:
    """Within a size, at its end, and after it."""
    scene = Scene(content=noise(0, 40, 48), styles=[stripes()])
    config = replace(QUICK, optimizer=optimizer, coarsest=24)
    first = Stylizer(scene, config, network=network)
    assert first.total == 16
    for _ in range(cut):
        first.advance()
    second = Stylizer(scene, config, network=network)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    assert second.number == cut
    assert second.drawn().equal(first.drawn())
    list(second)
    assert second.drawn().equal(drawn(network, scene, config))


# Mistakes
def test_a_loss_that_is_no_number_leaves_the_last_good_picture(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    stylizer = Stylizer(scene, replace(QUICK, optimizer="adam"), network=network)
    for _ in range(3):
        stylizer.advance()
    stylizer.image = torch.full_like(stylizer.image, torch.nan)
    before = stylizer.drawn()
    with pytest.raises(TrainingError, match="the loss is nan"):
        stylizer.advance()
    assert stylizer.drawn().equal(before)


def test_a_loss_that_ends_above_its_start_is_a_failure_with_the_best_picture(network: Vgg) -> None:
    scene = Scene(content=noise(0), styles=[stripes()])
    stylizer = Stylizer(scene, replace(QUICK, optimizer="adam", adam_lr=100.0, clamp=False), network=network)
    seen = []
    with pytest.raises(TrainingError, match=r"the loss ended at .*, above the .* that it began with"):
        seen.extend(step.losses.total for step in stylizer)
    assert min(seen) == seen[0]
    assert stylizer.drawn().equal(noise(0)), "the content, with which it began"


def test_scenes_that_do_not_fit() -> None:
    content = noise(0)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"styles": []}, "no style picture"),
        ({"styles": [content], "weights": (1.0, 2.0)}, "2 weights were given for 1 styles"),
        ({"styles": [content] * 2, "weights": (1.0,)}, "2 styles have 1 weights"),
        ({"styles": [content] * 2, "weights": (0.0, 0.0)}, "one must be more"),
        (
            {"styles": [content], "masks": [torch.ones(4, 5, dtype=torch.uint8)]},
            "mask is 5x4 and the content 24x20",
        ),
        ({"styles": [content], "masks": [torch.zeros(20, 24, dtype=torch.uint8)]}, "black throughout"),
        ({"styles": [content], "masks": [torch.ones(20, 24, dtype=torch.uint8)] * 3}, "3 masks for 1 styles"),
    ]
    for changes, sentence in cases:
        given: dict[str, Any] = {"content": content, **changes}
        with pytest.raises(TrainingError, match=sentence):
            Scene(**given)


def test_nothing_to_follow_is_refused() -> None:
    with pytest.raises(TrainingError, match="are both 0"):
        replace(QUICK, style_weight=0.0, content_weight=0.0)


def test_pictures_too_small_for_the_network(network: Vgg) -> None:
    deep = Vgg.random("vgg16", ("relu5_1",))
    config = replace(QUICK, style_layers=("relu5_1",), content_layers=("relu5_1",))
    with pytest.raises(ModelError, match="24x12 pixels are too small"):
        Stylizer(Scene(content=noise(0, 12, 24), styles=[stripes()]), config, network=deep)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_nearer_to_what_they_are_asked_for(name: str) -> None:
    """As far as 30 evaluations lead; whole steps had leapt by then, and led nowhere."""
    config = replace(PRESETS[name](), backbone="random", evaluations=30, size=32, precision="fp32")
    stylizer = Stylizer(Scene(content=noise(0, 32, 32), styles=[stripes(32, 32)]), config)
    list(stylizer)
    assert stylizer.optimizer.loss < 0.5 * stylizer.first_loss
    assert stylizer.drawn().shape == (3, 32, 32)
