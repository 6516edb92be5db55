"""The emoji matrix: the same subjects drawn by several studios, aligned, cropped and padded equally."""

import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from .errors import DataError
from .iconify import REFERENCE_SETS, IconSet, align, code_book, load_set, svg_text
from .images import WHITE, Colour, image_grid, png_bytes, read_image
from .split import TEST_FRACTION, split_of
from .staging import write_whole

EMOJI_STYLES = (
    "twemoji",
    "noto",
    "noto-v1",
    "openmoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fluent-emoji-high-contrast",
    "emojione",
)
MORE_STYLES = ("emojione-v1", "emojione-monotone", "fxemoji", "streamline-emojis")
SHEET_SUBJECTS = 12
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Where the matrix lies, its styles, its subjects, and how many pictures this call had to draw."""

    directory: Path
    styles: tuple[str, ...]
    subjects: int
    pictures: int
    drawn: int


@dataclass(frozen=True, kw_only=True)
class _Job:
    path: Path
    svg: str


def fetch_emoji(
    directory: Path,
    *,
    styles: Sequence[str] = EMOJI_STYLES,
    size: int = 64,
    shared_only: bool = True,
    margin: float = 1 / 16,
    background: Colour = WHITE,
    workers: int | None = None,
) -> Fetched:
    """Draws `directory/<style>/<code points>.png` (RGBA, `size` x `size`) for every subject and style.

    Every drawing is cropped to its own bounding box and set into the same frame, or the width of the border
    would tell the style. An interrupted call is continued by the next one, and a finished one costs a second.

    Args:
        directory: created if missing; it belongs to one choice of styles, size and margin.
        styles: names of `@iconify-json` sets, of EMOJI_STYLES or MORE_STYLES.
        size: side of the pictures in pixels, 8 to 1024.
        shared_only: keep only the subjects that every chosen style draws.
        margin: empty border on each side, as a fraction of `size`, below 0.5.
        background: the ground of the contact sheet; the pictures themselves stay transparent.
        workers: processes that draw; by default two, or one where there is one core.

    Raises:
        DataError: unknown style, other settings than the folder has, no npm, no network or no rasteriser.
    """
    styles = _checked_styles(styles)
    if not 8 <= size <= 1024 or not 0 <= margin < 0.5:
        raise DataError(f"Size {size} with margin {margin} is unusable: size 8 to 1024, margin below 0.5.")
    settings = {"styles": list(styles), "size": size, "shared_only": shared_only, "margin": margin}
    state = _claim(directory, settings)
    if state.get("finished"):
        return _result(directory, styles, state, drawn=0)
    sets = _load_sets(styles, directory / ".cache")
    book = code_book([sets[name] for name in REFERENCE_SETS])
    table = {style: align(sets[style], book) for style in styles}
    subjects = _subjects(table, shared_only)
    jobs = list(_jobs(directory, {style: sets[style] for style in styles}, table, subjects))
    _draw(jobs, size=size, margin=margin, workers=workers or min(2, os.cpu_count() or 1))
    names = {code: book.names.get(code, code) for code in subjects}
    _write_papers(directory, [sets[style] for style in styles], names, background)
    pictures = sum(1 for style in styles for code in subjects if code in table[style])
    state = settings | {"finished": True, "subjects": len(subjects), "pictures": pictures}
    write_whole(directory / ".cache" / "state.json", json.dumps(state, indent=1).encode())
    return _result(directory, styles, state, drawn=len(jobs))


def _checked_styles(styles: Sequence[str]) -> tuple[str, ...]:
    known = (*EMOJI_STYLES, *MORE_STYLES)
    for style in styles:
        if style not in known:
            near = get_close_matches(style, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(known)}."
            raise DataError(f"The emoji style '{style}' is unknown: {hint}")
    if not styles or len(set(styles)) < len(styles):
        raise DataError(f"The styles '{','.join(styles)}' must be at least one, and each named once.")
    return tuple(styles)


def _claim(directory: Path, settings: dict) -> dict:
    """Records what the folder is for, before anything is drawn; a folder holds one choice of settings."""
    path = directory / ".cache" / "state.json"
    if path.exists():
        state = json.loads(path.read_text())
        for key, value in settings.items():
            if state.get(key) != value:
                raise DataError(
                    f"'{directory}' has emoji with {key} {state.get(key)}, not {value}: name another folder."
                )
        return state
    write_whole(path, json.dumps(settings, indent=1).encode())
    return {}


def _result(directory: Path, styles: tuple[str, ...], state: Mapping, *, drawn: int) -> Fetched:
    return Fetched(
        directory=directory,
        styles=styles,
        subjects=state["subjects"],
        pictures=state["pictures"],
        drawn=drawn,
    )


def _load_sets(styles: Iterable[str], cache: Path) -> dict[str, IconSet]:
    names = list(dict.fromkeys([*REFERENCE_SETS, *styles]))
    return {
        name: load_set(name, cache)
        for name in tqdm(names, desc="download", unit="set", leave=False, disable=None)
    }


def _subjects(table: Mapping[str, Mapping[str, str]], shared_only: bool) -> list[str]:
    codes = [set(aligned) for aligned in table.values()]
    return sorted(set.intersection(*codes) if shared_only else set.union(*codes))


# Drawing


def _jobs(
    directory: Path, sets: Mapping[str, IconSet], table: Mapping[str, Mapping[str, str]], subjects: list[str]
) -> Iterator[_Job]:
    for style, icon_set in sets.items():
        (directory / style).mkdir(parents=True, exist_ok=True)
        for code in subjects:
            path = directory / style / f"{code}.png"
            svg = svg_text(icon_set, table[style][code]) if code in table[style] else None
            if svg is not None and not path.exists():
                yield _Job(path=path, svg=svg)


def _draw(jobs: list[_Job], *, size: int, margin: float, workers: int) -> None:
    chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
    with tqdm(total=len(jobs), desc="draw", unit="img", disable=None if jobs else True) as bar:
        if workers == 1 or len(jobs) < 8 * CHUNK:
            for chunk in chunks:
                bar.update(_draw_chunk(chunk, size, margin))
            return
        # Fresh interpreters: the caller may hold threads, which a fork would freeze.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for count in pool.map(_draw_chunk, chunks, itertools.repeat(size), itertools.repeat(margin)):
                bar.update(count)


def _draw_chunk(jobs: Sequence[_Job], size: int, margin: float) -> int:
    for job in jobs:
        write_whole(job.path, rasterise(job.svg, size=size, margin=margin))
    return len(jobs)


def rasterise(svg: str, *, size: int, margin: float) -> bytes:
    """Draws an SVG at twice the size, crops it to what is visible and returns `size` x `size` PNG bytes."""
    try:
        import resvg_py
    except ImportError as error:
        raise DataError("Drawing the emoji needs resvg-py: pip install 'brushwork[demo]'.") from error
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=2 * size, height=2 * size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(drawn))) as image:
        framed = frame_drawing(image.convert("RGBA"), size=size, margin=margin)
    return png_bytes(framed)


def frame_drawing(image: Image.Image, *, size: int, margin: float) -> Image.Image:
    """Crops RGBA to its visible box and centres it, aspect kept, in a frame with the same margin for all."""
    # Faint antialiasing and shadows (alpha below 1/16) must not decide where a drawing ends.
    box = image.getchannel("A").point([0] * 16 + [255] * 240).getbbox()
    frame = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    if box is None:
        return frame
    drawing = image.crop(box)
    scale = max(1, size - 2 * round(size * margin)) / max(drawing.size)
    width, height = (max(1, round(side * scale)) for side in drawing.size)
    drawing = drawing.resize((width, height), Image.Resampling.LANCZOS)
    frame.paste(drawing, ((size - width) // 2, (size - height) // 2))
    return frame


# Papers


def _write_papers(
    directory: Path, sets: Sequence[IconSet], names: Mapping[str, str], background: Colour
) -> None:
    subjects = {
        code: {"name": name, "split": split_of(code, TEST_FRACTION)} for code, name in sorted(names.items())
    }
    write_whole(directory / "subjects.json", json.dumps(subjects, indent=1, ensure_ascii=False).encode())
    write_whole(directory / "ATTRIBUTION.md", attribution(sets).encode())
    write_whole(directory / "contact_sheet.png", _contact_sheet(directory, sets, names, background))


def attribution(sets: Sequence[IconSet]) -> str:
    """A Markdown table of who drew what, under which licence, as the sets' own info says."""
    lines = [
        "# Attribution",
        "",
        "Drawn from the SVGs of these sets: rasterised, cropped to the drawing and padded equally.",
        "",
        "| style | title | author | licence | package version | licence text |",
        "|---|---|---|---|---|---|",
    ]
    for icon_set in sets:
        author, licence = (_fields(icon_set.info.get(key)) for key in ("author", "license"))
        who = f"[{author.get('name', '?')}]({author.get('url', '')})"
        terms = licence.get("spdx") or licence.get("title", "?")
        title = icon_set.info.get("name", icon_set.name)
        text = licence.get("url", "")
        lines.append(f"| {icon_set.name} | {title} | {who} | {terms} | {icon_set.version} | {text} |")
    return "\n".join(lines) + "\n"


def _fields(value: object) -> dict[str, str]:
    return value if isinstance(value, dict) else {}


def _contact_sheet(
    directory: Path, sets: Sequence[IconSet], names: Mapping[str, str], background: Colour
) -> bytes:
    styles = [icon_set.name for icon_set in sets]
    whole = [code for code in names if all((directory / s / f"{code}.png").exists() for s in styles)]
    step = max(1, len(whole) // SHEET_SUBJECTS)
    chosen = whole[::step][:SHEET_SUBJECTS]
    cells: list[list[np.ndarray | None]] = [
        [read_image(directory / style / f"{code}.png", background=background) for style in styles]
        for code in chosen
    ]
    return png_bytes(image_grid(cells, row_labels=[names[code] for code in chosen], column_labels=styles))
