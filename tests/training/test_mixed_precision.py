"""The parts of a step that are in low precision, and those that are not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from brushwork.data.loader import Batch
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.modulation import Modulation, StyledEpilogue
from brushwork.models.stage import Stage
from brushwork.training.adversarial import LossConfig
from brushwork.training.restyle.objectives import Contrast, RestylingObjective
from brushwork.training.step import (
    Networks,
    Sampling,
    discriminator_step,
    encoder_step,
    generator_step,
    simultaneous_step,
)

from .conftest import plain_epilogue, step_context

STEPS = (simultaneous_step, discriminator_step, generator_step)
PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm)


def step(
    function: Callable[..., Any], nets: Networks, batch: Batch, *, low: bool,
    loss: LossConfig | None = None, **options: Any,
) -> dict[str, Tensor]:  # fmt: skip
    """The gradients of one step, by name."""
    networks = nn.ModuleDict({"g": nets.generator, "d": nets.discriminator})
    networks.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        function(Sampling(), nets, batch, step_context(loss, **options))
    return {name: p.grad for name, p in networks.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("function", STEPS)
def test_low_precision_learns_what_float32_learns(
    nets: Networks, batch: Batch, function: Callable[..., Any]
) -> None:
    low, full = (step(function, nets, batch, low=flag) for flag in (True, False))
    assert low.keys() == full.keys()
    flat = [torch.cat([found[name].flatten() for name in full]) for found in (low, full)]
    assert 0.98 < torch.cosine_similarity(*flat, dim=0) < 0.9999999, "near, and not the same"
    assert all(gradient.dtype == torch.float32 for gradient in low.values())


def products(action: Callable[[], object]) -> list[torch.dtype]:
    """The precision of every product of matrices, forward and backward."""
    found: list[torch.dtype] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._overloadpacket in PRODUCTS:
                found.append(args[-1].dtype)
            return func(*args, **(kwargs or {}))

    with pytest.MonkeyPatch.context() as patch, Watch(), torch.autocast("cpu", torch.bfloat16):
        # `inject` sums over places by products of matrices, in the features' precision.
        patch.setattr(StyledEpilogue, "forward", plain_epilogue)
        action()
    return found


@pytest.mark.parametrize("function", STEPS)
@pytest.mark.parametrize("modulation", get_args(Modulation))
def test_no_matrix_is_multiplied_in_low_precision(
    nets: Networks, batch: Batch, function: Callable[..., Any], modulation: Modulation
) -> None:
    config = replace(nets.generator.config, modulation=modulation)
    nets = replace(nets, generator=Generator(config, nets.generator.style_names))
    found = products(lambda: step(function, nets, batch, low=True))
    assert len(found) > 10
    assert set(found) == {torch.float32}


def test_no_term_of_the_encoders_is_multiplied_in_low_precision(
    both: Networks, classifier: StyleClassifier, batch: Batch
) -> None:
    context = step_context(classifier=classifier)
    for function in STEPS:
        found = products(lambda step=function: step(RestylingObjective(), both, batch, context))
        assert len(found) > 20, "the style encoder's codes are among them"
        assert set(found) == {torch.float32}
    assert set(products(lambda: encoder_step(Contrast(), both, batch, context))) == {torch.float32}


@pytest.mark.parametrize(("r2", "low"), [(False, True), (True, False)])
def test_a_penalty_takes_its_pictures_in_float32_and_the_others_in_low_precision(
    nets: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch, r2: bool, low: bool
) -> None:
    seen: list[bool] = []
    features = nets.discriminator.features

    def spy(images: Tensor, stage: Stage) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return features(images, stage)

    monkeypatch.setattr(nets.discriminator, "features", spy)
    loss = LossConfig(r2=r2)
    for gamma in (1.0, 0.0):
        step(simultaneous_step, nets, batch, low=True, gamma=gamma, loss=loss)
    assert seen == [False, low, True, True]


def test_the_penalty_is_the_same_in_low_precision(nets: Networks, batch: Batch) -> None:
    # The adversarial loss plays no part where the penalty outweighs it by far.
    low, full = (step(discriminator_step, nets, batch, low=flag, gamma=1e8) for flag in (True, False))
    largest = max(float(gradient.abs().max()) for gradient in full.values())
    for name, gradient in full.items():
        torch.testing.assert_close(low[name], gradient, rtol=1e-4, atol=1e-5 * largest)
