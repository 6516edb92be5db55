"""A measurement made readable: JSON for programs, a self-contained page, a table for the terminal."""

import base64
import html
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..data.images import image_grid
from .errors import EvalError
from .measures import Figures, Measures
from .plots import confusion_maps, style_bars


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where a report lies."""

    json: Path
    page: Path


def write_report(measures: Measures, out_dir: Path, *, grids: Mapping[str, Path] | None = None) -> Report:
    """Writes `report.json` and `report.html` to `out_dir`, each whole or not at all.

    `grids` are pictures of samples to show, title to PNG file. Raises EvalError where the folder cannot be
    written or a grid cannot be read.
    """
    try:
        pictures = {title: Path(path).read_bytes() for title, path in (grids or {}).items()}
        out_dir.mkdir(parents=True, exist_ok=True)
        report = Report(json=out_dir / "report.json", page=out_dir / "report.html")
        _write(report.json, json.dumps(measures.to_json(), indent=1, allow_nan=False) + "\n")
        _write(report.page, page(measures, pictures))
    except OSError as error:
        raise EvalError(
            f"The report in '{out_dir}' cannot be written ({error}): free some space or choose another --out."
        ) from error
    return report


def table(measures: Measures) -> str:
    """The figures for a terminal: one row a set of pictures, then one a style."""
    head = f"{'':<30}{'FD':>9}{'style FD':>10}{'accuracy':>10}"
    lines = [head]
    for label, figures in _rows(measures):
        mean = sum(figures.style_fd) / len(figures.style_fd)
        lines.append(f"{label:<30}{figures.fd:>9.1f}{mean:>10.1f}{figures.style_accuracy:>10.3f}")
    lines += ["", f"{'style':<30}{'FD':>9}{'real FD':>10}{'accuracy':>10}{'ceiling':>10}  taken most for"]
    for row in _style_rows(measures):
        mark = "  <- worst" if row.name == measures.worst_style else ""
        lines.append(
            f"{row.name:<30}{row.fd:>9.1f}{row.real_fd:>10.1f}{row.accuracy:>10.3f}{row.ceiling:>10.3f}"
            f"  {row.taken_for}{mark}"
        )
    return "\n".join(lines)


def save_rows(rows: Sequence[Tensor], style_names: Sequence[str], path: Path) -> Path:
    """Saves pictures, one row of uint8 (N, 3, R, R) a style, as a labelled grid; small ones are magnified."""
    cells = [list(row.permute(0, 2, 3, 1).cpu().numpy()) for row in rows]
    scale = max(1, 96 // cells[0][0].shape[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    image_grid(cells, row_labels=style_names, scale=scale).save(path)
    return path


# Rows
@dataclass(frozen=True, kw_only=True)
class StyleRow:
    """One style's figures beside those of its held-out real pictures."""

    name: str
    fd: float
    real_fd: float
    accuracy: float
    ceiling: float
    taken_for: str


def _rows(measures: Measures) -> list[tuple[str, Figures]]:
    rows = [
        ("samples", measures.samples),
        ("real, held out (ceiling)", measures.real),
        ("samples, random weights", measures.control_samples),
        ("real, random weights", measures.control_real),
    ]
    return [(label, figures) for label, figures in rows if figures is not None]


def _style_rows(measures: Measures) -> list[StyleRow]:
    def row(s: int, name: str) -> StyleRow:
        shares = measures.samples.confusion[s]
        return StyleRow(
            name=name,
            fd=measures.samples.style_fd[s],
            real_fd=measures.real.style_fd[s],
            accuracy=shares[s],
            ceiling=measures.real.confusion[s][s],
            taken_for=measures.style_names[shares.index(max(shares))],
        )

    return [row(s, name) for s, name in enumerate(measures.style_names)]


# Page
_STYLE = """
:root { color-scheme: light; --ink: #1f2430; --muted: #596275; --line: #dfe3ea; --accent: #3056a0; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.02em; }
h2 { margin: 0 0 .4rem; font-size: 1.15rem; }
p { margin: 0 0 1rem; max-width: 46rem; }
.muted, caption, dt { color: var(--muted); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; }
.cards { margin: 1.5rem 0; }
.card, section { background: #fff; border: 1px solid var(--line); border-radius: .75rem; }
.card, section { padding: 1.1rem 1.25rem; }
.card b { display: block; font-size: 2rem; line-height: 1.2; color: var(--accent); overflow-wrap: anywhere; }
.card b.words { font-size: 1.35rem; line-height: 1.77; }
section { margin: 1rem 0; overflow-x: auto; }
img { max-width: 100%; height: auto; display: block; }
img.grid { image-rendering: pixelated; min-width: min(100%, 36rem); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { padding: .4rem .75rem; text-align: right; border-top: 1px solid var(--line); }
th:first-child, td.word, .words th:last-child { text-align: left; }
thead th { border-top: 0; color: var(--muted); font-weight: 600; }
tbody th { font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .3rem 1.25rem; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
"""


def page(measures: Measures, grids: Mapping[str, bytes]) -> str:
    """The whole report as one HTML text without scripts or links: it can be mailed as it is."""
    sections = [
        _summary_table(measures),
        _section(
            "Distance by style",
            "Each style's samples against that style's real pictures, worst first. The mark is where "
            "held-out real pictures of it come out. Few pictures make such distances large: read the bars "
            "against the marks and against each other, not against the distance of all styles together.",
            _image(
                style_bars(measures), "Bar chart of the Frechet distance of each style; values in the table"
            ),
        ),
        _section(
            "Which style is recognised",
            "A linear probe that learnt the styles from real training pictures names the style of each "
            "picture. Rows are the style asked for and add up to 100 %; a perfect generator repeats the "
            "right-hand map.",
            _image(confusion_maps(measures), "Two confusion heat maps, samples and held-out real pictures"),
        ),
        _style_table(measures),
        *(_section(title, "", _image(png, title, "grid")) for title, png in grids.items()),
        _protocol(measures),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>brushwork: measure</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        "<h1>How near, and in the right style?</h1>\n"
        f'<p class="muted">{html.escape(measures.label)}</p>\n{_cards(measures)}\n'
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _cards(measures: Measures) -> str:
    chance = 1 / len(measures.style_names)
    worst = max(measures.samples.style_fd)
    cards = [
        (
            f"{measures.samples.fd:.0f}",
            "",
            "Frechet distance",
            f"real held-out pictures: {measures.real.fd:.0f}",
        ),
        (
            f"{measures.samples.style_accuracy:.2f}",
            "",
            "style accuracy",
            f"real held-out pictures: {measures.real.style_accuracy:.2f}, chance: {chance:.2f}",
        ),
        (html.escape(measures.worst_style), "words", "worst style", f"Frechet distance {worst:.0f}"),
    ]
    inner = "".join(
        f'<div class="card">{name}<b class="{kind}">{value}</b><span class="muted">{note}</span></div>'
        for value, kind, name, note in cards
    )
    return f'<div class="cards">{inner}</div>'


def _summary_table(measures: Measures) -> str:
    explanation = (
        "The Frechet distance compares the samples of all styles together with all real pictures (0 if the "
        "distributions agree). Style accuracy is the share of pictures whose style the probe names, as a "
        "mean over the styles; held-out real pictures are its ceiling."
    )
    control = (
        " The rows with random weights are the control: the same network without learning. What the control "
        "sees as well is a difference of pixels, not of anything learnt; its distances are on another scale."
    )
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td>{f.fd:.1f}</td>'
        f"<td>{sum(f.style_fd) / len(f.style_fd):.1f}</td><td>{f.style_accuracy:.3f}</td></tr>"
        for label, f in _rows(measures)
    )
    heads = _heads("Pictures", "Frechet distance", "mean over the styles", "style accuracy")
    text = explanation + (control if measures.control_samples else "")
    return _section("The figures", text, f"<table>{heads}<tbody>{rows}</tbody></table>")


def _style_table(measures: Measures) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(row.name)}</th><td>{row.fd:.1f}</td><td>{row.real_fd:.1f}</td>'
        f"<td>{row.accuracy:.3f}</td><td>{row.ceiling:.3f}</td>"
        f'<td class="word">{html.escape(row.taken_for)}</td></tr>'
        for row in _style_rows(measures)
    )
    heads = _heads("Style", "Frechet distance", "of real pictures", "accuracy", "ceiling", "taken most for")
    return _section("Every style", "", f'<table class="words">{heads}<tbody>{rows}</tbody></table>')


def _protocol(measures: Measures) -> str:
    items = "".join(
        f"<dt>{html.escape(key.replace('_', ' '))}</dt><dd>{html.escape(_words(value))}</dd>"
        for key, value in measures.protocol.items()
    )
    text = "All that decides these numbers. Two reports may be compared only if every line is the same."
    return _section("Protocol", text, f"<dl>{items}</dl>")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def _heads(*names: str) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _section(title: str, text: str, body: str) -> str:
    paragraph = f'<p class="muted">{text}</p>' if text else ""
    return f"<section><h2>{html.escape(title)}</h2>{paragraph}{body}</section>"


def _image(png: bytes, alt: str, kind: str = "plot") -> str:
    data = base64.b64encode(png).decode()
    return f'<img class="{kind}" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # mkstemp makes it private; a report is to be read
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
