"""Style's mean maps are taken out, and nothing else."""

import pytest
import torch
from torch import Tensor

from brushwork.models.encoders import ContentEncoder
from brushwork.models.erasure import StyleEraser
from brushwork.models.stage import Stage

STYLES, CHANNELS, SIDE = 3, 2, 4
LABELS = torch.eye(STYLES)[torch.arange(60) % STYLES]


@pytest.fixture
def maps() -> Tensor:
    """Noise on a mean map of each style."""
    torch.manual_seed(0)
    means = torch.randn(STYLES, CHANNELS, SIDE, SIDE)
    return means[LABELS.argmax(dim=1)] + torch.randn(60, CHANNELS, SIDE, SIDE)


@pytest.fixture
def eraser() -> StyleEraser:
    return StyleEraser(styles=STYLES, channels=CHANNELS, side=SIDE)


def mean_maps(maps: Tensor) -> Tensor:
    return torch.stack([maps[LABELS[:, style] > 0].mean(dim=0) for style in range(STYLES)])


def test_afterwards_all_styles_have_one_mean(eraser: StyleEraser, maps: Tensor) -> None:
    eraser.fit(eraser.sums(maps, LABELS))
    before, after = mean_maps(maps), mean_maps(eraser(maps))
    assert (before - before.mean(dim=0)).abs().max() > 1
    torch.testing.assert_close(after, after.mean(dim=0).expand_as(after), atol=1e-4, rtol=0)


def test_it_erases_as_well_in_anybodys_autocast(eraser: StyleEraser, maps: Tensor) -> None:
    sums = eraser.sums(maps, LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(eraser.sums(maps, LABELS), sums)
        eraser.fit(sums)
        low = eraser(maps)
    assert torch.equal(low, eraser(maps))


def test_a_linear_probe_learns_nothing(eraser: StyleEraser, maps: Tensor) -> None:
    """Least squares on the labels: without a covariance with them its weights are zero."""
    eraser.fit(eraser.sums(maps, LABELS))
    goals = LABELS - LABELS.mean(dim=0)
    for x, lowest, highest in ((maps, 1.0, 1e9), (eraser(maps), 0.0, 1e-2)):
        flat = x.flatten(1) - x.flatten(1).mean(dim=0)
        weights = torch.linalg.lstsq(flat.T @ flat + torch.eye(flat.shape[1]), flat.T @ goals).solution
        assert lowest <= (flat @ weights).square().sum() <= highest


def test_only_the_directions_of_the_means_are_touched(eraser: StyleEraser, maps: Tensor) -> None:
    eraser.fit(eraser.sums(maps, LABELS))
    change = (eraser(maps) - maps).flatten(1)
    assert torch.linalg.matrix_rank(change - change.mean(dim=0), atol=1e-3) == STYLES - 1
    twice = eraser(eraser(maps))
    torch.testing.assert_close(twice, eraser(maps), atol=1e-4, rtol=0)


def test_with_a_single_style_there_is_nothing_to_erase(eraser: StyleEraser, maps: Tensor) -> None:
    assert eraser(maps) is maps
    eraser.fit(eraser.sums(maps[LABELS[:, 0] > 0], LABELS[LABELS[:, 0] > 0]))
    assert eraser(maps) is maps


def test_pictures_without_a_style_do_not_count(eraser: StyleEraser, maps: Tensor) -> None:
    eraser.fit(eraser.sums(maps, torch.zeros_like(LABELS)))
    assert not eraser.means.any()


def test_equal_means_erase_nothing_and_stay_finite(eraser: StyleEraser) -> None:
    maps = torch.ones(60, CHANNELS, SIDE, SIDE, requires_grad=True)
    eraser.fit(eraser.sums(maps, LABELS))
    found = eraser(maps)
    torch.testing.assert_close(found, maps)
    found.sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_sums_of_parts_add_up(eraser: StyleEraser, maps: Tensor) -> None:
    parts = eraser.sums(maps[:20], LABELS[:20]) + eraser.sums(maps[20:], LABELS[20:])
    torch.testing.assert_close(parts, eraser.sums(maps, LABELS), atol=1e-4, rtol=0)


def test_a_content_code_is_erased_wherever_it_enters() -> None:
    torch.manual_seed(0)
    encoder = ContentEncoder({8: 4, 16: 4}, blocks=1, details=True, erased=STYLES)
    images = (LABELS.argmax(dim=1)[:, None, None, None] - 1) * torch.linspace(-1, 1, 16)
    images = images.expand(60, 3, 16, 16) + 0.1 * torch.randn(60, 3, 16, 16)
    batches = [(images[rows], LABELS[rows]) for rows in torch.arange(60).split(25)]
    plain = encoder(images, Stage(16))
    for _ in range(2):  # fitting anew looks at what is not erased yet
        encoder.fit_erasers(batches, Stage(16))
        code = encoder(images, Stage(16))
        for before, after in ((plain.features, code.features), (plain.details[16], code.details[16])):
            told = mean_maps(before).std(dim=0).max()
            assert told > 0.1
            assert mean_maps(after).std(dim=0).max() < 1e-3 * told


def test_without_erasure_there_is_nothing_to_fit() -> None:
    encoder = ContentEncoder({8: 4, 16: 4}, blocks=1)
    images = torch.randn(3, 3, 16, 16)
    before = encoder(images, Stage(16)).features
    encoder.fit_erasers([], Stage(16))
    assert encoder(images, Stage(16)).features.equal(before)
