import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from brushwork.data import writing
from brushwork.data.images import read_image
from brushwork.data.writing import write_images

PICTURES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), dtype=np.uint8)


def batches(folder: Path) -> Iterator[tuple[list[Path], np.ndarray]]:
    """Of five images, the last of three."""
    paths = [folder / f"{i}.png" for i in range(23)]
    for start in range(0, 23, 5):
        yield paths[start : start + 5], PICTURES[start : start + 5]


@pytest.mark.parametrize("threads", [1, 4])
def test_every_picture_is_written(tmp_path: Path, threads: int) -> None:
    counted = []
    write_images(batches(tmp_path), threads=threads, written=lambda: counted.append(1))
    assert {path.name for path in tmp_path.iterdir()} == {f"{i}.png" for i in range(23)}
    for i, pixels in enumerate(PICTURES):
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

    def watched() -> Iterator[tuple[list[Path], np.ndarray]]:
        for number, batch in enumerate(batches(tmp_path)):
            made.append(number)
            assert 5 * number - len(saved) <= 10, "more than two batches wait"
            if number == 2:
                assert begun.wait(20)
                assert not saved, "this batch is made while the first is encoded"
                go.set()
            yield batch

    monkeypatch.setattr(writing, "save_image", slow)
    write_images(watched(), threads=1)
    assert (made, len(saved)) == (list(range(5)), 23)


def test_an_error_in_a_thread_stops_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, rest = [], batches(tmp_path)

    def full(path: Path, pixels: np.ndarray, note: str) -> None:
        tried.append(path)
        time.sleep(0.2 * (len(tried) > 1))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "save_image", full)
    with pytest.raises(OSError, match="No space"):
        write_images(rest, threads=1)
    assert len(tried) < 10, "waiting images are dropped"
    assert len(list(rest)) >= 2, "a full disk stops the iterator"
