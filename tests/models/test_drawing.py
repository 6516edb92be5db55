"""Pictures drawn batch by batch are those of the matrix drawn at once."""

import pytest
import torch
from torch import Tensor

from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.sampling import Codes, draw_batches, sample_matrix, style_codes

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12)
STYLES, SEEDS = torch.eye(3), torch.arange(5, 12)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(CONFIG, ("a", "b", "c")).eval().requires_grad_(False)
        generator.mapping.average.normal_()
        return generator


def codes_of(generator: Generator) -> Codes:
    def codes(styles: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, seeds, styles, psi=0.7, cutoff=2)

    return codes


@pytest.mark.parametrize("batch", [1, 4, 21, 64])
def test_batches_are_the_matrix_drawn_at_once(generator: Generator, batch: int) -> None:
    whole = sample_matrix(generator, STYLES, SEEDS, psi=0.7, cutoff=2).flatten(0, 1)
    cells = torch.arange(21)
    drawn = list(draw_batches(generator, codes_of(generator), STYLES, SEEDS, cells, batch=batch))
    assert max(len(some.images) for some in drawn) == min(batch, 21)
    assert torch.equal(torch.cat([some.cells for some in drawn]), cells)
    images = torch.cat([some.images for some in drawn])
    # Convolutions of another batch size may round otherwise.
    assert (images.int() - whole.int()).abs().max() <= (0 if batch >= 21 else 1)


def test_only_what_is_asked_for_is_drawn(generator: Generator) -> None:
    whole = sample_matrix(generator, STYLES, SEEDS, psi=0.7, cutoff=2).flatten(0, 1)
    cells = torch.tensor([2, 9, 20])
    (drawn,) = draw_batches(generator, codes_of(generator), STYLES, SEEDS, cells)
    assert (drawn.images.int() - whole[cells].int()).abs().max() <= 1
    assert not list(draw_batches(generator, codes_of(generator), STYLES, SEEDS, cells[:0]))


def test_bf16_is_near_and_another(generator: Generator) -> None:
    cells = torch.arange(21)
    whole, rough = (
        torch.cat([
            some.images.int()
            for some in draw_batches(
                generator, codes_of(generator), STYLES, SEEDS, cells, precision=precision
            )
        ])
        for precision in ("fp32", "bf16")
    )  # fmt: skip
    distance = (whole - rough).abs().float()
    assert 0 < distance.mean() < 3
