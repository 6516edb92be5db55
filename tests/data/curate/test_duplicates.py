import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from brushwork.data.curate.duplicates import ImageHash, hash_image, near_duplicates, near_pairs
from brushwork.data.images import fit_image, read_image
from brushwork.scripts.bench.toy import toy_image, toy_subject


def smooth(seed: int) -> np.ndarray:
    """An image with large structures, as photographs and drawings have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC))


def hashed(array: np.ndarray, name: object = "") -> ImageHash:
    return hash_image(array, source=str(name), style=0, split="train", sha256=str(name))


def test_the_hash_survives_resizing_and_jpeg() -> None:
    pictures = [smooth(seed) for seed in range(8)]
    hashes = [hashed(picture).perceptual for picture in pictures]
    assert all(0 <= value < 2**64 for value in hashes)
    for picture, value in zip(pictures, hashes, strict=True):
        jpeg = io.BytesIO()
        Image.fromarray(picture).save(jpeg, "JPEG")
        for copy in (fit_image(picture, (48, 48)), read_image(jpeg.getvalue())):
            assert (value ^ hashed(copy).perceptual).bit_count() <= 4
    assert min((a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]) > 12
    flat = {hashed(np.full((40, 40, 3), level, np.uint8)).perceptual for level in (0, 77, 255)}
    assert flat == {0}, "rounding noise is no bit"


def test_near_duplicates_lie_within_a_style() -> None:
    picture, *others = (toy_image(toy_subject(n), 0, 64) for n in range(6))
    touched = picture.copy()
    touched[:2, :2] = 250
    one, other, *rest = (hashed(array, n) for n, array in enumerate([picture, touched, *others]))
    found = near_duplicates([one, other, replace(other, source="twin", style=1), *rest])
    assert [(p.source, p.other) for p in found] == [("1", "0")]
    assert near_duplicates([one, replace(other, sha256="0")]) == [], "exact duplicates are another problem"
    leaking = near_duplicates([replace(one, split="test"), other])
    assert [(p.kind, p.source, p.other) for p in leaking][1] == ("leak", "0", "1")


def test_colours_of_near_duplicates_agree() -> None:
    red, blue = np.full((2, 64, 64, 3), 255, np.uint8)
    red[16:40, 20:50], blue[16:40, 20:50] = (200, 0, 0), (0, 20, 210)
    assert list(near_pairs([hashed(red), hashed(blue)], bits=64)) == []


def test_small_drawings_have_more_in_common_than_their_ground() -> None:
    bar, other = np.full((2, 72, 72, 3), 255, np.uint8)
    bar[30:34, 28:44], other[28:44, 30:34] = (120, 60, 0), (120, 60, 0)
    jpeg = io.BytesIO()
    Image.fromarray(bar).save(jpeg, "JPEG")
    copy = read_image(jpeg.getvalue())
    assert [pair[:2] for pair in near_pairs([hashed(bar), hashed(other), hashed(copy)], bits=64)] == [(0, 2)]


def test_every_frame_of_a_film_is_named_once_with_the_nearest_before() -> None:
    picture = toy_image(toy_subject(0), 0, 64)
    frames = [replace(hashed(picture, n), perceptual=(1 << n) - 1) for n in range(6)]
    found = near_duplicates([replace(frames[0], split="test"), *frames[1:]])
    pairs = [(problem.kind, problem.source, problem.other) for problem in found]
    assert pairs[:5] == [("near-duplicate", str(n), str(n - 1)) for n in range(1, 6)]
    assert pairs[5:] == [("leak", "0", "1")]


def test_the_pairs_of_blocks_are_those_of_counting_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushwork.data.curate.duplicates.BLOCK", 7)
    base = hashed(np.zeros((8, 8, 3), np.uint8))
    values = [int(h) for h in np.random.default_rng(0).integers(0, 2**8, 40)]
    distances = {(i, j, (values[i] ^ values[j]).bit_count()) for j in range(40) for i in range(j)}
    expected = {pair for pair in distances if pair[2] <= 2}
    assert set(near_pairs([replace(base, perceptual=h << 40) for h in values], bits=2)) == expected
