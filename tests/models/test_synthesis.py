from typing import get_args

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.layers import downsample2x, upsample2x
from brushwork.models.modulation import Modulation
from brushwork.models.stage import Stage, check_resolution, fade, fade_reals, layer_count, resolutions, width
from brushwork.models.synthesis import Content, Synthesis


def codes(rows: int = 2) -> Tensor:
    return torch.randn(rows, 6, 8)


# Resolutions


@pytest.mark.parametrize("resolution", [8, 16, 1024])
def test_powers_of_two_pass(resolution: int) -> None:
    assert check_resolution(resolution) == resolution


@pytest.mark.parametrize(
    ("resolution", "remedy"),
    [(24, "use 16 or 32"), (100, "use 64 or 128"), (4, "use 8 or 16"), (0, "use 8 or 16"), (-8, "8 or 16")],
)
def test_other_resolutions_are_refused_with_their_neighbours(resolution: int, remedy: str) -> None:
    with pytest.raises(ModelError, match=f"resolution {resolution} is no power of two.*{remedy}"):
        check_resolution(resolution)


def test_resolutions_layers_and_widths() -> None:
    assert resolutions(32) == [4, 8, 16, 32]
    assert [layer_count(r) for r in (4, 8, 1024)] == [2, 4, 18]  # Karras 2019: 18 layers at 1024
    assert [width(r, base=8192, most=512) for r in (4, 16, 32, 1024)] == [512, 512, 256, 8]
    assert width(1024, base=64, most=512) == 1


def test_a_stage_beyond_the_network_is_refused(generator: Generator) -> None:
    with pytest.raises(ModelError, match="stage 32 exceeds the network's resolution 16"):
        generator.synthesis(codes(), Stage(32))


# Fading


def test_fade_is_linear_and_exact_at_its_ends() -> None:
    older, newer = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert torch.equal(fade(older, newer, 0.0), older)
    assert fade(older, newer, 1.0) is newer
    assert torch.allclose(fade(older, newer, 0.3), 0.7 * older + 0.3 * newer, atol=1e-6)


def test_reals_fade_from_their_own_half_size_version() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(fade_reals(images, 1.0), images)
    assert torch.equal(fade_reals(images, 0.0), upsample2x(downsample2x(images)))
    assert torch.allclose(downsample2x(fade_reals(images, 0.5)), downsample2x(images), atol=1e-6), (
        "no light is lost"
    )


@pytest.mark.parametrize("resolution", [8, 16])
def test_at_alpha_zero_the_generator_draws_the_stage_before_enlarged(
    generator: Generator, resolution: int
) -> None:
    w = codes()
    before = generator.synthesis(w, Stage(resolution // 2))
    assert torch.equal(generator.synthesis(w, Stage(resolution, 0.0)), upsample2x(before))


@pytest.mark.parametrize("resolution", [8, 16])
def test_a_fade_that_nears_one_nears_the_finished_stage(generator: Generator, resolution: int) -> None:
    w = codes()
    finished = generator.synthesis(w, Stage(resolution))
    nearly = generator.synthesis(w, Stage(resolution, 1 - 1e-6))
    assert torch.allclose(nearly, finished, atol=1e-4)
    halfway = generator.synthesis(w, Stage(resolution, 0.5))
    smaller = upsample2x(generator.synthesis(w, Stage(resolution // 2)))
    assert torch.allclose(halfway, (smaller + finished) / 2, atol=1e-5)


def test_the_first_stage_has_nothing_to_fade_from(generator: Generator) -> None:
    w = codes()
    assert torch.equal(generator.synthesis(w, Stage(4, 0.3)), generator.synthesis(w, Stage(4)))


# Growing


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


def test_a_lower_stage_needs_the_codes_of_its_active_layers_only(generator: Generator) -> None:
    w = codes()
    assert torch.equal(generator.synthesis(w, Stage(8)), generator.synthesis(w[:, :4], Stage(8)))


@pytest.mark.parametrize("layer", range(6))
def test_every_layer_listens_to_its_own_code(generator: Generator, layer: int) -> None:
    w = codes()
    other = w.clone()
    other[:, layer] += 1
    assert not torch.allclose(
        generator.synthesis(w, Stage(16)), generator.synthesis(other, Stage(16)), atol=1e-4
    )


@pytest.mark.parametrize("kind", get_args(Modulation))
def test_pictures_of_a_batch_do_not_touch_each_other(kind: Modulation) -> None:
    synthesis = Synthesis(
        resolution=16, w_dim=8, channel_base=128, channel_max=12, modulation=kind, attention=(8,)
    )
    w = codes(3)
    together = synthesis(w, Stage(16))
    assert together.shape == (3, 3, 16, 16)
    assert torch.allclose(together[1:2], synthesis(w[1:2], Stage(16)), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("entry", [None, 4, 8])
def test_what_the_synthesis_starts_from_is_left_as_it_is(generator: Generator, entry: int | None) -> None:
    """Even for a single picture, with the weights where training puts them."""
    synthesis = generator.synthesis.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start, features = synthesis.start.clone(), torch.ones(1, 12, entry or 4, entry or 4)
    content = None if entry is None else Content(features=features)
    images = [synthesis(codes(1)[:, :6] * 0, Stage(16), None, content) for _ in range(2)]
    assert torch.equal(*images)
    assert torch.equal(synthesis.start, start)
    assert torch.equal(features, torch.ones_like(features))


def test_noise_is_drawn_once_a_layer_at_the_layers_size(generator: Generator) -> None:
    asked: list[tuple[int, ...]] = []

    def normal(shape: tuple[int, ...]) -> Tensor:
        asked.append(shape)
        return torch.randn(2, *shape)

    w = codes()
    noisy = generator.synthesis(w, Stage(16), normal)
    assert asked == [(1, r, r) for r in (4, 4, 8, 8, 16, 16)]
    assert not torch.allclose(noisy, generator.synthesis(w, Stage(16)), atol=1e-3)


def test_attention_stands_at_the_chosen_resolutions_only(config: GeneratorConfig) -> None:
    names = {name for name, _ in Generator(config, ("a",)).synthesis.named_parameters() if "gate" in name}
    assert names == {"blocks.8.attention.gate"}
