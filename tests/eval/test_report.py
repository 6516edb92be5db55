"""What a reader gets: a page that stands alone, JSON that says the same, nothing half-written."""

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from brushwork.eval.errors import EvalError
from brushwork.eval.measures import Figures, Measures
from brushwork.eval.plots import confusion_maps, style_bars
from brushwork.eval.report import page, save_rows, table, write_report

NAMES = ("flat", "round & soft", "sketch")


def figures(fd: float, accuracy: float) -> Figures:
    rest = (1 - accuracy) / 2
    rows = tuple(tuple(accuracy if r == c else rest for c in range(3)) for r in range(3))
    return Figures(fd=fd, style_fd=(fd, 3 * fd, 2 * fd), style_accuracy=accuracy, confusion=rows)


def measured(control: bool = True) -> Measures:
    return Measures(
        style_names=NAMES,
        samples=figures(700.5, 0.5),
        real=figures(90.25, 0.86),
        control_samples=figures(555.5, 0.35) if control else None,
        control_real=figures(66.75, 0.44) if control else None,
        protocol={"features": "a <network>", "images_per_style": [200, 200, 200], "seed": 0, "control": None},
        label="runs/<first>",
    )


class Outline(HTMLParser):
    """Open tags, what is loaded from elsewhere, pictures without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.wordless = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [
            v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("data:")
        ]
        self.wordless += tag == "img" and not values.get("alt")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_stands_alone_and_is_well_formed() -> None:
    text = page(measured(), {"Samples": style_bars(measured())})
    outline = Outline(text)
    assert outline.open == []
    assert outline.links == []
    assert outline.wordless == 0
    assert "<script" not in text
    assert '<html lang="en">' in text


def test_page_says_the_figures_with_ceiling_control_and_protocol() -> None:
    text = page(measured(), {})
    for words in ("700.5", "90.2", "0.500", "0.860", "0.350", "0.440", "200, 200, 200", "chance: 0.33"):
        assert words in text, words
    assert "round &amp; soft" in text
    assert "a &lt;network&gt;" in text
    assert "runs/&lt;first&gt;" in text
    assert "<network>" not in text
    assert "random weights" not in page(measured(control=False), {})


def test_pictures_in_the_page_are_pictures(tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    Image.new("RGB", (9, 5), "red").save(grid)
    report = write_report(measured(), tmp_path / "out", grids={"Samples": grid})
    found = re.findall(r"data:image/png;base64,([^\"]+)", report.page.read_text(encoding="utf-8"))
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in found]
    assert len(sizes) == 3
    assert sizes[2] == (9, 5)
    assert all(width > 500 for width, _ in sizes[:2])


def test_plots_show_the_figures() -> None:
    """Other figures, other pixels; the same figures, the same."""
    other = Measures(**{**vars(measured()), "samples": figures(300.0, 0.9)})
    for plot in (style_bars, confusion_maps):
        assert plot(measured()) == plot(measured())
        assert plot(measured()) != plot(other)


def test_json_is_the_measures(tmp_path: Path) -> None:
    report = write_report(measured(), tmp_path)
    assert json.loads(report.json.read_text(encoding="utf-8")) == measured().to_json()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_table_lines_up() -> None:
    lines = table(measured()).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["samples", "real,", "samples,", "real,"]
    assert "700.5" in lines[1]
    worst = next(line for line in lines if "worst" in line)
    assert worst.startswith("round & soft")
    assert len({line.index("FD") for line in (lines[0], lines[6])}) == 1


def test_rows_become_a_grid(tmp_path: Path) -> None:
    rows = [torch.full((4, 3, 8, 8), 40 * i, dtype=torch.uint8) for i in range(3)]
    with Image.open(save_rows(rows, NAMES, tmp_path / "new" / "grid.png")) as image:
        assert image.width > 4 * 8 * 12  # magnified, with the names beside it
        assert image.height > 3 * 8 * 12


def test_a_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_report(measured(), tmp_path).json.read_text(encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EvalError, match="No space left"):
        write_report(measured(control=False), tmp_path)
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == old
    assert len(list(tmp_path.iterdir())) == 2


def test_a_missing_grid_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="absent"):
        write_report(measured(), tmp_path, grids={"Samples": tmp_path / "absent.png"})
