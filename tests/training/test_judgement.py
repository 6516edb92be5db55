"""What of a step is in low precision, and what is not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from brushwork.data.loader import Batch
from brushwork.models.modulation import StyledEpilogue
from brushwork.models.synthesis import Stage
from brushwork.training.augment import AugmentConfig
from brushwork.training.draws import Draws, Rows
from brushwork.training.losses import LossConfig
from brushwork.training.steps import Networks, discriminator_step, generator_step, simultaneous_step

STAGE = Stage(16, 0.5)
STEPS = (simultaneous_step, discriminator_step, generator_step)


def step(
    function: Callable[..., Any], nets: Networks, batch: Batch, *, low: bool, **options: Any
) -> dict[str, Tensor]:
    """The gradients of one step, by name."""
    networks = nn.ModuleDict({"g": nets.generator, "d": nets.discriminator})
    networks.zero_grad(set_to_none=True)
    draws = Draws(0, rows=Rows(start=0, count=4, total=4))
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        function(nets, batch, STAGE, LossConfig(), AugmentConfig(), draws, **options)
    return {name: p.grad for name, p in networks.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("function", STEPS)
def test_low_precision_learns_what_float32_learns(
    nets: Networks, batch: Batch, function: Callable[..., Any]
) -> None:
    low, full = (step(function, nets, batch, low=flag) for flag in (True, False))
    assert low.keys() == full.keys()
    flat = [torch.cat([found[name].flatten() for name in full]) for found in (low, full)]
    assert 0.99 < torch.cosine_similarity(*flat, dim=0) < 0.9999999, "near, and not the same"
    assert all(gradient.dtype == torch.float32 for gradient in low.values())


@pytest.mark.parametrize("function", STEPS)
def test_no_matrix_is_multiplied_in_low_precision(
    nets: Networks, batch: Batch, function: Callable[..., Any]
) -> None:
    """Forward or backward: the networks of these tests have no attention, whose matrices are large."""
    found: list[torch.dtype] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
                found.append(args[-1].dtype)
            return func(*args, **(kwargs or {}))

    for module in nets.generator.modules():
        if isinstance(module, StyledEpilogue):
            module.fused = False  # its sums over places are products of matrices, in the features' precision
    with Watch():
        step(function, nets, batch, low=True)
    assert len(found) > 10
    assert set(found) == {torch.float32}


def test_a_penalty_takes_real_pictures_in_float32_and_the_others_in_low_precision(
    nets: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    features = nets.discriminator.features

    def spy(images: Tensor, stage: Stage) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return features(images, stage)

    monkeypatch.setattr(nets.discriminator, "features", spy)
    step(simultaneous_step, nets, batch, low=True, gamma=1.0)
    assert seen == [False, True]
    seen.clear()
    step(simultaneous_step, nets, batch, low=True)
    assert seen == [True, True]


def test_the_penalty_is_the_same_in_low_precision(nets: Networks, batch: Batch) -> None:
    def of_penalty(low: bool) -> dict[str, Tensor]:
        # The adversarial loss is no part of it where the penalty outweighs it a millionfold.
        return step(discriminator_step, nets, batch, low=low, gamma=1e6)

    low, full = of_penalty(True), of_penalty(False)
    largest = max(float(gradient.abs().max()) for gradient in full.values())
    for name, gradient in full.items():
        torch.testing.assert_close(low[name], gradient, rtol=1e-4, atol=1e-5 * largest)
