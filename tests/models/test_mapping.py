from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.layers import pixel_norm
from brushwork.models.mapping import MappingNetwork, mix, truncate, with_null


@pytest.fixture
def mapping() -> MappingNetwork:
    return MappingNetwork(styles=3, z_dim=6, w_dim=5, layers=2, lr_multiplier=0.01)


def test_styles_enter_as_the_blend_of_their_rows_and_no_label_as_the_null_row(
    mapping: MappingNetwork,
) -> None:
    styles = torch.tensor([[0.25, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    weights = torch.tensor([[0.25, 0.5, 0.0, 0.25], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert torch.equal(with_null(styles), weights)
    z = torch.randn(3, 6)
    x = pixel_norm(torch.cat([z, weights @ mapping.table], dim=1))
    for layer in mapping.layers:
        x = torch.nn.functional.leaky_relu(layer(x), 0.2)
    assert torch.allclose(mapping(z, styles), x, atol=1e-6)


# The running averages
def test_a_fresh_average_becomes_the_first_mean_and_absent_styles_stay(mapping: MappingNetwork) -> None:
    w, styles = torch.randn(5, 5), torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    mapping.update_average(mapping.style_sums(w, styles))
    expected = torch.stack([w[:2].mean(dim=0), w[2], torch.zeros(5), w[3:].mean(dim=0)])
    assert torch.allclose(mapping.average, expected, atol=1e-6)
    assert mapping.untrained_styles(torch.tensor([[0.2, 0.0, 0.2]])) == [2]
    torch.nn.init.ones_(mapping.average)
    mapping.update_average(mapping.style_sums(torch.full((2, 5), 3.0), torch.eye(3)[[0, 1]]), beta=0.9)
    assert torch.allclose(mapping.average[:2], torch.full((2, 5), 1.2)), "by 1 - beta of the way"
    assert torch.equal(mapping.average[2:], torch.ones(2, 5))


def test_averages_converge_to_each_styles_own_mean(mapping: MappingNetwork) -> None:
    centres = torch.tensor([[-1.0], [2.0], [0.5]]).expand(3, 5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        # Style 0 is three times as frequent as style 1; style 2 comes in few batches.
        labels = torch.tensor([0, 0, 0, 1] if torch.rand(1, generator=generator) < 0.8 else [0, 1, 2, 2])
        w = centres[labels] + 0.3 * torch.randn(4, 5, generator=generator)
        mapping.update_average(mapping.style_sums(w, torch.eye(3)[labels]), beta=0.97)
    assert torch.allclose(mapping.average[:3], centres, atol=0.15)


def test_the_centre_of_a_blend_is_the_blend_of_the_centres(mapping: MappingNetwork) -> None:
    torch.nn.init.normal_(mapping.average)
    styles = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]])
    a = mapping.average
    expected = torch.stack([a[0], 0.5 * a[0] + 0.25 * a[1] + 0.25 * a[3], a[3]])
    assert torch.allclose(mapping.average_of(styles), expected)


# Truncation and mixing
@pytest.mark.parametrize("psi", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("cutoff", [None, 0, 1, 4])
def test_truncation_is_a_share_of_the_way_below_the_cutoff(psi: float, cutoff: int | None) -> None:
    w, centre = torch.randn(3, 5), torch.randn(3, 5)
    codes = truncate(w, centre, psi=psi, layers=4, cutoff=cutoff)
    for layer in range(4):
        below = cutoff is None or layer < cutoff
        assert torch.equal(codes[:, layer], torch.lerp(centre, w, psi) if below else w)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"psi": float("nan")}, "psi is nan: choose from -10 to 10"),
        ({"psi": -11.0}, "psi is -11.0: choose from -10 to 10"),
        ({"psi": 1.0, "cutoff": -1}, "cutoff -1: choose from 0, no layer, to 4, all"),
        ({"psi": 1.0, "cutoff": 5}, "cutoff 5: choose from 0, no layer, to 4, all"),
    ],
)
def test_impossible_truncations_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        truncate(torch.zeros(1, 5), torch.zeros(1, 5), layers=4, **options)


def test_mix_takes_the_first_code_below_the_cutoff_and_the_second_from_it_on() -> None:
    w1, w2 = torch.randn(3, 5), torch.randn(3, 5)
    codes = mix(w1, w2, [1, 2, 4], layers=4)
    for row, cutoff in enumerate((1, 2, 4)):
        for layer in range(4):
            assert torch.equal(codes[row, layer], (w1 if layer < cutoff else w2)[row])


def test_styles_sums_and_averages_keep_float32_in_anybodys_autocast(mapping: MappingNetwork) -> None:
    torch.nn.init.normal_(mapping.average)
    z, styles = torch.randn(6, 6), torch.rand(6, 3) / 3

    def found() -> list[Tensor]:
        w = mapping(z, styles)
        return [w, mapping.style_sums(w, styles), mapping.average_of(styles)]

    full = found()
    with torch.autocast("cpu", torch.bfloat16):
        low = found()
    assert all(torch.equal(*pair) for pair in zip(low, full, strict=True))
