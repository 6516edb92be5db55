"""Exact duplicates, near-duplicates and leaks between the splits of a collection."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy.fft import dctn

from ..split import Split

MEANING: Mapping[str, str] = {
    "inaccessible": "left out: a link to nothing, a pipe, a folder that may not be read, or the like",
    "unreadable": "left out: the file is damaged or is no image",
    "too small": "left out: a side is shorter than the minimum",
    "animated": "kept: only the first of its frames or pages",
    "duplicate": "left out: the same pixels in the same style",
    "two labels": "kept: the same pixels under two styles, so at least one label may be wrong",
    "near-duplicate": "kept: looks like another image of its style",
    "leak": "kept: an image of the test split looks like one of the training split",
}
NEAR_BITS = 6
"""Near-duplicates differ in at most this many bits of their 64-bit hashes."""
NEAR_LEVELS, NEAR_SHARE = 4.0, 0.1
"""The mean difference of the 8 x 8 colours of near-duplicates is at most so many levels of 255, and at most
this share of the deviation within each image, since different small drawings share a large ground."""
BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to look at: its kind of MEANING, the file, a detail, and the other file if there is one."""

    kind: str
    source: str
    detail: str
    other: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageHash:
    """Identity of an image: SHA-256 of its pixels, perceptual hash, 8 x 8 colours, and labels."""

    source: str
    style: int
    split: Split
    sha256: str
    perceptual: int
    colours: np.ndarray


def hash_image(array: np.ndarray, *, source: str, style: int, split: Split, sha256: str) -> ImageHash:
    """Hashes uint8 (H, W, 3)."""
    small = Image.fromarray(array).resize((8, 8), Image.Resampling.BOX)
    return ImageHash(
        source=source, style=style, split=split, sha256=sha256,
        perceptual=perceptual_hash(array), colours=np.asarray(small, dtype=np.uint8).reshape(-1),
    )  # fmt: skip


def perceptual_hash(array: np.ndarray) -> int:
    """Returns a 64-bit DCT hash of uint8 (H, W, 3). Re-encoded or resized copies differ by a few bits.

    The grey image is reduced to 32 x 32. Each bit says whether one of the 8 x 8 lowest frequencies, without
    the row and column of the mean, lies above their median.
    """
    grey = Image.fromarray(array).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    low = np.asarray(dctn(np.asarray(grey, dtype=np.float64)))[1:9, 1:9]
    # A flat image has only rounding noise here, which must not become random bits.
    low = np.where(np.abs(low) < 4e-6, 0, low)
    return sum(1 << i for i, bit in enumerate((low > np.median(low)).ravel()) if bit)


@dataclass(kw_only=True)
class DuplicateFilter:
    """Decides image by image what stays, and keeps the hashes of what does."""

    hashes: list[ImageHash] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _by_pixels: dict[str, list[ImageHash]] = field(default_factory=dict)

    def accepts(self, new: ImageHash) -> bool:
        """Returns whether the image stays in the data set, and records exact duplicates as problems."""
        twins = self._by_pixels.setdefault(new.sha256, [])
        same = next((old for old in twins if old.style == new.style), None)
        if same is not None:
            self.problems.append(_pair("duplicate", new, "the same pixels", same))
            return False
        if twins:
            self.problems.append(_pair("two labels", new, "the same pixels in another style", twins[0]))
        leak = next((old for old in twins if old.split != new.split), None)
        if leak is not None:
            self.problems.append(_leak(new, leak, "the same"))
        twins.append(new)
        self.hashes.append(new)
        return True


def _pair(kind: str, one: ImageHash, detail: str, other: ImageHash) -> Problem:
    return Problem(kind=kind, source=one.source, detail=detail, other=other.source)


def _leak(a: ImageHash, b: ImageHash, how: str) -> Problem:
    test, train = (a, b) if a.split == "test" else (b, a)
    return _pair("leak", test, f"{how} in the training split", train)


def near_duplicates(hashes: Sequence[ImageHash]) -> list[Problem]:
    """Returns the images that look like an earlier one of their style, each once with the nearest one; and
    the leaks between the splits, each image of the test split once.

    Images of two styles are never compared: a style data set shows the same subject in several styles.
    """
    problems: list[Problem] = []
    for style in sorted({one.style for one in hashes}):
        group = [one for one in hashes if one.style == style]
        nearest: dict[str, tuple[int, Problem]] = {}
        leaks: dict[str, tuple[int, Problem]] = {}
        for i, j, distance in near_pairs(group):
            a, b = group[i], group[j]
            if a.sha256 == b.sha256:
                continue
            found = _pair("near-duplicate", b, f"{distance} of 64 bits differ", a)
            _keep_nearer(nearest, found, distance)
            if a.split != b.split:
                _keep_nearer(leaks, _leak(a, b, "nearly the same"), distance)
        problems += (problem for _, problem in (*nearest.values(), *leaks.values()))
    return problems


def _keep_nearer(found: dict[str, tuple[int, Problem]], problem: Problem, distance: int) -> None:
    """Puts the problem of an image in place of one of a greater distance."""
    if problem.source not in found or distance < found[problem.source][0]:
        found[problem.source] = distance, problem


def near_pairs(hashes: Sequence[ImageHash], *, bits: int = NEAR_BITS) -> Iterator[tuple[int, int, int]]:
    """Yields the index pairs i < j that look alike, with the Hamming distance of their hashes.

    With bits as +-1, the scalar product of two hashes is 64 - 2 * distance, exactly in float32. By blocks of
    this matrix product, 100,000 images of one style take under a minute. The hash sees grey shapes only, so
    the colours must agree, too, as NEAR_LEVELS and NEAR_SHARE say.
    """
    if not hashes:
        return
    values = np.array([one.perceptual for one in hashes], dtype=np.uint64)
    signs = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1  # (N, 64)
    colours = np.stack([one.colours for one in hashes]).astype(np.float32)
    blocks = colours.reshape(len(hashes), -1, 3)
    deviation = (blocks - blocks.mean(axis=1, keepdims=True)).std(axis=(1, 2))
    levels = np.minimum(NEAR_LEVELS, NEAR_SHARE * deviation)
    for top, left in itertools.combinations_with_replacement(range(0, len(hashes), BLOCK), 2):
        agreement = signs[top : top + BLOCK] @ signs[left : left + BLOCK].T  # (B, B)
        for place in np.flatnonzero(agreement.ravel() >= 64 - 2 * bits):
            i, j = divmod(int(place), agreement.shape[1])
            a, b = top + i, left + j
            if a < b and np.abs(colours[a] - colours[b]).mean() <= min(levels[a], levels[b]):
                yield a, b, int(64 - agreement[i, j]) // 2
