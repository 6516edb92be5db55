import pytest

from brushwork.data.errors import DataError
from brushwork.data.split import split_of

SUBJECTS = [f"subject {n}" for n in range(4000)]


def test_the_split_never_moves() -> None:
    # Written down once: a change here would leak old test pictures into new training runs.
    assert [n for n in range(60) if split_of(f"{n:04}") == "test"] == [
        4,
        5,
        8,
        10,
        13,
        14,
        17,
        25,
        33,
        40,
        42,
        43,
        54,
    ]


def test_the_fraction_is_met_and_larger_fractions_only_add() -> None:
    small = {s for s in SUBJECTS if split_of(s, 0.15) == "test"}
    large = {s for s in SUBJECTS if split_of(s, 0.3) == "test"}
    assert 0.13 < len(small) / len(SUBJECTS) < 0.17
    assert 0.28 < len(large) / len(SUBJECTS) < 0.32
    assert small < large
    assert not [s for s in SUBJECTS if split_of(s, 0.0) == "test"]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_impossible_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="outside"):
        split_of("x", fraction)
