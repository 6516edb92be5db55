"""Images are written whole, while others are made."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from brushwork.data import writing
from brushwork.data.images import read_image
from brushwork.data.writing import write_images

Made = tuple[Sequence[Path], np.ndarray]


def pictures_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def batches_of(folder: Path, pictures: np.ndarray, size: int) -> Iterator[Made]:
    for start in range(0, len(pictures), size):
        some = pictures[start : start + size]
        yield [folder / f"{start + i}.png" for i in range(len(some))], some


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("threads", [1, 4])
def test_every_picture_is_written(tmp_path: Path, threads: int) -> None:
    pictures, counted = pictures_of(23), []
    write_images(batches_of(tmp_path, pictures, 5), threads=threads, written=lambda: counted.append(1))
    assert files(tmp_path) == {f"{i}.png" for i in range(23)}
    for i, pixels in enumerate(pictures):
        assert (read_image(tmp_path / f"{i}.png") == pixels).all()
    assert len(counted) == 23


def test_at_most_two_batches_wait_while_the_next_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder waits until the third batch is made. Without concurrency this would never end."""
    go, begun, made, saved = threading.Event(), threading.Event(), [], []

    def slow(path: Path, pixels: np.ndarray, note: str) -> None:
        begun.set()
        assert go.wait(20)
        saved.append(path)

    def batches() -> Iterator[Made]:
        for number, batch in enumerate(batches_of(tmp_path, pictures_of(20), 2)):
            made.append(number)
            assert 2 * number - len(saved) <= 4, "more than two batches wait"
            if number == 2:
                assert begun.wait(20)
                assert not saved, "this batch is made while the first is encoded"
                go.set()
            yield batch

    monkeypatch.setattr(writing, "save_image", slow)
    write_images(batches(), threads=1)
    assert len(saved) == 20
    assert made == list(range(10))


def test_an_error_in_a_thread_stops_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def full(path: Path, pixels: np.ndarray, note: str) -> None:
        raise OSError(28, "No space left on device")

    def batches() -> Iterator[Made]:
        for batch in batches_of(tmp_path, pictures_of(20), 2):
            made.append(batch)
            yield batch

    monkeypatch.setattr(writing, "save_image", full)
    with pytest.raises(OSError, match="No space"):
        write_images(batches(), threads=1)
    assert len(made) <= 3, "a full disk stops the iterator"
