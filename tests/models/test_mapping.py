import pytest
import torch
from torch import Tensor

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


def test_a_fresh_average_becomes_the_first_mean_and_absent_styles_stay(mapping: MappingNetwork) -> None:
    w, styles = torch.randn(5, 5), torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    mapping.update_average(mapping.style_sums(w, styles))
    expected = torch.stack([w[:2].mean(dim=0), w[2], torch.zeros(5), w[3:].mean(dim=0)])
    assert torch.allclose(mapping.average, expected, atol=1e-6)
    assert mapping.untrained_styles(torch.tensor([[0.2, 0.0, 0.2]])) == [2]
    torch.nn.init.ones_(mapping.average)
    mapping.update_average(mapping.style_sums(torch.full((4, 5), 3.0), torch.eye(3)[[0, 0, 0, 1]]), beta=0.9)
    for row, share in ((0, 1.5), (1, 0.5)):  # of the mean weight
        assert torch.allclose(mapping.average[row], torch.full((5,), 1 + 2 * (1 - 0.9**share)))
    assert torch.equal(mapping.average[2:], torch.ones(2, 5))


def test_mix_takes_the_first_code_below_the_cutoff_and_the_second_from_it_on() -> None:
    w1, w2 = torch.randn(3, 5), torch.randn(3, 5)
    codes = mix(w1, w2, [1, 2, 4], layers=4)
    for row, cutoff in enumerate((1, 2, 4)):
        expected = torch.stack([w1[row]] * cutoff + [w2[row]] * (4 - cutoff))
        assert torch.equal(codes[row], expected)


def test_truncation_is_a_share_of_the_way_to_the_average_of_the_blend(mapping: MappingNetwork) -> None:
    torch.nn.init.normal_(mapping.average)
    centre = mapping.average_of(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]))
    a, w = mapping.average, torch.randn(3, 5)
    assert torch.allclose(centre, torch.stack([a[0], 0.5 * a[0] + 0.25 * a[1] + 0.25 * a[3], a[3]]))
    for psi in (0.0, 0.7, 1.0):
        expected = (centre + psi * (w - centre))[:, None].expand(-1, 4, -1)
        torch.testing.assert_close(truncate(w, centre, psi=psi, layers=4), expected)


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
