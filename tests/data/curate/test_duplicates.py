import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from brushwork.data.curate.duplicates import (
    hash_image,
    near_duplicates,
    near_pairs,
    perceptual_hash,
)
from brushwork.data.images import fit_image, read_image
from brushwork.scripts.bench.toy import toy_image, toy_subject


def smooth(seed: int) -> np.ndarray:
    """An image with large structures, as photographs and drawings have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC))


def test_the_hash_survives_resizing_and_jpeg() -> None:
    pictures = [smooth(seed) for seed in range(8)]
    hashes = [perceptual_hash(picture) for picture in pictures]
    assert all(0 <= value < 2**64 for value in hashes)
    for picture, value in zip(pictures, hashes, strict=True):
        jpeg = io.BytesIO()
        Image.fromarray(picture).save(jpeg, "JPEG")
        for copy in (fit_image(picture, 48), read_image(jpeg.getvalue())):
            assert (value ^ perceptual_hash(copy)).bit_count() <= 4
    assert min((a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]) > 12
    flat = {perceptual_hash(np.full((40, 40, 3), level, np.uint8)) for level in (0, 77, 255)}
    assert flat == {0}, "rounding noise is no bit"


def test_near_duplicates_lie_within_a_style() -> None:
    picture = toy_image(toy_subject(0), 0, 64)
    touched = picture.copy()
    touched[:2, :2] = 250
    others = [toy_image(toy_subject(n), 0, 64) for n in range(1, 6)]
    labelled = [(picture, 0), (touched, 0), (touched, 1), *((other, 0) for other in others)]
    hashes = [
        hash_image(array, source=str(i), style=style, split="train", sha256=str(i))
        for i, (array, style) in enumerate(labelled)
    ]
    assert [(p.source, p.other) for p in near_duplicates(hashes)] == [("1", "0")]
    assert near_duplicates([hashes[0], replace(hashes[1], sha256="0")]) == [], (
        "an exact duplicate is another problem"
    )
    leaking = [replace(hashes[0], split="test"), hashes[1]]
    assert [(p.kind, p.source, p.other) for p in near_duplicates(leaking)][1] == ("leak", "0", "1")


def test_colours_of_near_duplicates_agree() -> None:
    red = np.full((64, 64, 3), 255, np.uint8)
    red[16:40, 20:50] = (200, 0, 0)
    blue = red.copy()
    blue[16:40, 20:50] = (0, 20, 210)
    hashes = [
        hash_image(a, source="", style=0, split="train", sha256=str(i)) for i, a in enumerate([red, blue])
    ]
    assert list(near_pairs(hashes, bits=64)) == []


def test_the_pairs_of_blocks_are_those_of_counting_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushwork.data.curate.duplicates.BLOCK", 7)
    base = hash_image(np.zeros((8, 8, 3), np.uint8), source="", style=0, split="train", sha256="")
    values = [int(h) for h in np.random.default_rng(0).integers(0, 2**8, 40)]
    distances = {(i, j, (values[i] ^ values[j]).bit_count()) for j in range(40) for i in range(j)}
    expected = {pair for pair in distances if pair[2] <= 2}
    assert set(near_pairs([replace(base, perceptual=h << 40) for h in values], bits=2)) == expected
