import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.sources import icon_matrix
from brushwork.data.sources.icon_matrix import MatrixConfig, frame_drawing, rasterise


def visible(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).getchannel("A")) > 127


def test_every_drawing_gets_the_same_margin() -> None:
    for x, y, width, height in [(0, 0, 16, 16), (6, 6, 4, 4), (2, 5, 12, 3), (9, 1, 3, 14)]:
        body = f'<rect x="{x}" y="{y}" width="{width}" height="{height}"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{body}</svg>'
        mask = visible(rasterise(svg, size=32, margin=1 / 16))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        spans = len(rows), len(columns)
        assert abs(max(spans) - 28) <= 1
        assert abs(spans[0] / spans[1] - height / width) < 0.15 * height / width
        assert abs(rows[0] + rows[-1] - 31) <= 1
        assert abs(columns[0] + columns[-1] - 31) <= 1


def test_an_empty_drawing_stays_empty() -> None:
    framed = frame_drawing(Image.new("RGBA", (32, 32)), size=16, margin=0.1)
    assert framed.size == (16, 16)
    assert framed.getbbox() is None


def test_processes_draw_what_one_process_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="{}" height="9"/></svg>'
    monkeypatch.setattr(icon_matrix, "CHUNK", 1)
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        jobs = [icon_matrix._Job(path=folder / f"{n}.png", svg=frame.format(n)) for n in range(1, 10)]
        icon_matrix._draw(jobs, MatrixConfig(size=16, margin=0.1, workers=workers))
    for n in range(1, 10):
        assert (tmp_path / "1" / f"{n}.png").read_bytes() == (tmp_path / "2" / f"{n}.png").read_bytes()
