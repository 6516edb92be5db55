"""Train or test by subject: a subject of the test split is unseen in every style, now and for ever."""

import hashlib
from typing import Literal

from .errors import DataError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
TEST_FRACTION = 0.15


def split_of(subject: str, test_fraction: float = TEST_FRACTION) -> Split:
    """Decides by SHA-256 of the name alone.

    Adding or removing other subjects never moves this one, and a larger fraction only adds to the test split.
    """
    if not 0 <= test_fraction < 1:
        raise DataError(f"The test fraction {test_fraction} is outside [0, 1): choose e.g. {TEST_FRACTION}.")
    draw = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") / 2**64
    return "test" if draw < test_fraction else "train"
