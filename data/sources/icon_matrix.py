"""Draws a matrix of icons: the same subjects in several styles.

Every drawing is cropped to its bounding box and set into the same frame. Otherwise the width of the border
would tell the style.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError
from ..files import write_file, write_json
from ..images import image_grid, png_bytes, read_image
from ..names import file_name, markdown_cell
from ..progress import Progress
from ..split import split_of
from .collection import Fetched, cache_of, claim_folder, finish_folder
from .iconify import IconSet, svg_text

SHEET_SUBJECTS = 12
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class MatrixConfig:
    """How the icons are drawn."""

    size: int = 64
    """Side of the pictures in pixels, 8 to 1024."""
    shared_only: bool = True
    """Keep only the subjects that every chosen style has."""
    margin: float = 1 / 16
    """Empty border on each side, as a fraction of `size`, below 0.5."""

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024 or not 0 <= self.margin < 0.5:
            raise DataError(
                f"Size {self.size} with margin {self.margin} is unusable: size 8 to 1024, margin below 0.5."
            )


@dataclass(frozen=True, kw_only=True)
class IconStyle:
    """One style: its icon set, and subject -> name of the icon."""

    icon_set: IconSet
    icons: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class IconMatrix:
    """Style -> its icons, and subject -> readable name if that differs from the subject."""

    styles: Mapping[str, IconStyle]
    names: Mapping[str, str]

    def subjects(self, *, shared_only: bool) -> list[str]:
        subjects = [set(style.icons) for style in self.styles.values()]
        return sorted(set.intersection(*subjects) if shared_only else set.union(*subjects))


def check_styles(styles: Sequence[str], known: Sequence[str], *, what: str) -> tuple[str, ...]:
    """Returns the chosen styles.

    Raises:
        DataError: a style is unknown or named twice, or there is none. `what` names the kind of style.
    """
    for style in styles:
        if style not in known:
            near = get_close_matches(style, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(known)}."
            raise DataError(f"The {what} '{style}' is unknown: {hint}")
    if not styles or len(set(styles)) < len(styles):
        raise DataError(f"The styles '{','.join(styles)}' must be at least one, and each named once.")
    return tuple(styles)


def draw_matrix(
    directory: Path,
    load: Callable[[Path], IconMatrix],
    *,
    styles: tuple[str, ...],
    source: Mapping[str, object],
    config: MatrixConfig | None = None,
) -> Fetched:
    """Draws `directory/<style>/<subject>.png` (RGBA) for every subject and style, and writes the documents.

    Continues an interrupted call, and does nothing for a finished one.

    Args:
        directory: created if missing; it belongs to one choice of `source`, styles and config.
        load: loads the matrix, given a folder for its downloads.
        styles: the chosen styles, in the order of the contact sheet.
        source: settings that say which icons these are.
        config: how they are drawn; by default MatrixConfig().

    Raises:
        DataError: the folder has other settings, the styles share no subject, or `load` fails.
    """
    config = config or MatrixConfig()
    settings = {**source, "styles": list(styles), **asdict(config)}
    if (done := claim_folder(directory, styles, settings)) is not None:
        return done
    matrix = load(cache_of(directory))
    subjects = matrix.subjects(shared_only=config.shared_only)
    if not subjects:
        raise DataError(
            f"No subject is in all of the styles {', '.join(styles)}: choose fewer with --styles, or keep "
            "the subjects that only some have with --all-subjects."
        )
    jobs = list(_missing(directory, matrix, subjects))
    _draw(jobs, config)
    names = {subject: matrix.names.get(subject, subject) for subject in subjects}
    _write_documents(directory, matrix, names)
    pictures = sum(subject in style.icons for style in matrix.styles.values() for subject in subjects)
    fetched = Fetched(
        directory=directory, styles=styles, subjects=len(subjects), pictures=pictures, written=len(jobs)
    )
    return finish_folder(fetched, settings)


# Drawing


def picture_path(directory: Path, style: str, subject: str) -> Path:
    """Returns the path of a picture, inside `directory` whatever names a download has."""
    return directory / file_name(style) / f"{file_name(subject)}.png"


def _missing(directory: Path, matrix: IconMatrix, subjects: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Path and SVG of the pictures that are not there yet."""
    for name, style in matrix.styles.items():
        for subject in subjects:
            path = picture_path(directory, name, subject)
            svg = svg_text(style.icon_set, style.icons[subject]) if subject in style.icons else None
            if svg is not None and not path.exists():
                yield path, svg


def _draw(jobs: Sequence[tuple[Path, str]], config: MatrixConfig) -> None:
    draw = partial(_draw_picture, size=config.size, margin=config.margin)
    with ExitStack() as stack:
        bar = stack.enter_context(Progress(total=len(jobs), desc="draw", unit="img", disable=not jobs))
        if (os.cpu_count() or 1) == 1 or len(jobs) < 8 * CHUNK:
            written = map(draw, jobs)
        else:
            # New interpreters, since a fork would freeze the caller's threads.
            pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
            written = pool.map(draw, jobs, chunksize=CHUNK)
        for _ in written:
            bar.update()


def _draw_picture(job: tuple[Path, str], *, size: int, margin: float) -> None:
    path, svg = job
    write_file(path, rasterise(svg, size=size, margin=margin))


def rasterise(svg: str, *, size: int, margin: float) -> bytes:
    """Draws an SVG at twice the size, crops it to what is visible and returns `size` x `size` PNG bytes."""
    try:
        import resvg_py
    except ImportError as error:
        raise DataError("Drawing icons needs resvg-py: pip install 'brushwork[demo]'.") from error
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=2 * size, height=2 * size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(drawn))) as image:
        framed = frame_drawing(image.convert("RGBA"), size=size, margin=margin)
    return png_bytes(framed)


def frame_drawing(image: Image.Image, *, size: int, margin: float) -> Image.Image:
    """Crops RGBA to its visible box, and centres it in a `size` x `size` frame with a margin on each side."""
    # Faint antialiasing and shadows (alpha below 1/16) are no part of the box.
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


# Documents


def _write_documents(directory: Path, matrix: IconMatrix, names: Mapping[str, str]) -> None:
    """Writes the subjects, the attribution and the contact sheet; `names` is subject -> readable name."""
    subjects = {
        subject: {"name": name, "split": split_of(subject)} for subject, name in sorted(names.items())
    }
    write_json(directory / "subjects.json", subjects)
    write_file(directory / "ATTRIBUTION.md", attribution(matrix.styles))
    paths = {name: [picture_path(directory, style, name) for style in matrix.styles] for name in names}
    whole = [name for name in names if all(path.exists() for path in paths[name])]
    chosen = whole[:: max(1, len(whole) // SHEET_SUBJECTS)][:SHEET_SUBJECTS]
    cells: list[list[np.ndarray | None]] = [[read_image(path) for path in paths[name]] for name in chosen]
    labels = [names[subject] for subject in chosen]
    sheet = image_grid(cells, row_labels=labels, column_labels=list(matrix.styles))
    write_file(directory / "contact_sheet.png", png_bytes(sheet))


def attribution(styles: Mapping[str, IconStyle]) -> str:
    """Returns a Markdown table of the authors and licences, as the sets' own info gives them."""
    lines = [
        "# Attribution",
        "",
        "Drawn from the SVGs of these sets: rasterised, cropped to the drawing and padded equally.",
        "",
        "| style | title | author | licence | package version | licence text |",
        "|---|---|---|---|---|---|",
    ]
    for style, drawn in styles.items():
        icon_set = drawn.icon_set
        given = (icon_set.info.get(key) for key in ("author", "license"))
        author, licence = (fields if isinstance(fields, dict) else {} for fields in given)
        cells = [
            style,
            str(icon_set.info.get("name", icon_set.name)),
            f"[{author.get('name', '?')}]({author.get('url', '')})",
            str(licence.get("spdx") or licence.get("title", "?")),
            f"{icon_set.name} {icon_set.version}",
            str(licence.get("url", "")),
        ]
        lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
    return "\n".join(lines) + "\n"
