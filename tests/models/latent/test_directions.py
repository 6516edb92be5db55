"""Directions against closed forms, on generators that are linear in w."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.latent.directions import (
    Direction,
    direction_matrix,
    find_directions,
    principal_components,
    random_codes,
    sefa,
    style_matrices,
)
from brushwork.models.sampling import render, sample, style_codes

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)


@pytest.fixture(params=["adain", "modulated"])
def generator(request: pytest.FixtureRequest) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Generator(replace(CONFIG, modulation=request.param), ("ink", "oil", "wash"))
        made.mapping.average[:2].normal_()
    return made.eval().requires_grad_(False)


def test_sefa_is_the_axis_that_most_rows_see() -> None:
    """Rows of length 1: three along the second axis, two along the first, one along both."""
    first, second = torch.tensor([3.0, 0, 0]), torch.tensor([0, -0.5, 0])
    found = sefa([torch.stack([second, second]), torch.stack([second, first, first])], 3)
    expected = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert torch.allclose(found.abs(), expected.double(), atol=1e-7)
    assert (found.amax(1) > 0).all(), "the largest entry is positive"


def test_principal_components_are_the_axes_of_the_cloud() -> None:
    codes = torch.tensor([[5.0, 0, 1], [5, 4, 1], [6, 2, 1], [4, 2, 1]])
    found = principal_components(codes, 2)
    assert torch.allclose(found, torch.tensor([[0.0, 1, 0], [1, 0, 0]]).double(), atol=1e-7)


def test_matrices_are_those_of_the_layers(generator: Generator) -> None:
    """A step along w changes the styles of a layer by its matrix times the step."""
    matrices = style_matrices(generator, 0, generator.layers - 1)
    assert len(matrices) == generator.layers
    last = dict(generator.synthesis.blocks["16"].named_modules())
    affine = last.get("refine.affine") or last["refine.epilogue.adain.affine"]
    w, step = torch.randn(1, 8), torch.randn(1, 8)
    assert torch.allclose(affine(w + step) - affine(w), step @ matrices[-1].T, atol=1e-5)
    assert torch.equal(style_matrices(generator, 5, 5)[0], matrices[5])


def test_strength_is_a_deviation_of_random_codes_and_moves_the_chosen_layers(generator: Generator) -> None:
    (direction,) = find_directions(generator, "pca:1@1-2")
    codes = style_codes(generator, "ink", range(3))
    moved = direction.move(codes, torch.tensor([0.0, 1.0, -2.0])) - codes
    assert moved[:, [0, 3, 4, 5]].eq(0).all()
    assert torch.allclose(moved[2, 1], -2 * direction.step, atol=1e-6)
    random = random_codes(generator)
    unit = direction.step / direction.step.norm()
    assert direction.step.norm() == pytest.approx(float((random @ unit).std()), rel=1e-3)
    assert len(random) == 2 * 2000, "two styles are trained"


def test_the_way_between_styles_leads_from_one_average_to_the_other(generator: Generator) -> None:
    (direction,) = find_directions(generator, "style:ink>oil")
    averages = generator.mapping.average
    assert torch.allclose(averages[0] + direction.step, averages[1], atol=1e-6)


def test_the_first_directions_are_at_right_angles_and_have_names(generator: Generator) -> None:
    found = find_directions(generator, "sefa", 4)
    assert [one.name for one in found] == ["sefa:1", "sefa:2", "sefa:3", "sefa:4"]
    steps = torch.stack([one.step / one.step.norm() for one in found])
    assert torch.allclose(steps @ steps.T, torch.eye(4), atol=1e-5)
    assert torch.equal(find_directions(generator, "sefa:3")[0].step, found[2].step)


def test_strength_zero_is_the_plain_sample(generator: Generator) -> None:
    directions = find_directions(generator, "sefa", 2)
    codes, draw = style_codes(generator, "ink", [5]), partial(render, generator, seeds=[5])
    images = direction_matrix(directions, codes, [-1.0, 0.0, 1.0], draw)
    assert images.shape == (2, 3, 3, 16, 16)
    plain = sample(generator, "ink", [5])
    for row in images:
        assert torch.equal(row[1], plain[0])
        assert not torch.equal(row[0], row[2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("smile", "no direction 'smile'"),
        ("sefa:0", "take 1 to 8"),
        ("pca:9", "take 1 to 8"),
        ("style:ink", "write style:NAME>NAME"),
        ("style:ink>wahs", "did you mean 'wash'"),
        ("style:ink>wash", "wash has no average"),
        ("sefa:1@4-9", "from 0 to 5"),
        ("sefa:1@3-2", "from 0 to 5"),
    ],
)
def test_mistakes_are_one_sentence(generator: Generator, text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        find_directions(generator, text)


def test_an_untrained_generator_has_no_directions(generator: Generator) -> None:
    generator.mapping.average.zero_()
    with pytest.raises(ModelError, match="never trained"):
        find_directions(generator, "pca:1")


def test_a_direction_is_a_plain_step() -> None:
    direction = Direction(name="d", step=torch.ones(2), first=0, last=0)
    moved = direction.move(torch.zeros(1, 2, 2), torch.tensor([3.0]))
    assert moved.tolist() == [[[3.0, 3.0], [0.0, 0.0]]]
