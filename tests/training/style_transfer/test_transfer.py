from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.vgg import Vgg
from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.config import PRESETS, Optimizer, StylizeConfig
from brushwork.training.style_transfer.transfer import Stylizer, TransferInputs, stylize

QUICK = StylizeConfig(
    backbone="random", style_layers=("relu1_1", "relu2_1"), content_layers=("relu1_2",), evaluations=8,
    precision="fp32",
)  # fmt: skip
OPTIMIZERS: tuple[Optimizer, ...] = ("lbfgs", "adam-lbfgs")
NETWORK = Vgg.random("vgg19", ("relu1_1", "relu1_2", "relu2_1"))


def noise(seed: int = 0, height: int = 20, width: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


STRIPES = (torch.arange(24) % 4 * 80).to(torch.uint8).expand(3, 20, 24).contiguous()
LEFT = torch.zeros(20, 24, dtype=torch.uint8)
LEFT[:, :12] = 255
PLAIN = TransferInputs(content=noise(), styles=[STRIPES])


def run(inputs: TransferInputs = PLAIN, **changes: Any) -> Stylizer:
    """A finished stylizer."""
    stylizer = Stylizer(inputs, replace(QUICK, **changes), network=NETWORK)
    list(stylizer)
    return stylizer


def result(inputs: TransferInputs = PLAIN, **changes: Any) -> Tensor:
    return run(inputs, **changes).result().int()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_image_in_its_own_style_is_a_fixed_point(optimizer: Optimizer) -> None:
    assert stylize(noise(), [noise()], replace(QUICK, optimizer=optimizer), network=NETWORK).equal(noise())


def test_without_a_style_loss_the_content_is_recovered_from_noise() -> None:
    inputs = replace(PLAIN, content=noise() // 2 + 64)
    weights = {"style_weight": 0.0, "content_weight": 1.0, "content_layers": ("relu1_1",)}
    found = result(inputs, start="noise", evaluations=60, **weights)
    assert (found - inputs.content.int()).float().abs().mean() < 6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
def test_the_loss_falls(optimizer: Optimizer, style_loss: Any) -> None:
    config = replace(QUICK, optimizer=optimizer, style_loss=style_loss, evaluations=25, coarsest=12)
    losses = [step.losses.total for step in Stylizer(PLAIN, config, network=NETWORK)]
    assert len(losses) == 50
    assert losses[24] < 0.7 * losses[0]
    assert losses[-1] < 0.7 * losses[0]


def test_weights_shift_the_balance() -> None:
    configs = [replace(QUICK, style_weight=weight, evaluations=30) for weight in (0.001, 0.03, 1.0)]
    ends = [list(Stylizer(PLAIN, config, network=NETWORK))[-1].losses for config in configs]
    assert ends[0].style > ends[1].style > ends[2].style
    assert ends[0].content < ends[1].content < ends[2].content


@pytest.mark.parametrize("clamp", [True, False])
def test_values_leave_0_to_1_only_without_clamp(clamp: bool) -> None:
    stylizer = run(clamp=clamp, content_weight=0.0)
    image = stylizer.best_image()
    assert (image.min() >= 0 and image.max() <= 1) == clamp
    assert stylizer.result().equal((image[0].clamp(0, 1) * 255).round().to(torch.uint8))


def test_the_tv_weight_smooths() -> None:
    rough, smooth = (result(tv_weight=weight).float() for weight in (0.0, 10.0))
    assert smooth.diff(dim=2).abs().mean() < 0.8 * rough.diff(dim=2).abs().mean()


def test_weights_1_and_0_are_the_single_style() -> None:
    both = TransferInputs(content=noise(), styles=[STRIPES, noise(1)], weights=(1.0, 0.0))
    assert (result(both) - result()).abs().max() <= 1
    assert (result(replace(both, weights=())) - result()).abs().max() > 5


def test_outside_a_mask_the_content_stays_bit_for_bit() -> None:
    found = result(replace(PLAIN, masks=[LEFT]))
    assert found[..., 12:].equal(noise().int()[..., 12:])
    assert not found[..., :12].equal(noise().int()[..., :12])
    assert (result(replace(PLAIN, masks=[torch.full_like(LEFT, 255)])) - result()).abs().max() <= 1


def test_each_style_stays_in_its_mask() -> None:
    black, grey, white = (torch.full_like(STRIPES, level) for level in (0, 128, 255))
    inputs = TransferInputs(content=grey, styles=[black, white], masks=[LEFT, 255 - LEFT])
    found = result(inputs, content_weight=0.0, evaluations=30).float()
    assert found[..., :10].mean() + 40 < found[..., 14:].mean()


def test_results_have_the_configured_size_and_small_sizes_their_own_evaluations() -> None:
    inputs = TransferInputs(content=noise(0, 40, 60), styles=[STRIPES])
    assert result(inputs, evaluations=2).shape == (3, 40, 60)
    config = replace(QUICK, size=48, coarsest=12, evaluations=3, coarse_evaluations=2)
    stylizer = Stylizer(inputs, config, network=NETWORK)
    assert [step.side for step in stylizer] == [12, 12, 24, 24, 48, 48, 48]
    assert config.sides(11) == replace(config, coarsest=0).sides(11) == [11]
    assert stylizer.total == 7
    assert stylizer.result().shape == (3, 32, 48)


def test_luma_keeps_the_contents_chroma() -> None:
    inputs = replace(PLAIN, content=noise() // 2 + 64)
    found = result(inputs, colours="luma")
    change = found - inputs.content.int()
    unclamped = ((found > 0) & (found < 255)).all(dim=0)
    assert (change.amax(dim=0) - change.amin(dim=0))[unclamped].max() <= 2


def test_the_seed_determines_the_result() -> None:
    state, first = torch.get_rng_state(), result(start="noise")
    assert result(start="noise").equal(first)
    assert torch.get_rng_state().equal(state)
    assert not result(start="noise", seed=1).equal(first)


def test_a_loss_that_is_not_finite_leaves_the_best_image() -> None:
    stylizer = Stylizer(PLAIN, replace(QUICK, optimizer="adam-lbfgs", coarsest=12), network=NETWORK)
    for _ in range(3):
        stylizer.advance()
    stylizer.image = torch.full_like(stylizer.image, torch.nan)
    before = stylizer.result()
    with pytest.raises(TrainingError, match="the loss is nan"):
        stylizer.advance()
    assert stylizer.result().equal(before)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"styles": []}, "no style image"),
        (
            {"styles": [STRIPES] * 2, "weights": (1.0,)},
            "1 weights were given for 2 styles: give one for each",
        ),
        ({"styles": [STRIPES] * 2, "weights": (0.0, 0.0)}, "one must be more"),
        ({"masks": [LEFT[:4, :5]]}, "mask is 5x4 and the content 24x20"),
        ({"masks": [torch.zeros_like(LEFT)]}, "black throughout"),
        ({"masks": [LEFT] * 3}, "3 masks for 1 styles"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence):
        replace(PLAIN, **changes)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrainingError, match="are both 0"):
        replace(QUICK, style_weight=0.0, content_weight=0.0)
    deep = Vgg.random("vgg16", ("relu5_1",))
    config = replace(QUICK, style_layers=("relu5_1",), content_layers=("relu5_1",))
    with pytest.raises(ModelError, match="24x12 pixels are too small"):
        Stylizer(replace(PLAIN, content=noise(0, 12, 24)), config, network=deep)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_lower_their_loss(name: str) -> None:
    config = replace(PRESETS[name](), backbone="random", evaluations=30, size=32, precision="fp32")
    stylizer = Stylizer(TransferInputs(content=noise(0, 32, 32), styles=[noise(1, 32, 32)]), config)
    losses = [step.losses.total for step in stylizer if step.side == 32]
    assert losses[-1] < 0.5 * losses[0]
    assert stylizer.result().shape == (3, 32, 32)
