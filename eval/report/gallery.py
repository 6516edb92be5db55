"""The page of a run, RUN/index.html: its samples over time, its curves, its report, and how to go on.

It is a function of the folder alone, has links to its files and no script, and is written anew whenever a
command adds something.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from brushwork.data.files import write_file

SHOWN = 12
"""Grids over time that are shown, evenly spaced."""
PAGE = "index.html"


def write_gallery(run: Path) -> None:
    """Writes RUN/index.html; nothing for a folder without samples. A full disk is no error here."""
    if not (grids := _grids(run)):
        return
    styles = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    name = escape(run.resolve().name)
    body = "\n".join(_sections(run, grids))
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} | brushwork</title>\n<style>\n{styles}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{name}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    try:
        write_file(run / PAGE, text)
    except OSError:
        return


def _sections(run: Path, grids: Sequence[Path]) -> Iterator[str]:
    last = _last_status(run)
    yield f'<p class="muted">{escape(_where(last))}</p>'
    yield _section("The newest samples", _image(grids[-1], run))
    if (report := run / "measure" / "report.html").is_file():
        link = (
            f'<p><a href="{_link(report, run)}">The report: how near, in the right style, how varied</a></p>'
        )
        yield _section("Measured", link)
    if len(grids) > 1:
        count = min(SHOWN, len(grids))
        shown = [grids[i * len(grids) // count] for i in range(count)]
        figures = "".join(
            f"<figure><figcaption>{escape(_seen(grid))}</figcaption>{_image(grid, run)}</figure>"
            for grid in shown
        )
        yield _section("Over time", f'<div class="pair">{figures}</div>')
    if (curves := run / "curves.png").is_file():
        yield _section("Figures", _image(curves, run, "plot"))
    made = sorted((run / "generated").glob("*.png")) + sorted((run / "generated").glob("*.gif"))
    if made:
        yield _section("Generated", "".join(_image(path, run) for path in made))
    yield _section("How to go on", _commands(run))


def _grids(run: Path) -> list[Path]:
    """The grids of samples, or of restyled images, in the order of training."""
    paths = sorted((run / "samples").glob("*px*.png"))
    plain = [path for path in paths if re.fullmatch(r"\d+-\d+px\.png", path.name)]
    return plain or [path for path in paths if re.match(r"\d+-\d+px", path.name)]


def _seen(grid: Path) -> str:
    """'12.3 kimg, 32 px' from 000012345-32px.png."""
    images, side = grid.name.split("-")[:2]
    return f"{int(images) / 1000:.1f} kimg, {side.partition('px')[0]} px"


def _image(path: Path, run: Path, kind: str = "grid") -> str:
    link = _link(path, run)
    return f'<a href="{link}"><img class="{kind}" alt="{escape(path.stem)}" src="{link}"></a>'


def _link(path: Path, run: Path) -> str:
    return escape(path.relative_to(run).as_posix())


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>\n{content}\n</section>"


def _last_status(run: Path) -> dict[str, Any]:
    """The last status line of the log; {} without a readable one."""
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return next((line for line in map(json.loads, reversed(lines)) if "loss_g" in line), {})
    except (OSError, ValueError):
        return {}


def _where(status: dict[str, Any]) -> str:
    """'91.6 kimg at 32 px in 10.0 minutes', as far as the log says it."""
    if "nimg" not in status:
        return ""
    parts = [f"{status['nimg'] / 1000:.1f} kimg"]
    parts += [f"at {status['resolution']} px"] if "resolution" in status else []
    parts += [f"in {status['seconds'] / 60:.1f} minutes"] if "seconds" in status else []
    return " ".join(parts)


def _commands(run: Path) -> str:
    """Commands for what comes next."""
    own, config = shlex.quote(str(run)), shlex.quote(str(run / "config.json"))
    try:
        data = shlex.quote(
            str(json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]["data"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        data = "DATASET"
    entries = {
        "draw": f"brushwork sample {own} --seeds 0-99",
        "measure": f"brushwork measure {own} --reference {data}",
        "train longer": f"brushwork train {config} --out {own} --resume --max-minutes 60",
        "train on other images": f"brushwork train auto --data OTHER --start-from {own}",
    }
    rows = "".join(f"<dt>{name}</dt><dd><code>{escape(text)}</code></dd>" for name, text in entries.items())
    return f"<dl>{rows}</dl>"
