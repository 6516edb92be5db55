import pytest
import torch
from torch import Tensor

from brushwork.data.sources.modes import MODE_STYLES, MODES, mode_image, mode_jitter
from brushwork.eval.metrics.mode_counts import count_modes, mode_bank


def drawings(style: str, *, repeats: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (64 repeats, 3, 32, 32) and the index of each one's mode."""
    images = [
        torch.from_numpy(mode_image(mode, style, 32, mode_jitter(mode, number, seed))).permute(2, 0, 1)
        for mode in MODES
        for number in range(repeats)
    ]
    return torch.stack(images), torch.arange(len(MODES)).repeat_interleave(repeats)


@pytest.mark.parametrize("style", MODE_STYLES)
def test_new_pictures_are_recognised_in_their_own_style_and_nothing_else_is(style: str) -> None:
    images, modes = drawings(style, repeats=2, seed=99)
    noise = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator())
    for part in (modes < 64, modes % 3 == 0):
        expected = torch.bincount(modes[part], minlength=64)
        assert torch.equal(count_modes(torch.cat([images[part], noise]), style).cpu(), expected)
    other = MODE_STYLES[MODE_STYLES.index(style) - 1]
    flat = torch.arange(0, 256, 5, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    mean = images.float().mean(0, keepdim=True).byte()
    empty = images.amax(dim=(2, 3), keepdim=True).expand(-1, -1, 32, 32)  # the paper alone
    by_place = images[::2].float().unflatten(0, (16, 4)).mean(1).byte()  # one shape at all four places
    for nothing in (flat, mean, empty, by_place, images[:0]):
        assert count_modes(nothing, style).sum() == 0
    assert count_modes(images[::5], other).sum() == 0


@pytest.mark.parametrize("style", MODE_STYLES)
def test_the_balls_of_two_modes_are_disjoint(style: str) -> None:
    """An image shows one mode at most."""
    templates, radius = mode_bank(style, 32)
    for first in range(0, len(MODES), 7):
        distances = torch.cdist(templates[first], templates.flatten(0, 1))
        nearest = distances.unflatten(1, templates.shape[:2]).amin(dim=(0, 2))
        nearest[first] = torch.inf
        assert (nearest >= (radius[first] + radius) * 0.9999).all()
