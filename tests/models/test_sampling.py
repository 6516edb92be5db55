"""Images depend on their own seed and style; truncation, mixing and interpolation; wrong arguments."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models import sampling
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.sampling import latents, render, sample, seeded_normal, style_codes, to_uint8
from brushwork.models.stage import Stage

EYE = torch.eye(3)


def alike(a: Tensor, b: Tensor) -> bool:
    """Equal up to one grey level: convolutions of another batch size round differently."""
    return a.shape == b.shape and int((a.int() - b.int()).abs().max()) <= 1


@pytest.mark.parametrize("seed", [5, 2**40])
def test_numbers_are_standard_normal_and_depend_on_their_own_seed(seed: int) -> None:
    together = latents(torch.tensor([3, seed, 3]), 16)
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1:2], latents(torch.tensor([seed]), 16))
    codes = latents(torch.arange(seed, seed + 200), 50)
    assert abs(codes.mean()) < 0.05
    assert abs(codes.std() - 1) < 0.05
    one, other = seeded_normal(torch.tensor([6, seed])), seeded_normal(torch.tensor([seed]))
    first = one((1, 4, 4))
    assert torch.equal(first[1:], other((1, 4, 4)))
    assert not torch.equal(first, one((1, 4, 4))), "each layer gets its own"
    assert not torch.equal(first[1].flatten(), together[1])


def test_seeds_that_share_their_lowest_32_bits_differ() -> None:
    seeds = torch.tensor([5, 5 + 2**32, 5 + 2**33, 2**63 - 1, 2**32 - 1])
    for values in (latents(seeds, 16), seeded_normal(seeds)((1, 4, 4)).flatten(1)):
        assert values.unique().numel() == values.numel()


def test_uint8_rounds_and_clips_and_refuses_nan() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0, 0.2 / 127.5, 0.7 / 127.5]).expand(1, 3, 1, 7)
    assert to_uint8(values)[0, 0, 0].tolist() == [0, 0, 128, 255, 255, 128, 128]
    with pytest.raises(ModelError, match="not finite"):
        to_uint8(torch.where(values == 3, torch.nan, values))


def test_the_same_seed_and_style_give_the_same_image_in_any_batch(generator: Generator) -> None:
    styles = EYE[[0, 1, 2, 1, 0]]
    together = sample(generator, styles, torch.tensor([4, 7, 9, 7, 1]))
    assert alike(together[1], together[3])
    for row, seed in ((0, 4), (2, 9)):
        assert alike(together[row : row + 1], sample(generator, styles[row], [seed]))
    assert not alike(together[0], together[4]), "seeds differ"
    codes = style_codes(generator, styles, range(5))
    assert alike(render(generator, codes, range(5), batch=2), render(generator, codes, range(5)))
    generator.trained_stage = Stage(8)
    assert sample(generator, "ink", [0]).shape[-1] == 8
    assert sample(generator, "ink", [0], stage=Stage(16, 0.5)).shape[-1] == 16


def test_styles_may_be_names_blends_or_weights(generator: Generator) -> None:
    seeds, rows = torch.tensor([2, 8]), torch.tensor([[0, 0.5, 0.5]] * 2)
    expected = generator.mapping(latents(seeds, 8), rows)
    for styles in ("ink=0.5+oil=0.5", rows[0], rows[:1], rows):
        torch.testing.assert_close(style_codes(generator, styles, seeds)[:, 0], expected)


def batches(generator: Generator, cells: Tensor, **options: Any) -> tuple[list[Tensor], list[Tensor]]:
    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, styles, seeds, psi=0.7)

    parts = list(sampling.sample_batches(generator, codes, EYE, torch.arange(5, 12), cells, **options))
    return [cells for cells, _ in parts], [images for _, images in parts]


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_batches_are_the_cells_of_the_matrix(generator: Generator, batch: int) -> None:
    matrix = sampling.sample_matrix(generator, EYE, range(5, 12), psi=0.7)
    assert alike(matrix[1], sample(generator, EYE[1], range(5, 12), psi=0.7))
    for wanted in (torch.arange(21), torch.tensor([2, 20, 9])):
        cells, images = batches(generator, wanted, batch=batch)
        assert max(map(len, images)) == min(batch, len(wanted))
        assert torch.equal(torch.cat(cells), wanted)
        assert alike(torch.cat(images), matrix.flatten(0, 1)[wanted])
    assert batches(generator, torch.arange(0)) == ([], [])


def test_bf16_is_near_and_another(generator: Generator) -> None:
    full, low = (torch.cat(batches(generator, torch.arange(21), precision=p)[1]) for p in ("fp32", "bf16"))
    assert 0 < (full.float() - low.float()).abs().mean() < 3


@pytest.mark.parametrize(
    ("styles", "seeds", "words"),
    [
        (torch.eye(4)[:2], [4, 7], r"of shape \(2, 4\) do not fit 2 images of 3 styles"),
        (torch.ones(1), [4, 7], r"of shape \(1,\) do not fit"),
        (EYE, [4, 7], r"of shape \(3, 3\) do not fit 2 images"),
        ("inc", [4, 7], "unknown style 'inc'"),
        (EYE[:2], torch.tensor([[4, 7]]), r"cannot be used: give whole numbers"),
        (EYE[:2], torch.tensor([0.5, 1.5]), "cannot be used"),
        (EYE[:2], [0, -1], r"seeds \[0, -1\] cannot be used"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    generator: Generator, styles: Any, seeds: Any, words: str
) -> None:
    with pytest.raises(ModelError, match=words):  # without the shape checks of the tests
        inspect.unwrap(style_codes)(generator, styles, seeds)


def test_untrained_styles_are_refused(generator: Generator) -> None:
    assert style_codes(generator, "none", [0]).isfinite().all()
    generator.mapping.average[[1, -1]] = 0.0
    for text, psi, sentence in (
        ("none", 1.0, "not trained without a style: name one"),
        ("chalk=0.3+oil=0.3", 1.0, "weights sum to 1"),
        ("ink", 0.7, r"ink has no average code to truncate to.*leave psi at 1"),
    ):
        with pytest.raises(ModelError, match=sentence):
            style_codes(generator, text, [0], psi=psi)
    assert style_codes(generator, "chalk=0.3+oil=0.7", [0], psi=0.5).isfinite().all()
    assert style_codes(generator, "ink", [0]).isfinite().all()


def test_truncation_reaches_the_average(generator: Generator) -> None:
    codes = style_codes(generator, EYE, [0, 1, 2], psi=0.0)
    assert torch.equal(codes, generator.mapping.average[:3, None].expand(-1, 6, -1))
    figure = sampling.truncation_matrix(generator, EYE, 5, [0.0, 0.5, 1.0])
    for column, psi in enumerate((0.0, 0.5, 1.0)):
        assert alike(figure[:, column], sample(generator, EYE, [5] * 3, psi=psi)), "one psi a column"


def test_mixing_takes_coarse_layers_of_the_row_and_fine_ones_of_the_column(generator: Generator) -> None:
    coarse, fine = [1, 2], [2, 4, 5]
    figure = sampling.mixing_matrix(generator, "oil", coarse, fine, psi=0.7)
    rows, columns = (style_codes(generator, "oil", seeds, psi=0.7) for seeds in (coarse, fine))
    for row, seed in enumerate(coarse):
        codes = torch.cat([rows[row, :3].expand(3, -1, -1), columns[:, 3:]], dim=1)
        assert alike(figure[row], render(generator, codes, [seed] * 3))


def test_images_between_two_seeds_are_straight_in_w_and_smooth(generator: Generator) -> None:
    a, b = torch.tensor([3, 8, 1]), torch.tensor([5, 6, 2])

    def between(t: float) -> Tensor:
        return sampling.generate_between(generator, EYE, a, b, torch.full((3,), t, dtype=torch.float64))

    ends = style_codes(generator, EYE, a), style_codes(generator, EYE, b)
    for t in (0.0, 0.5, 1.0):
        assert alike(to_uint8(between(t)), render(generator, torch.lerp(*ends, t), a))
    # Twice the step is twice the change, at steps that rounding would remove.
    here, near, far = (between(0.4 + step) for step in (0, 1e-3, 2e-3))
    once, twice = ((x - here).flatten(1).norm(dim=1) for x in (near, far))
    torch.testing.assert_close(twice / once, torch.full((3,), 2.0), rtol=0.02, atol=0)
    generator.trained_stage = Stage(8)
    assert between(0.5).shape[-1] == 8
