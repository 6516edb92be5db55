import pytest

from brushwork.data.errors import DataError
from brushwork.data.split import split_of

SUBJECTS = [f"subject {n}" for n in range(4000)]


def test_the_split_never_moves() -> None:
    # Written down once: a change here would leak old test images into new training runs.
    test = [4, 5, 8, 10, 13, 14, 17, 25, 33, 40, 42, 43, 54]
    assert [n for n in range(60) if split_of(f"{n:04}") == "test"] == test


def test_the_fraction_is_met_and_larger_fractions_only_add() -> None:
    small = {s for s in SUBJECTS if split_of(s, 0.15) == "test"}
    large = {s for s in SUBJECTS if split_of(s, 0.3) == "test"}
    assert 0.13 < len(small) / len(SUBJECTS) < 0.17
    assert 0.28 < len(large) / len(SUBJECTS) < 0.32
    assert small < large
    assert not [s for s in SUBJECTS if split_of(s, 0.0) == "test"]
    for fraction in (-0.1, 1.0, float("nan")):
        with pytest.raises(DataError, match="outside"):
            split_of("x", fraction)


def test_numbered_crops_of_one_picture_lie_in_one_split() -> None:
    for source in (*SUBJECTS[:300], "deep/folder/image", "a@home", "@"):
        assert {split_of(f"{source}@{n}", 0.5) for n in (0, 1, 7, 12)} == {split_of(source, 0.5)}


@pytest.mark.parametrize("name", ["a@2x", "a@", "@1", "a/@1", "a@1/b", "a@1.5"])
def test_other_numbers_belong_to_the_name(name: str) -> None:
    splits = {(split_of(f"{n}/{name}", 0.5), split_of(f"{n}/{name.split('@')[0]}", 0.5)) for n in range(40)}
    assert len(splits) == 4, "as if they were two images"
