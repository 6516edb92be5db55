"""The page stands alone, shows every figure beside its levels, and can be read by everybody."""

import base64
import io
import json
import math
import os
import re
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from brushwork.data.images import png_bytes
from brushwork.eval.errors import EvalError
from brushwork.eval.report import page as module
from brushwork.eval.report.cards import state
from brushwork.eval.report.page import NEAREST, REAL, SAMPLES, page, write_report
from brushwork.eval.report.plots import DPI, NARROW, WIDTH
from brushwork.eval.results import METRIC_INFO, CurvePoint, Measurement, MetricResult, Score

NAMES = ("flat", "round & soft", "<sketch>")
MATRIX = ((0.5, 0.3, 0.2), (0.1, 0.8, 0.1), (0.25, 0.25, 0.5))
RED = png_bytes(Image.new("RGB", (9, 5), "red"))


def figure(name: str, value: float, features: str = "net", *, control: bool = True) -> MetricResult:
    def score(value: float) -> Score:
        matrix = MATRIX if name in ("accuracy", "csls", "gram") else ()
        return Score(value=value, per_style=(value, 2 * value, 3 * value), spread=value / 40, matrix=matrix)

    return MetricResult(
        about=METRIC_INFO[name], features=features, measured=score(value), real=score(1.25 * value),
        control=score(0.7 * value) if control else None, control_real=score(1.5 * value) if control else None,
    )  # fmt: skip


def measured(control: bool = True, **more: MetricResult) -> Measurement:
    figures = {name: figure(name, 0.4, control=control) for name in ("accuracy", "precision", "csls", "gram")}
    return Measurement(
        style_names=NAMES,
        figures={"fd": figure("fd", 64.24, control=control), **figures,
                 "fd@inception": figure("fd", 31.5, "inception", control=control), **more},
        protocol={"features": {"net": "a <network>"}, "images_per_style": [200, 200, 200, 200], "seed": None},
        environment={"torch": "2.99"},
        curves={"truncation": tuple(CurvePoint(x=x, scores={"fd": 9 - x, "recall": x}) for x in (0.5, 1.0))},
        label="runs/<first>",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take time, and most tests are about the text."""
    for name in ("bars", "confusion", "curve"):
        monkeypatch.setattr(module, name, lambda *_, **__: RED)


def headings(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


def row_widths(table: str) -> set[int]:
    """Numbers of cells that the rows of a table have."""
    rows = re.findall("<tr.*?</tr>", table, re.DOTALL)
    spans = [re.findall(r'<t[dh](?:[^>]*colspan="(\d+)")?', row) for row in rows]
    return {sum(int(span or 1) for span in row) for row in spans}


def squeezed(text: str) -> str:
    """HTML without white space between tags."""
    return re.sub(r">\s+<", "><", re.sub(r"\s+", " ", text))


@pytest.mark.parametrize("control", [True, False])
def test_page_stands_alone_and_is_well_formed(control: bool) -> None:
    text = page(measured(control), {"Samples": RED})
    assert text.startswith("<!doctype html>\n<html lang")
    assert not re.search(r"<script|url\(|{%|{{|href|src=\"(?!data:)|<img(?![^>]*alt=\"[^\"])|<th(?=>)", text)
    for tag in set(re.findall(r"</(\w+)", text)):
        assert len(re.findall(rf"<{tag}\b", text)) == text.count(f"</{tag}>"), tag
    tables = re.findall("<table.*?</table>", text, re.DOTALL)
    (figures,) = [table for table in tables if 'class="figures"' in table]
    assert row_widths(figures) == {6 if control else 4}, "every row has as many cells as the heading"
    assert {len(row_widths(table)) for table in tables if table is not figures} == {1}
    assert ("random weights" in text) == ('data-label="control"' in text) == control


def test_sections_come_in_order() -> None:
    text = page(measured(), {NEAREST: RED, REAL: RED, SAMPLES: RED})
    assert re.findall("<figcaption>(.*?)</figcaption>", text) == [SAMPLES, REAL]
    assert text.index("<figcaption>") < text.index('<div class="cards">')
    assert headings(text) == [
        'Distance <span class="state">near held-out pictures</span>',
        'Style <span class="state">near held-out pictures</span>', "The figures",
        "Frechet distance by style", "Other figures by style",
        "By style, in the features of inception", "Which style is recognised",
        "Every style", "Effect of truncation", NEAREST,
    ]  # fmt: skip
    assert "was memorised" in text


def test_a_figure_has_ceiling_control_worst_style_and_note() -> None:
    text = squeezed(page(measured(), {}))
    row = text[text.index('<th scope="row">Frechet distance <span') :]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[: row.index("</tr>")])
    plain = [unescape(re.sub("<[^>]*>", "", cell)) for cell in cells]
    assert plain == ["64.2 ± 1.6", "80.3", "45.0", "96.4", "<sketch> 193"]
    assert METRIC_INFO["fd"].note in unescape(text)
    assert "<dt>Frechet distance, less is better</dt>" in text
    assert "in the features of inception" in text


def test_text_is_escaped_and_the_protocol_is_readable() -> None:
    text = squeezed(page(measured(), {"<grid>": RED}))
    for words in ("round & soft", "<sketch>", "runs/<first>", "a <network>", "<grid>"):
        assert escape(words) in text, words
        assert words not in text, words
    assert "<dt>images per style</dt><dd>200 (4 times)</dd>" in text
    assert "<dt>features</dt><dd><dl><dt>net</dt><dd>a &lt;network&gt;</dd></dl>" in text
    assert "<dt>seed</dt><dd>none</dd>" in text
    assert "<dt>torch</dt><dd>2.99</dd>" in text


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


def test_cards_show_each_question_by_each_evaluator_beside_held_out_images() -> None:
    found = [
        text_of(card) for card in re.findall('<div class="card.*?</div>', page(measured(), {}), re.DOTALL)
    ]
    assert found == [
        "Distance near held-out pictures How far from the real pictures? by net inception "
        "Frechet distance 64.2 real 80.3 31.5 real 39.4",
        "Style near held-out pictures Is the style recognised? by net inception "
        "style accuracy 0.400 real 0.500 calibrated cosine 0.400 real 0.500",
    ]  # fmt: skip
    assert "by net" not in page(replace(measured(), figures={"fd": figure("fd", 1.0)}), {})


def test_a_collapse_stands_above_the_cards_with_advice() -> None:
    shares = Score(value=0.5, per_style=(0.9, 0.3, 0.2))
    text = page(measured(diversity=replace(figure("diversity", 1.0), measured=shares)), {})
    (alarm,) = re.findall('<div class="alarm">(.*?)</div>', text)
    for words in ("2 of 3 styles draw one image", escape("round & soft, <sketch>"), "To try:"):
        assert words in alarm
    assert text.index("alarm") < text.index('<div class="cards">')
    assert 'class="alarm"' not in page(measured(), {})


@pytest.mark.parametrize(
    ("name", "value", "real", "expected"),
    [
        ("fd", 120.0, 100.0, "near"), ("fd", 200.0, 100.0, "off"), ("fd", 301.0, 100.0, "far"),
        ("fd", 90.0, 100.0, "near"), ("recall", 0.5, 0.6, "near"), ("recall", 0.3, 0.6, "off"),
        ("recall", 0.0, 0.6, "far"), ("recall", 0.0, 0.0, "near"), ("copies", 0.02, 0.01, "near"),
        ("copies", 0.1, 0.01, "off"), ("copies", 0.3, 0.01, "far"), ("recall", 0.5, None, ""),
    ],
)  # fmt: skip
def test_the_colour_of_a_card(name: str, value: float, real: float | None, expected: str) -> None:
    of_real = None if real is None else Score(value=real)
    result = MetricResult(about=METRIC_INFO[name], features="net", measured=Score(value=value), real=of_real)
    assert state(name, result) == expected


def test_the_foot_says_where_the_report_comes_from() -> None:
    text = page(replace(measured(), environment={"command": "brushwork measure <run>"}), {})
    foot = text[text.index("<footer") :]
    assert "<dt>command</dt><dd>brushwork measure &lt;run&gt;</dd>" in foot


def test_baselines_and_notes_are_shown_where_there_are_any() -> None:
    pairs = replace(figure("fd", 5.0), baselines={"content <unchanged>": Score(value=7.25)})
    text = page(replace(measured(), figures={"fd": pairs}, notes=("prdc: <5> neighbours need more.",)), {})
    assert "baseline: content &lt;unchanged&gt;</th>" in text
    assert ">7.250</td>" in text
    assert "<li>prdc: &lt;5&gt; neighbours need more.</li>" in text
    assert "Left out" not in page(measured(), {})


def test_measurements_without_styles_figures_or_images_have_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    fd = MetricResult(about=METRIC_INFO["fd"], features="inception", measured=Score(value=23.45))
    text = page(Measurement(style_names=(), figures={"fd": fd}, protocol={}), {})
    assert headings(text) == ["Distance", "The figures"]
    assert headings(page(Measurement(style_names=(), figures={}, protocol={}), {})) == ["The figures"]
    gap = Score(value=5.0, per_style=(math.nan, 1.0, 2.0), matrix=((math.nan,) * 3, *MATRIX[1:]))
    figures = {name: replace(figure(name, 1.0), measured=gap, real=None) for name in ("fd", "accuracy")}
    text = page(Measurement(style_names=NAMES, figures=figures, protocol={}), {})
    assert "nan" not in re.sub('base64,[^"]*', "", text)


def test_images_on_the_page_decode_and_plots_have_two_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = re.findall(r"data:image/png;base64,([^\"]+)", page(measured(), {"Samples": RED}))
    *plots, grid = (Image.open(io.BytesIO(base64.b64decode(data))).size for data in found)
    assert grid == (9, 5)
    for width, some in ((NARROW, plots[::2]), (WIDTH, plots[1::2])):
        assert len(some) == 5
        assert all(abs(pixels - width * DPI) <= 1 for pixels, _ in some)


def written(fd: float = 70.5, recall: float = 0.5) -> Measurement:
    score = Score(value=fd, per_style=(fd, math.nan))
    figures = {"fd": MetricResult(about=METRIC_INFO["fd"], features="net", measured=score)}
    curves = {"truncation": (CurvePoint(x=1.0, scores={"recall": recall}),)}
    return Measurement(style_names=("flat", "sketch"), figures=figures, protocol={"seed": 0}, curves=curves)


def test_a_report_has_json_page_and_grids(tmp_path: Path) -> None:
    grid = Image.new("RGB", (7, 3), "blue")
    out = tmp_path / "new" / "folder"
    write_report(written(), out, grids={"Nearest to a Training one": grid})
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == written().to_json()
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "70.50" in html
    assert html.count('class="grid"') == 1
    assert (out / "report.html").stat().st_mode & 0o777 == 0o644, "others can read it"
    names = ["nearest-to-a-training-one.png", "report.html", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    with Image.open(out / names[0]) as image:
        assert image.size == (7, 3)


def test_a_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(written(), tmp_path, grids={})
    old = (tmp_path / "report.json").read_text(encoding="utf-8")
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(EvalError, match=r"No space left.*free some space"):
        write_report(written(3.0), tmp_path, grids={})
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == old
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("broken", [written(fd=math.inf), written(recall=math.nan)])
def test_figures_that_json_cannot_hold_are_refused(broken: Measurement, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="no finite number"):
        write_report(broken, tmp_path, grids={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalError, match="/file' is a file: name a folder with --out"):
        write_report(written(), tmp_path / out, grids={})
