import inspect
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.layers import Normal
from brushwork.models.sampling import (
    draw_between,
    interpolate,
    interpolation_frames,
    latents,
    mixing_matrix,
    render,
    sample,
    sample_matrix,
    seeded_normal,
    slerp,
    style_codes,
    to_uint8,
    truncation_matrix,
)
from brushwork.models.stage import Stage
from brushwork.models.styles import style_weights


def alike(a: Tensor, b: Tensor) -> bool:
    """Equal but for one grey level: convolutions of another batch size round otherwise."""
    return a.shape == b.shape and int((a.int() - b.int()).abs().max()) <= 1


# Seeds


def test_latents_depend_on_their_own_seed_alone() -> None:
    together = latents(torch.tensor([3, 1, 3]), 16)
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1:2], latents(torch.tensor([1]), 16))
    assert not torch.equal(together[0], together[1])


def test_latents_are_standard_normal() -> None:
    codes = latents(torch.arange(200), 50)
    assert abs(codes.mean()) < 0.05
    assert abs(codes.std() - 1) < 0.05


def test_noise_rows_depend_on_their_own_seed_and_differ_from_the_latent() -> None:
    one, other = seeded_normal(torch.tensor([5, 6])), seeded_normal(torch.tensor([6]))
    first = one((1, 4, 4))
    assert torch.equal(first[1:], other((1, 4, 4)))
    assert not torch.equal(first, one((1, 4, 4))), "each layer gets its own"
    assert not torch.equal(first[:1].flatten(), latents(torch.tensor([5]), 16).flatten())


# Pictures


def test_uint8_rounds_and_clips() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0, 0.2 / 127.5, 0.7 / 127.5])
    levels = to_uint8(values.expand(1, 3, 1, 7))[0, 0, 0]
    assert levels.tolist() == [0, 0, 128, 255, 255, 128, 128]


def test_the_same_seed_and_style_give_the_same_picture_in_any_batch(generator: Generator) -> None:
    styles = torch.eye(3)[[0, 1, 2, 1, 0]]
    together = sample(generator, styles, torch.tensor([4, 7, 9, 7, 1]))
    assert alike(together[1], together[3])
    for row, seed in ((0, 4), (2, 9)):
        assert alike(together[row : row + 1], sample(generator, styles[row : row + 1], torch.tensor([seed])))
    assert not alike(together[0], together[4]), "seeds differ"


def test_rendering_in_parts_equals_rendering_at_once(generator: Generator) -> None:
    seeds = torch.arange(5)
    codes = style_codes(generator, seeds, torch.eye(3)[[0, 1, 2, 0, 1]])
    assert alike(render(generator, codes, seeds, batch=2), render(generator, codes, seeds))


def test_a_column_is_one_z_and_one_noise_in_all_styles(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_z: list[Tensor] = []
    seen_noise: list[Tensor] = []
    mapping, synthesis = generator.mapping.forward, generator.synthesis.forward

    def spy_mapping(z: Tensor, styles: Tensor) -> Tensor:
        seen_z.append(z)
        return mapping(z, styles)

    def spy_synthesis(w: Tensor, stage: Stage, normal: Normal) -> Tensor:
        seen_noise.append(normal((1, 4, 4)))
        return synthesis(w, stage)

    monkeypatch.setattr(generator.mapping, "forward", spy_mapping)
    monkeypatch.setattr(generator.synthesis, "forward", spy_synthesis)
    matrix = sample_matrix(generator, torch.eye(3), torch.tensor([11, 12]))
    assert matrix.shape == (3, 2, 3, 16, 16)
    for values in (seen_z[0].unflatten(0, (3, 2)), seen_noise[0].unflatten(0, (3, 2))):
        assert torch.equal(values[0], values[1])
        assert torch.equal(values[0], values[2])
        assert not torch.equal(values[:, 0], values[:, 1])


def test_the_matrix_holds_the_plain_samples(generator: Generator) -> None:
    matrix = sample_matrix(generator, torch.eye(3), torch.tensor([3, 8]), psi=0.7, cutoff=2)
    for row in range(3):
        for column, seed in enumerate((3, 8)):
            alone = sample(generator, torch.eye(3)[row : row + 1], torch.tensor([seed]), psi=0.7, cutoff=2)
            assert alike(matrix[row, column], alone[0])


def test_pictures_are_drawn_at_the_trained_stage_unless_told(generator: Generator) -> None:
    styles, seeds = torch.eye(3)[:1], torch.tensor([0])
    generator.trained_stage = Stage(8)
    assert sample(generator, styles, seeds).shape[-1] == 8
    assert sample(generator, styles, seeds, stage=Stage(16, 0.5)).shape[-1] == 16


def test_a_blend_lies_between_its_styles(generator: Generator) -> None:
    seeds, mapping = torch.tensor([2]), generator.mapping
    half = style_weights("ink=0.5+oil=0.5", generator.style_names)
    codes = style_codes(generator, seeds, half[None])
    expected = mapping(latents(seeds, 8), torch.tensor([[0.0, 0.5, 0.5]]))
    assert torch.allclose(codes[:, 0], expected)
    whole = style_weights("ink=1", generator.style_names)[None]
    assert torch.equal(style_codes(generator, seeds, whole), style_codes(generator, seeds, torch.eye(3)[1:2]))


# Arguments


def test_seeds_may_be_a_list(generator: Generator) -> None:
    listed, tensor = [4, 7], torch.tensor([4, 7])
    styles = torch.eye(3)
    assert torch.equal(sample(generator, styles[:2], listed), sample(generator, styles[:2], tensor))
    matrices = [sample_matrix(generator, styles, seeds) for seeds in (listed, tensor)]
    mixed = [mixing_matrix(generator, styles[0], seeds, seeds, layer=2) for seeds in (listed, tensor)]
    walks = [interpolation_frames(generator, styles, seeds, steps=1) for seeds in (listed, tensor)]
    for one, other in (matrices, mixed, walks):
        assert torch.equal(one, other)


ROWS, TWO = torch.eye(3)[:2], torch.tensor([4, 7])


@pytest.mark.parametrize(
    ("styles", "seeds", "words"),
    [
        (ROWS[0], TWO, r"weights are torch.float32 of shape \(3,\): give floats \(n, 3\)"),
        (torch.eye(4)[:2], TWO, r"of shape \(2, 4\): give floats \(n, 3\)"),
        (ROWS.long(), TWO, "weights are torch.int64"),
        (TWO, ROWS, r"weights are torch.int64 of shape \(2,\)"),
        (ROWS, torch.tensor([4]), "1 seeds do not fit 2 rows"),
        (ROWS, torch.tensor(4), r"seeds are torch.int64 of shape \(\): give whole numbers"),
        (ROWS, torch.tensor([0.5, 1.5]), "seeds are torch.float32"),
        (ROWS, [0, 2**64], "cannot be read .* below 2\\*\\*63"),
    ],
)
def test_arguments_that_do_not_belong_together_are_named(
    generator: Generator, styles: Tensor, seeds: Any, words: str
) -> None:
    # Without the check of shapes that the tests put around every function.
    with pytest.raises(ModelError, match=words):
        inspect.unwrap(style_codes)(generator, seeds, styles)


def test_codes_of_another_network_are_named(generator: Generator) -> None:
    with pytest.raises(ModelError, match=r"codes have the shape \(2, 6, 9\): give \(n, 6, 8\)"):
        inspect.unwrap(render)(generator, torch.zeros(2, 6, 9), TWO)
    with pytest.raises(ModelError, match="1 seeds do not fit 2 rows"):
        inspect.unwrap(render)(generator, torch.zeros(2, 6, 8), TWO[:1])


@pytest.mark.parametrize("psi", [float("nan"), float("inf"), -11.0])
def test_a_truncation_that_there_is_not_is_named(generator: Generator, psi: float) -> None:
    with pytest.raises(ModelError, match=f"psi is {psi}: choose from -10 to 10"):
        sample(generator, ROWS, TWO, psi=psi)
    with pytest.raises(ModelError, match="cutoff is -1: choose from 0"):
        sample(generator, ROWS, TWO, cutoff=-1)


# Truncation


def test_at_psi_zero_every_seed_gives_its_styles_average(generator: Generator) -> None:
    styles = torch.eye(3)
    for seed in (0, 1):
        codes = style_codes(generator, torch.full((3,), seed), styles, psi=0.0)
        for layer in range(6):
            assert torch.equal(codes[:, layer], generator.mapping.average[:3])


def test_the_cutoff_leaves_the_finer_layers_alone(generator: Generator) -> None:
    seeds, styles = torch.arange(3), torch.eye(3)
    codes = style_codes(generator, seeds, styles, psi=0.0, cutoff=2)
    plain = style_codes(generator, seeds, styles)
    assert torch.equal(codes[:, 2:], plain[:, 2:])
    assert not torch.equal(codes[:, :2], plain[:, :2])


def test_the_truncation_figure_has_one_psi_a_column(generator: Generator) -> None:
    figure = truncation_matrix(generator, torch.eye(3), 5, [0.0, 0.5, 1.0])
    assert figure.shape == (3, 3, 3, 16, 16)
    seeds = torch.full((3,), 5)
    assert alike(figure[:, 2], sample(generator, torch.eye(3), seeds))
    assert alike(figure[:, 1], sample(generator, torch.eye(3), seeds, psi=0.5))


# Mixing


@pytest.mark.parametrize("layer", [1, 3, 5])
def test_the_mixing_figures_diagonal_of_equal_seeds_is_the_plain_sample(
    generator: Generator, layer: int
) -> None:
    seeds = torch.tensor([3, 8])
    figure = mixing_matrix(generator, torch.eye(3)[1], seeds, seeds, layer=layer)
    plain = sample(generator, torch.eye(3)[[1, 1]], seeds)
    assert alike(figure[0, 0], plain[0])
    assert alike(figure[1, 1], plain[1])
    assert not alike(figure[0, 1], figure[1, 0])


def test_mixing_takes_coarse_layers_of_the_row_and_fine_ones_of_the_column(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    synthesis = generator.synthesis.forward

    def spy(w: Tensor, stage: Stage, normal: object) -> Tensor:
        seen.append(w)
        return synthesis(w, stage)

    monkeypatch.setattr(generator.synthesis, "forward", spy)
    coarse, fine = torch.tensor([1, 2]), torch.tensor([3, 4, 5])
    figure = mixing_matrix(generator, torch.eye(3)[2], coarse, fine, layer=2, psi=0.7)
    assert figure.shape == (2, 3, 3, 16, 16)
    codes = seen[0].unflatten(0, (2, 3))
    rows = style_codes(generator, coarse, torch.eye(3)[[2, 2]], psi=0.7)
    columns = style_codes(generator, fine, torch.eye(3)[[2, 2, 2]], psi=0.7)
    for row in range(2):
        for column in range(3):
            assert torch.equal(codes[row, column, :2], rows[row, :2])
            assert torch.equal(codes[row, column, 2:], columns[column, 2:])


@pytest.mark.parametrize("layer", [0, 4, 6])
def test_a_mixing_layer_that_leaves_nothing_to_mix_is_refused(generator: Generator, layer: int) -> None:
    generator.trained_stage = Stage(8)
    with pytest.raises(ModelError, match=f"mixing layer {layer}: choose from 1 to 3"):
        mixing_matrix(generator, torch.eye(3)[0], torch.tensor([0]), torch.tensor([1]), layer=layer)


# Interpolation


def test_a_leg_begins_at_its_start_and_stops_a_step_before_its_end() -> None:
    start, end = torch.randn(6, 8), torch.randn(6, 8)
    leg = interpolate(start, end, 4)
    assert torch.equal(leg[0], start)
    assert torch.allclose(leg[2], (start + end) / 2, atol=1e-6)
    assert torch.allclose(leg[3] + (end - start) / 4, end, atol=1e-6)


def test_the_walk_passes_every_seed_in_every_style_with_still_noise(generator: Generator) -> None:
    styles, seeds = torch.eye(3)[:2], torch.tensor([3, 8, 5])
    frames = interpolation_frames(generator, styles, seeds, steps=2)
    assert frames.shape == (6, 2, 3, 16, 16), "closed: as many legs as seeds"
    for place, seed in enumerate(seeds):
        codes = style_codes(generator, seed.repeat(2), styles)
        assert alike(frames[2 * place], render(generator, codes, torch.tensor([3, 3])))


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_arc_has_constant_speed_and_keeps_lengths() -> None:
    a, b = doubles(2, 0, 0)[None], doubles(0, 1, 0)[None]
    assert torch.allclose(slerp(a, b, doubles(0)), a)
    assert torch.allclose(slerp(a, b, doubles(1)), b)
    places = slerp(a.expand(5, 3) / 2, b.expand(5, 3), doubles(0, 0.25, 0.5, 0.75, 1))
    assert torch.allclose(places.norm(dim=1), doubles(1, 1, 1, 1, 1))
    angles = torch.atan2(places[:, 1], places[:, 0])
    assert torch.allclose(angles.diff(), doubles(1, 1, 1, 1) * torch.pi / 8)
    assert torch.equal(slerp(a, a, doubles(0.3)), a), "equal ends make no arc and no NaN"


@pytest.mark.parametrize("space", ["w", "z"])
def test_the_ends_of_the_way_are_the_plain_samples_with_one_noise(
    generator: Generator, space: Literal["w", "z"]
) -> None:
    styles, a, b = torch.eye(3)[[0, 2]], torch.tensor([3, 8]), torch.tensor([5, 6])
    start, end = (draw_between(generator, styles, a, b, doubles(t, t), space=space) for t in (0, 1))
    assert start.dtype == torch.float32
    assert alike(to_uint8(start), sample(generator, styles, a))
    assert alike(to_uint8(end), render(generator, style_codes(generator, b, styles), a))


def test_half_the_way_is_straight_in_w_or_an_arc_in_z(generator: Generator) -> None:
    styles, a, b = torch.eye(3)[:1], torch.tensor([3]), torch.tensor([5])
    codes = torch.lerp(style_codes(generator, a, styles), style_codes(generator, b, styles), 0.5)
    found = {s: draw_between(generator, styles, a, b, doubles(0.5), space=s) for s in ("w", "z")}
    assert alike(to_uint8(found["w"]), render(generator, codes, a))
    z = slerp(latents(a, 8), latents(b, 8), torch.tensor([0.5]))
    w = generator.mapping(z, styles)[:, None].expand(1, 6, 8)
    assert alike(to_uint8(found["z"]), render(generator, w, a))
    assert not torch.allclose(found["w"], found["z"], atol=1e-3)


@pytest.mark.parametrize("space", ["w", "z"])
def test_a_small_step_is_seen_whole(generator: Generator, space: Literal["w", "z"]) -> None:
    """Pictures are smooth in t: twice the step is twice the change, at steps that rounding would swallow."""
    styles, a, b = torch.eye(3), torch.tensor([3, 8, 1]), torch.tensor([5, 6, 2])
    here, near, far = (
        draw_between(generator, styles, a, b, doubles(0.4, 0.4, 0.4) + step, space=space)
        for step in (0, 1e-3, 2e-3)
    )
    once, twice = ((x - here).flatten(1).norm(dim=1) for x in (near, far))
    assert torch.allclose(twice / once, torch.full((3,), 2.0), rtol=0.02)


def test_the_way_is_drawn_at_the_trained_stage_unless_told(generator: Generator) -> None:
    generator.trained_stage = Stage(8)
    way = torch.eye(3)[:1], torch.tensor([3]), torch.tensor([5]), doubles(0.5)
    assert draw_between(generator, *way).shape[-1] == 8
    assert draw_between(generator, *way, stage=Stage(16)).shape[-1] == 16


def test_pictures_that_are_no_numbers_are_refused() -> None:
    images = torch.zeros(2, 3, 4, 4)
    images[1, 2, 3, 3] = torch.nan
    with pytest.raises(ModelError, match="not finite numbers"):
        to_uint8(images)


# What was never learnt


def test_no_label_is_refused_where_it_was_never_learnt(generator: Generator) -> None:
    one, seeds = torch.zeros(1, 3), torch.tensor([0])
    assert style_codes(generator, seeds, one).isfinite().all()
    generator.mapping.average[-1] = 0.0
    with pytest.raises(ModelError, match=r"never learnt to draw without a style: name one"):
        style_codes(generator, seeds, one)
    with pytest.raises(ModelError, match=r"weights sum to 1"):
        style_codes(generator, seeds, torch.tensor([[0.3, 0.3, 0.0]]))
    assert style_codes(generator, seeds, torch.tensor([[0.3, 0.7, 0.0]]), psi=0.5).isfinite().all()


def test_a_style_without_an_average_is_drawn_but_not_truncated(generator: Generator) -> None:
    generator.mapping.average[1] = 0.0
    styles, seeds = torch.eye(3)[1:2], torch.tensor([0])
    assert style_codes(generator, seeds, styles).isfinite().all()
    with pytest.raises(ModelError, match=r"ink has no average code to truncate to.*leave psi at 1"):
        style_codes(generator, seeds, styles, psi=0.7)
