"""Films: what is written can be read again, and is whole or not there."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from brushwork.data.errors import DataError
from brushwork.data.film import MOST, even, require_film, write_film


def frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Each of one colour."""
    return [np.full((height, width, 3), (20 * i, 200 - 20 * i, 128), dtype=np.uint8) for i in range(count)]


def decoded(path: Path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        with av.open(path) as container:
            assert container.streams.video[0].average_rate == 10
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with Image.open(path) as image:
        found = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        assert image.info["duration"] == 100
        assert image.info["loop"] == 0
        return found


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp"])
def test_all_frames_are_in_the_film(name: str, tmp_path: Path) -> None:
    write_film(tmp_path / name, iter(frames(8)), fps=10)
    found = decoded(tmp_path / name)
    assert len(found) == 8
    for frame, expected in zip(found, frames(8), strict=True):
        assert np.abs(frame.astype(int) - expected).max() < 12


def test_odd_sides_get_one_more_row_or_column(tmp_path: Path) -> None:
    (frame,) = even([np.arange(15 * 3, dtype=np.uint8).reshape(3, 5, 3)])
    assert frame.shape == (4, 6, 3)
    assert (frame[3] == frame[2]).all()
    assert (frame[:, 5] == frame[:, 4]).all()
    write_film(tmp_path / "a.mp4", frames(2, 47, 63), fps=10)
    assert decoded(tmp_path / "a.mp4")[0].shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_error_leaves_the_film_that_was_there(name: str, tmp_path: Path) -> None:
    write_film(tmp_path / name, frames(2), fps=10)
    before = (tmp_path / name).read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield from frames(3)
        raise DataError("stop")

    with pytest.raises(DataError, match="stop"):
        write_film(tmp_path / name, broken(), fps=10)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_names_and_lengths_that_no_film_has() -> None:
    require_film(Path("a.mp4"), 10**9)
    require_film(Path("a.gif"), MOST)
    with pytest.raises(DataError, match=r"'a\.avi' is no name of a film: end it with \.mp4, \.gif, \.webp"):
        require_film(Path("a.avi"), 1)
    with pytest.raises(DataError, match=r"would have 1001 frames.*write \.mp4"):
        require_film(Path("a.gif"), MOST + 1)
