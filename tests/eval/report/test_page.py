"""A page that stands alone, says every figure beside its levels, and can be read by everybody."""

import base64
import io
import math
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import pytest
from PIL import Image

from brushwork.data.images import png_bytes
from brushwork.eval.report import page as module
from brushwork.eval.report.grids import NEAREST
from brushwork.eval.report.page import page
from brushwork.eval.report.style_sheet import STYLE
from brushwork.eval.results import METRIC_INFO, CurvePoint, Measurement, MetricResult, Score

NAMES = ("flat", "round & soft", "<sketch>")
MATRIX = ((0.5, 0.3, 0.2), (0.1, 0.8, 0.1), (0.25, 0.25, 0.5))


def figure(name: str, value: float, features: str = "net", *, control: bool = True) -> MetricResult:
    def score(value: float) -> Score:
        matrix = MATRIX if name in ("accuracy", "csls", "gram") else ()
        return Score(value=value, per_style=(value, 2 * value, 3 * value), spread=value / 40, matrix=matrix)

    return MetricResult(
        about=METRIC_INFO[name], features=features, measured=score(value), real=score(1.25 * value),
        control=score(0.7 * value) if control else None, control_real=score(1.5 * value) if control else None,
    )  # fmt: skip


def measured(control: bool = True) -> Measurement:
    figures = {name: figure(name, 0.4, control=control) for name in ("accuracy", "precision", "csls", "gram")}
    return Measurement(
        style_names=NAMES,
        figures={"fd": figure("fd", 64.24, control=control), **figures,
                 "fd@inception": figure("fd", 31.5, "inception", control=control)},
        protocol={"features": {"net": "a <network>"}, "images_per_style": [200, 200, 200, 200], "seed": None},
        environment={"torch": "2.99"},
        curves={"truncation": tuple(CurvePoint(x=x, scores={"fd": 9 - x, "recall": x}) for x in (0.5, 1.0))},
        label="runs/<first>",
    )  # fmt: skip


RED = png_bytes(Image.new("RGB", (9, 5), "red"))


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is written, plots need not be drawn again and again."""
    for name in ("style_bars", "small_multiples", "confusion_maps", "similarity_maps", "curve"):
        monkeypatch.setattr(module, name, lambda *_: RED)


quickly = pytest.mark.usefixtures("without_plots")


class Outline(HTMLParser):
    """Open tags, headings, what is loaded from elsewhere, pictures without words, headings without scope."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.wordless = self.scopeless = self.rows = 0
        self.widths: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [
            v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("data:")
        ]
        self.wordless += tag == "img" and not values.get("alt")
        self.scopeless += tag == "th" and not values.get("scope")
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(values.get("colspan") or 1)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


# The page
@quickly
@pytest.mark.parametrize("control", [True, False])
def test_page_stands_alone_and_is_well_formed(control: bool) -> None:
    text = page(measured(control), {"Samples": RED})
    outline = Outline(text)
    assert (outline.open, outline.links, outline.wordless, outline.scopeless) == ([], [], 0, 0)
    assert "<script" not in text
    assert "url(" not in text
    assert '<html lang="en">' in text
    figures_width, style_widths = outline.widths[0], outline.widths[-8:]
    assert figures_width == (6 if control else 4)
    rows = outline.widths[: outline.widths.index(style_widths[0], 1)]
    assert set(rows) == {figures_width}  # every row of the figures has as many cells as its heading


@quickly
def test_sections_come_in_order() -> None:
    text = page(measured(), {NEAREST: RED})
    assert Outline(text).headings == [
        "The figures", "Frechet distance by style", "Other figures by style",
        "By style, in the features of inception", "Which style is recognised",
        "Style by style: calibrated cosine", "Style by style: Gram distance", "Every style",
        "Effect of truncation", NEAREST, "Protocol",
    ]  # fmt: skip
    assert "was memorised" in text


@quickly
def test_page_says_each_figure_with_ceiling_control_worst_style_and_note() -> None:
    text = page(measured(), {})
    row = text[text.index('<th scope="row">Frechet distance</th>') :]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[: row.index("</tr>")])
    plain = [re.sub("<[^>]*>", "", cell) for cell in cells]
    assert plain == ["64.2 ± 1.6", "80.3", "45.0", "96.4", "&lt;sketch&gt; 193"]
    assert escape(METRIC_INFO["fd"].note) in text
    assert "less is better" in text
    assert "in the features of inception" in text


@quickly
def test_text_is_escaped() -> None:
    text = page(measured(), {"<grid>": RED})
    for words in (
        "round &amp; soft",
        "&lt;sketch&gt;",
        "runs/&lt;first&gt;",
        "a &lt;network&gt;",
        "&lt;grid&gt;",
    ):
        assert words in text, words
    for words in ("round & soft", "<sketch>", "<first>", "<network>", "<grid>"):
        assert words not in text, words


@quickly
def test_protocol_is_readable() -> None:
    text = page(measured(), {})
    assert "<dt>images per style</dt><dd>200 (4 times)</dd>" in text
    assert "<dt>features</dt><dd><dl><dt>net</dt><dd>a &lt;network&gt;</dd></dl></dd>" in text
    assert "<dt>seed</dt><dd>none</dd>" in text
    assert "<dt>torch</dt><dd>2.99</dd>" in text


@quickly
def test_headline_has_the_figures_that_matter() -> None:
    copies = {**measured().figures, "copies": figure("copies", 0.01)}
    text = page(replace(measured(), figures=copies), {})
    cards = re.findall(r'<div class="card">(.*?)</div>', text)
    assert [re.split("<b|</b>", card)[0] for card in cards] == [
        "Frechet distance", "style accuracy", "worst style", "share of near-copies"
    ]  # fmt: skip
    assert "held-out real: 0.500" in cards[1]
    assert "chance: 0.333" in cards[1]
    assert "&lt;sketch&gt;" in cards[2]


# The control
@quickly
def test_badge_stands_where_the_control_sees_as_much_and_nowhere_else() -> None:
    seen = replace(figure("precision", 0.4), control=Score(value=0.41, spread=0.01))
    text = page(replace(measured(), figures={**measured().figures, "precision": seen}), {})
    notes = re.findall(r'<tr class="note">(.*?)</tr>', text)
    assert [
        escape(METRIC_INFO["precision"].note) in note for note in notes if "control sees as much" in note
    ] == [True]
    assert "no evidence" in text
    assert "control sees as much" not in page(measured(), {})


@quickly
def test_without_controls_nobody_speaks_of_them() -> None:
    text = page(measured(control=False), {})
    assert "random weights" not in text
    assert 'data-label="control"' not in text


@quickly
def test_baselines_have_a_row_each() -> None:
    pairs = replace(figure("fd", 5.0), baselines={"content <unchanged>": Score(value=7.25)})
    text = page(replace(measured(), figures={"fd": pairs}), {})
    assert "baseline: content &lt;unchanged&gt;</th>" in text
    assert ">7.250</td>" in text


# What may be missing
def test_statistics_alone_make_a_page() -> None:
    fd = MetricResult(about=METRIC_INFO["fd"], features="inception", measured=Score(value=23.45))
    text = page(Measurement(style_names=(), figures={"fd": fd}, protocol={}), {})
    outline = Outline(text)
    assert outline.headings == ["The figures", "Protocol"]
    assert outline.widths == [2, 2, 2, 2]
    assert "23.45" in text


def test_nothing_and_styles_without_pictures_make_a_page() -> None:
    assert Outline(page(Measurement(style_names=(), figures={}, protocol={}), {})).open == []
    gap = Score(value=5.0, per_style=(math.nan, 1.0, 2.0), matrix=((math.nan,) * 3, *MATRIX[1:]))
    figures = {
        name: MetricResult(about=METRIC_INFO[name], features="net", measured=gap)
        for name in ("fd", "accuracy")
    }
    text = page(Measurement(style_names=NAMES, figures=figures, protocol={}), {})
    assert "nan" not in re.sub('base64,[^"]*', "", text)


# The look
def test_pictures_in_the_page_are_pictures_and_plots_have_one_width() -> None:
    found = re.findall(r"data:image/png;base64,([^\"]+)", page(measured(), {"Samples": RED}))
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in found]
    assert sizes[-1] == (9, 5)
    assert len(sizes) == 8
    assert max(width for width, _ in sizes[:-1]) - min(width for width, _ in sizes[:-1]) <= 1


def luminance(colour: str) -> float:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_text_has_the_contrast_that_weak_eyes_need() -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 : 1."""
    named = dict(re.findall(r"--(\w+): (#\w{6})", STYLE))
    badge = re.search(r"background: (#\w{6}); color: (#\w{6})", STYLE)
    better = re.search(r"\.better {[^}]*background: (#\w{6})", STYLE)
    assert badge
    assert better
    pairs = [(badge[1], badge[2]), (better[1], named["muted"])]
    pairs += [(ground, named[ink]) for ground in ("#ffffff", "#f5f6f8") for ink in ("ink", "muted", "accent")]
    for ground, ink in pairs:
        assert (luminance(ground) + 0.05) / (luminance(ink) + 0.05) >= 4.5, (ground, ink)


# Collapse


@quickly
def test_the_first_card_names_styles_that_draw_one_picture() -> None:
    plain = measured()
    assert "one picture" not in page(plain, {})
    shares = Score(value=0.5, per_style=(0.9, 0.3, 0.2))
    diversity = MetricResult(about=METRIC_INFO["diversity"], features="net", measured=shares)
    html = page(replace(plain, figures={**plain.figures, "diversity": diversity}), {})
    first = html.split('<div class="cards">')[1].split("</div>")[0]
    assert "2 of 3 styles draw one picture" in first
    assert escape("round & soft, <sketch>") in first
    assert "To try:" in first


@quickly
def test_what_was_left_out_is_said() -> None:
    assert "Left out" not in page(measured(), {})
    text = page(replace(measured(), notes=("prdc: <5> neighbours need more.",)), {})
    assert "<li>prdc: &lt;5&gt; neighbours need more.</li>" in text
