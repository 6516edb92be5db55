"""Splits by subject: training never shows a subject of the test split, in any style.

Several images of one thing, such as crops of one painting, are numbered after an `@`: `sunflowers@1`,
`sunflowers@2`. They are subjects of their own, but lie in one split.
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
    """Returns the split of a subject by SHA-256 of its name, without a final `@` and number.

    Other subjects have no influence, and a larger fraction only adds to the test split.
    """
    if not 0 <= test_fraction < 1:
        raise DataError(f"The test fraction {test_fraction} is outside [0, 1): choose e.g. {TEST_FRACTION}.")
    group = re.sub(r"(?<=[^/])@[0-9]+$", "", subject)
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    return "test" if position < test_fraction else "train"


def parts_of(split: AnySplit) -> Sequence[Split]:
    """Returns the splits that a name stands for. Raises DataError if it is unknown."""
    if split not in get_args(AnySplit):
        raise DataError(f"The split '{split}' is unknown: choose one of {', '.join(get_args(AnySplit))}.")
    return SPLITS if split == "all" else (split,)
