from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder
from brushwork.data.images import read_image
from brushwork.scripts.bench.toy import DISTANCES, MANNERS, Subject, place_shape, toy_dataset, write_toy


def test_files_and_tensors_show_the_same(tmp_path: Path) -> None:
    names = write_toy(tmp_path, styles=3, subjects=4, size=16, seed=5)
    pictures = toy_dataset(styles=3, subjects=4, size=16, seed=5)
    scan = scan_folder(tmp_path)
    assert scan.style_names == names == pictures.style_names
    labels = zip(pictures.styles.tolist(), pictures.subjects, strict=True)
    assert [(file.style, file.subject) for file in scan.files] == list(labels)
    images = np.stack([read_image(file.path) for file in scan.files])
    assert np.array_equal(images, pictures.images.permute(0, 2, 3, 1).numpy())


def test_every_style_and_subject_looks_its_own_way_and_seeds_differ() -> None:
    pictures = toy_dataset(styles=len(MANNERS) + 2, subjects=6, size=32)
    assert len({image.numpy().tobytes() for image in pictures.images}) == len(pictures)
    assert (pictures.images.float().flatten(1).std(1) > 5).all(), "no image is blank"
    assert not torch.equal(pictures.images, toy_dataset(styles=8, subjects=6, size=32, seed=1).images)
    corners, inverted = pictures.images[:, :, 0, 0].float().mean(1), pictures.styles == 4
    assert corners[inverted].max() < corners[~inverted].min(), "inverted paper is dark"
    with pytest.raises(DataError, match="25 toy styles"):
        toy_dataset(styles=25)


@pytest.mark.parametrize(
    ("kind", "turns", "area"),
    [("circle", 7, np.pi), ("square", 4, 1.7**2), ("triangle", 3, 3 * np.sqrt(3) * 0.6**2),
     ("ring", 7, 0.75 * np.pi), ("cross", 4, 4 * 0.7 - 0.7**2)],
)  # fmt: skip
def test_shapes_are_regular(kind: str, turns: int, area: float) -> None:
    """A turn by a whole part leaves each as it is; and its area, in squared radii, is a closed form."""
    v, u = np.mgrid[-1.5:1.5:0.01, -1.5:1.5:0.01] + 0.005
    distance = DISTANCES[kind](u, v)
    cosine, sine = np.cos(2 * np.pi / turns), np.sin(2 * np.pi / turns)
    turned = DISTANCES[kind](cosine * u - sine * v, sine * u + cosine * v)
    np.testing.assert_allclose(turned, distance, atol=1e-9)
    assert (distance < 0).mean() * 9 == pytest.approx(area, rel=0.01)


def test_a_disc_and_its_outline_cover_their_areas() -> None:
    """The line falls off over a pixel on both sides, so it covers two pixels along the edge."""
    disc = Subject(kind="circle", centre=(0.5, 0.5), radius=0.25, rotation=0.0, colour=np.zeros(3))
    placed = place_shape(disc, 40)
    assert placed.cover.sum() == pytest.approx(np.pi * 10**2, rel=0.01)
    assert placed.outline.sum() == pytest.approx(2 * np.pi * 10 * 2, rel=0.01)
