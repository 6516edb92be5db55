"""Growing and fading, and what each layer depends on."""

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.layers import downsample2x, upsample2x
from brushwork.models.stage import Stage, channels, fade, fade_reals, layer_count, resolutions
from brushwork.models.synthesis import Content


def codes(rows: int = 2) -> Tensor:
    return torch.randn(rows, 6, 8)


def test_resolutions_layers_and_widths() -> None:
    assert resolutions(32) == [4, 8, 16, 32]
    assert [layer_count(r) for r in (4, 8, 1024)] == [2, 4, 18]  # Karras 2019: 18 layers at 1024
    assert channels(64, base=8192, most=512) == {4: 512, 8: 512, 16: 512, 32: 256, 64: 128}
    assert channels(1024, base=64, most=512)[1024] == 1


def test_fades_are_linear_and_exact_at_their_ends() -> None:
    older, newer = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    assert torch.equal(fade(older, newer, 0.0), older)
    assert fade(older, newer, 1.0) is newer
    assert fade_reals(newer, 1.0) is newer
    assert torch.allclose(fade(older, newer, 0.3), 0.7 * older + 0.3 * newer, atol=1e-6)
    coarse = upsample2x(downsample2x(newer))
    assert torch.allclose(fade_reals(newer, 0.3), fade(coarse, newer, 0.3))


@pytest.mark.parametrize("resolution", [8, 16])
def test_the_generator_fades_from_the_stage_before(generator: Generator, resolution: int) -> None:
    w, synthesis = codes(), generator.synthesis
    assert torch.equal(synthesis(w, Stage(4, 0.3)), synthesis(w, Stage(4)))
    with pytest.raises(ModelError, match="stage 32 exceeds the network's resolution 16"):
        synthesis(w, Stage(32))
    smaller = upsample2x(synthesis(w, Stage(resolution // 2)))
    finished = synthesis(w, Stage(resolution))
    for alpha in (0.0, 0.5, 1 - 1e-6):
        faded = synthesis(w, Stage(resolution, alpha))
        assert torch.allclose(faded, torch.lerp(smaller, finished, alpha), atol=1e-5)


@pytest.mark.parametrize("stage", [Stage(4), Stage(8), Stage(8, 0.5), Stage(16, 0.5)])
def test_only_the_layers_of_the_stage_get_gradients(generator: Generator, stage: Stage) -> None:
    synthesis = generator.synthesis
    synthesis(codes(), stage, lambda shape: torch.randn(2, *shape)).square().sum().backward()
    shown = {stage.resolution} | ({stage.resolution // 2} if stage.alpha < 1 else set())
    for name, parameter in synthesis.named_parameters():
        part, _, resolution = name.partition(".")
        r = int(resolution.split(".")[0]) if resolution else 4
        used = r in shown if part == "to_rgb" else r <= stage.resolution
        assert (parameter.grad is not None) == used, name
        assert not used or parameter.grad is None or parameter.grad.any(), f"{name} is dead"


@pytest.mark.parametrize("entry", [None, 8])
def test_every_active_layer_depends_on_its_own_code(generator: Generator, entry: int | None) -> None:
    """Content at 8 px enters in the second half of that block: layers 0 to 2 have no effect."""
    content = None if entry is None else Content(features=torch.randn(2, 12, entry, entry))
    w, inactive = codes(), 0 if entry is None else 3
    image = generator.synthesis(w, Stage(16), content=content)
    for layer in range(6):
        other = w.clone()
        other[:, layer] += 1
        same = torch.equal(generator.synthesis(other, Stage(16), content=content), image)
        assert same == (layer < inactive), layer
    assert torch.equal(generator.synthesis(w, Stage(8)), generator.synthesis(w[:, :4], Stage(8)))


@torch.no_grad()
@pytest.mark.parametrize("entry", [None, 4, 8])
def test_start_features_are_not_overwritten(generator: Generator, entry: int | None) -> None:
    """Even for a single image, with the weights in channels-last memory as in training."""
    synthesis = generator.synthesis.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start, features = synthesis.start.clone(), torch.ones(1, 12, entry or 4, entry or 4)
    content = None if entry is None else Content(features=features)
    images = [synthesis(codes(1) * 0, Stage(16), None, content) for _ in range(2)]
    assert torch.equal(*images)
    assert torch.equal(synthesis.start, start)
    assert torch.equal(features, torch.ones_like(features))


def test_each_layer_gets_one_noise_map_of_its_size(generator: Generator) -> None:
    shapes: list[tuple[int, ...]] = []

    def normal(shape: tuple[int, ...]) -> Tensor:
        shapes.append(shape)
        return torch.randn(2, *shape)

    w = codes()
    noisy = generator.synthesis(w, Stage(16), normal)
    assert shapes == [(1, r, r) for r in (4, 4, 8, 8, 16, 16)]
    assert not torch.allclose(noisy, generator.synthesis(w, Stage(16)), atol=1e-3)
