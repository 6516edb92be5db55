"""Colours that stay, colours that are taken."""

import torch

from brushwork.training.style_transfer.colour import coloured_like, luma, with_colours_of
from brushwork.training.style_transfer.statistics import moments


def picture(seed: int, height: int = 8, width: int = 8) -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_luma_of_grey_is_grey() -> None:
    torch.testing.assert_close(luma(torch.full((1, 3, 2, 2), 0.4)), torch.full((1, 1, 2, 2), 0.4))


def test_light_is_the_drawn_ones_and_the_rest_the_contents() -> None:
    content = picture(0)
    drawn = content + 0.05 * (luma(picture(1)) - 0.5)
    found = with_colours_of(content, drawn)
    torch.testing.assert_close(luma(found), luma(drawn))
    torch.testing.assert_close(found - luma(found), content - luma(content), atol=1e-6, rtol=0)
    torch.testing.assert_close(with_colours_of(content, content), content)


def test_colours_are_moved_to_anothers_mean_and_covariance() -> None:
    other = 0.45 + 0.1 * picture(1, 6, 10)
    found, goal = moments(coloured_like(picture(0), other)), moments(other)
    torch.testing.assert_close(found.mean, goal.mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.covariance, goal.covariance, atol=2e-5, rtol=1e-2)


def test_a_picture_in_one_colour_becomes_the_others_mean() -> None:
    other = picture(1)
    found = coloured_like(torch.full((1, 3, 4, 4), 0.2), other)
    torch.testing.assert_close(found[0, :, 0, 0], moments(other).mean, atol=1e-3, rtol=0)
