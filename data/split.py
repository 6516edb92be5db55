"""Train or test by subject: a subject of the test split is unseen in every style, now and for ever.

Several pictures of one thing, such as crops of one painting, are numbered behind an `@`: `sunflowers@1`,
`sunflowers@2`. They are subjects of their own, but the split takes them together.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, get_args

from .errors import DataError

Split = Literal["train", "test"]
AnySplit = Literal["train", "test", "all"]
SPLITS: tuple[Split, ...] = ("train", "test")
TEST_FRACTION = 0.15


def split_of(subject: str, test_fraction: float = TEST_FRACTION) -> Split:
    """Decides by SHA-256 of the name alone, without the number behind an `@` at its end.

    Adding or removing other subjects never moves this one, and a larger fraction only adds to the test split.
    """
    if not 0 <= test_fraction < 1:
        raise DataError(f"The test fraction {test_fraction} is outside [0, 1): choose e.g. {TEST_FRACTION}.")
    draw = int.from_bytes(hashlib.sha256(split_group(subject).encode()).digest()[:8], "big") / 2**64
    return "test" if draw < test_fraction else "train"


def parts_of(split: AnySplit) -> Sequence[Split]:
    """The splits that are meant. Raises DataError for an unknown one."""
    if split not in get_args(AnySplit):
        raise DataError(f"The split '{split}' is unknown: choose one of {', '.join(get_args(AnySplit))}.")
    return SPLITS if split == "all" else (split,)


def split_group(subject: str) -> str:
    """What a subject shares with those that must lie in its split: `a/b@12` -> `a/b`, `b` -> `b`."""
    return _NUMBER.sub("", subject)


_NUMBER = re.compile(r"(?<=[^/])@[0-9]+$")
