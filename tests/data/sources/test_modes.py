from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder
from brushwork.data.images import read_image
from brushwork.data.sources.modes import (
    MODE_STYLES,
    MODES,
    count_modes,
    mode_bank,
    mode_image,
    mode_jitter,
    write_modes,
)
from brushwork.data.split import split_of


def drawings(style: str, *, repeats: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 (64 repeats, 3, 32, 32) and the index of each one's mode."""
    images = [
        torch.from_numpy(mode_image(mode, style, 32, mode_jitter(mode, number, seed))).permute(2, 0, 1)
        for mode in MODES
        for number in range(repeats)
    ]
    return torch.stack(images), torch.arange(len(MODES)).repeat_interleave(repeats)


@pytest.mark.parametrize("style", MODE_STYLES)
def test_new_pictures_are_recognised_in_their_own_style_only(style: str) -> None:
    images, modes = drawings(style, repeats=5, seed=99)
    for part in (modes < 64, modes % 3 == 0, modes < 7):
        expected = torch.bincount(modes[part], minlength=64)
        assert torch.equal(count_modes(images[part], style).counts, expected)
    other = MODE_STYLES[MODE_STYLES.index(style) - 1]
    assert count_modes(images[::5], other).recognised == 0


@pytest.mark.parametrize("style", MODE_STYLES)
def test_pictures_of_nothing_are_no_mode(style: str) -> None:
    images, _ = drawings(style, repeats=1, seed=0)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (64, 3, 32, 32), generator=rng, dtype=torch.uint8)
    flat = torch.arange(0, 256, 5, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    mean = images.float().mean(0, keepdim=True).byte()
    empty = images.amax(dim=(2, 3), keepdim=True).expand(-1, -1, 32, 32)  # the paper alone
    by_place = images.float().unflatten(0, (16, 4)).mean(1).byte()  # one shape at all four places
    for nothing in (noise, flat, mean, empty, by_place):
        assert count_modes(nothing, style).recognised == 0


@pytest.mark.parametrize("style", MODE_STYLES)
def test_the_balls_of_two_modes_are_disjoint(style: str) -> None:
    """A picture shows one mode at most."""
    templates, radius = mode_bank(style, 32)
    for first in range(0, len(MODES), 7):
        distances = torch.cdist(templates[first], templates.flatten(0, 1))
        nearest = distances.unflatten(1, templates.shape[:2]).amin(dim=(0, 2))
        nearest[first] = torch.inf
        assert (nearest >= (radius[first] + radius) * 0.9999).all()


def test_missing_modes_are_counted() -> None:
    images, modes = drawings("filled", repeats=2, seed=3)
    lacking = {3, 20, 21, 63}
    kept = torch.tensor([mode not in lacking for mode in modes.tolist()])
    noise = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    count = count_modes(torch.cat([images[kept], noise]), "filled")
    assert count.found == len(MODES) - len(lacking)
    assert count.recognised == 120 / 128
    assert count.counts.tolist() == [0 if mode in lacking else 2 for mode in range(64)]
    assert count_modes(images[:0], "filled").found == 0


def test_files_share_their_jitter_and_training_has_every_mode(tmp_path: Path) -> None:
    assert write_modes(tmp_path, repeats=10, size=16) == 640
    scan = scan_folder(tmp_path)
    assert scan.style_names == MODE_STYLES
    subjects = {style: [one.subject for one in scan.files if one.style == style] for style in range(4)}
    assert subjects[0] == subjects[1] == subjects[2] == subjects[3]
    trained = {name.rsplit("-", 1)[0] for name in subjects[0] if split_of(name) == "train"}
    assert trained == {"-".join(mode) for mode in MODES}
    last = read_image(tmp_path / "outline" / f"{'-'.join(MODES[5])}-09.png")
    assert (last == mode_image(MODES[5], "outline", 16, mode_jitter(MODES[5], 9))).all()


def test_unusable_images_are_refused() -> None:
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(DataError, match="'dotted' has no modes"):
        count_modes(images, "dotted")
    for unusable in (images.float(), images[:, :1], images[..., :16], images[..., :8, :8]):
        with pytest.raises(DataError, match="R from 16 up"):
            count_modes(unusable, "filled")
