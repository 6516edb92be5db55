"""What is wrong with a collection: unreadable, small, repeated, mislabelled and leaking pictures."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from ..folder import Found
from ..images import perceptual_hash
from ..split import Split

Kind = Literal[
    "inaccessible", "unreadable", "too small", "animated", "bad profile", "duplicate", "two labels",
    "near-duplicate", "leak", "case",
]  # fmt: skip
Duplicates = Literal["drop", "keep"]

MEANING: Mapping[Kind, str] = {
    "inaccessible": "left out: a link to nothing, a pipe, a folder that may not be read, or the like",
    "unreadable": "left out: the file is damaged or is no picture",
    "too small": "left out: a side is shorter than the minimum",
    "animated": "kept: only the first of its frames or pages",
    "bad profile": "kept: its colour profile cannot be used, so that its colours are taken for sRGB",
    "duplicate": "the very same pixels in the same style: only the first stays, unless --duplicates keep",
    "two labels": "kept: the very same pixels under two styles, so that at least one label may be wrong",
    "near-duplicate": "kept: looks like another picture of its style",
    "leak": "kept: a picture of the test split looks like one of the training split",
    "case": "kept as another subject: the names differ only by case, so that both splits may show one thing",
}
NEAR_BITS = 6
NEAR_LEVELS = 4.0
BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to look at: which file, what about it, and the other file where there is one."""

    kind: Kind
    source: str
    detail: str
    other: str = ""


@dataclass(frozen=True, kw_only=True)
class Print:
    """What is remembered of a picture: identity of its pixels, perceptual hash, 8 x 8 colours, and labels."""

    source: str
    style: int
    split: Split
    sha256: str
    hash64: int
    colours: np.ndarray


def print_of(array: np.ndarray, *, source: str, style: int, split: Split, sha256: str) -> Print:
    """Takes the prints of uint8 (H, W, 3)."""
    small = Image.fromarray(array).resize((8, 8), Image.Resampling.BOX)
    return Print(
        source=source,
        style=style,
        split=split,
        sha256=sha256,
        hash64=perceptual_hash(array),
        colours=np.asarray(small, dtype=np.uint8).reshape(-1),
    )


# Names


def case_twins(found: Sequence[Found]) -> Iterator[Problem]:
    """Each subject whose name differs only by case from that of an earlier one."""
    first: dict[str, Found] = {}
    named: set[str] = set()
    for one in found:
        twin = first.setdefault(one.subject.casefold(), one)
        if twin.subject != one.subject and one.subject not in named:
            named.add(one.subject)
            detail = f"there is '{twin.subject}', too"
            yield Problem(kind="case", source=one.source, detail=detail, other=twin.source)


# Repeats


@dataclass(kw_only=True)
class Register:
    """Meets the pictures one by one and keeps the prints of those that stay."""

    duplicates: Duplicates
    prints: list[Print] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _first: dict[str, list[Print]] = field(default_factory=dict)

    def admit(self, new: Print) -> bool:
        """Says whether the picture goes into the data set, and notes exact repeats."""
        twins = self._first.setdefault(new.sha256, [])
        same = next((old for old in twins if old.style == new.style), None)
        if same is not None:
            detail = "dropped" if self.duplicates == "drop" else "kept"
            self._note("duplicate", new, detail, same)
            if self.duplicates == "drop":
                return False
        elif twins:
            self._note("two labels", new, "identical pixels in another style", twins[0])
        leak = next((old for old in twins if old.split != new.split), None)
        if leak is not None:
            self.problems.append(_leak(new, leak, "identical"))
        twins.append(new)
        self.prints.append(new)
        return True

    def _note(self, kind: Kind, new: Print, detail: str, old: Print) -> None:
        self.problems.append(Problem(kind=kind, source=new.source, detail=detail, other=old.source))


def _leak(a: Print, b: Print, how: str) -> Problem:
    test, train = (a, b) if a.split == "test" else (b, a)
    return Problem(kind="leak", source=test.source, detail=f"{how} in the training split", other=train.source)


def near_duplicates(prints: Sequence[Print], *, bits: int = NEAR_BITS) -> list[Problem]:
    """Pairs of one style whose hashes differ by at most `bits` and whose colours agree; leaks among them.

    Styles are never compared with each other: the same subject in two hands is what a style data set is for.
    """
    problems: list[Problem] = []
    for style in sorted({one.style for one in prints}):
        group = [one for one in prints if one.style == style]
        for i, j, distance in near_pairs(group, bits=bits):
            a, b = group[i], group[j]
            if a.sha256 == b.sha256:
                continue
            detail = f"{distance} of 64 bits differ"
            problems.append(Problem(kind="near-duplicate", source=b.source, detail=detail, other=a.source))
            if a.split != b.split:
                problems.append(_leak(a, b, "nearly the same"))
    return problems


def near_pairs(prints: Sequence[Print], *, bits: int) -> Iterator[tuple[int, int, int]]:
    """Index pairs i < j and their Hamming distance, by blocks of a matrix product.

    With bits as +-1, the scalar product of two hashes is 64 - 2 * distance: exact in float32, and 100,000
    pictures of one style take under a minute. The hash sees grey shapes only, so colours must agree too.
    """
    if not prints or bits < 0:
        return
    hashes = np.array([one.hash64 for one in prints], dtype=np.uint64)
    signs = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1  # (N, 64)
    colours = np.stack([one.colours for one in prints]).astype(np.float32)
    for top, left in itertools.product(range(0, len(prints), BLOCK), repeat=2):
        if left < top:
            continue
        agreement = signs[top : top + BLOCK] @ signs[left : left + BLOCK].T  # (B, B)
        for place in np.flatnonzero(agreement.ravel() >= 64 - 2 * bits):
            i, j = divmod(int(place), agreement.shape[1])
            a, b = top + i, left + j
            if a < b and np.abs(colours[a] - colours[b]).mean() <= NEAR_LEVELS:
                yield a, b, int(64 - agreement[i, j]) // 2
