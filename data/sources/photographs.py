"""Square crops of photographs, paintings and woodblock prints, from the Debian package gcompris-qt-data.

The package belongs to a game for children. It holds photographs, paintings, and jigsaw puzzles of paintings
with the place of every piece, which this module solves. It leaves out drawings and clip art. The licences are
mixed, so the collection is for local experiments only.
"""

import fnmatch
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError
from ..files import write_file, write_json
from ..images import fit_image, image_grid, png_bytes, read_image
from ..progress import Progress
from ..split import split_of
from .archives import Package, load_package, read_rcc
from .collection import Fetched, cache_of, claim_folder, finish_folder

PACKAGE = "gcompris-qt-data"
COPYRIGHT = "COPYRIGHT.gcompris-qt-data"
Source = Callable[[], np.ndarray]
"""Decodes one whole picture as uint8 (H, W, 3)."""

PATTERNS = {
    "animals": (
        "erase/resource/*.webp",
        "explore_farm_animals/resource/animals/*.webp",
        "explore_world_animals/resource/animals/*.webp",
    ),
    "monuments": (
        "explore_monuments/resource/*/*.webp",
        "details/resource/image/*_background.webp",
        "!details/resource/image/*Gogh*",
        "!details/resource/image/Eglise_*",
        "!details/resource/image/PortraitOf*",
    ),
    "paintings": (
        "details/resource/image/*Gogh*_background.webp",
        "details/resource/image/Eglise_*_background.webp",
        "details/resource/image/PortraitOf*_background.webp",
    ),
    "underwater": ("categorization/resource/images/fishes/*.webp", "clickgame/resource/sea*.webp"),
    "woodblock": (),
}
"""Style -> patterns of files below gcompris/src/activities; `!` excludes, and the last match decides."""
BOARDS = "paintings/resource/board/*.qml"
WOODBLOCK = ("Hokusai", "Hiroshige", "EjiriSuruga", "GreatWave", "KazusaSeaRoute")
"""Beginnings of the names of puzzle pieces of woodblock prints; all others are of paintings."""
NO_PAINTING = ("Michelangelo_Pieta", "kandinky")
"""Puzzles of a photograph of a sculpture and of an abstract drawing, which are left out."""
MAX_CROPS = 24
SHEET_COLUMNS = 12


def fetch_photographs(directory: Path, *, size: int = 64, per_style: int = 400) -> Fetched:
    """Writes `directory/<style>/<source>@<number>.png`, RGB of `size` x `size`.

    Takes as many crops of every source as its style needs for about `per_style` pictures, at most 24. All
    crops of a source lie in one split (see split.py). Continues an interrupted call, and does nothing for a
    finished one.

    Args:
        directory: created if missing; it belongs to one choice of `size` and `per_style`.
        size: side of the pictures in pixels, 8 to 128.
        per_style: about how many pictures a style gets; styles of few sources have fewer.

    Raises:
        DataError: the settings are unusable, the folder has other settings, apt-get or network is missing, or
            this version of the package lacks the pictures.
    """
    if not 8 <= size <= 128 or per_style < 1:
        raise DataError(
            f"Size {size} with {per_style} pictures a style is unusable: size 8 to 128, 1 picture or more."
        )
    styles = tuple(PATTERNS)
    settings = {"package": PACKAGE, "size": size, "per_style": per_style}
    if (done := claim_folder(directory, styles, settings)) is not None:
        return done
    wanted = re.compile(r"usr/share/gcompris-qt/rcc/[a-z_]+\.rcc|usr/share/doc/.*/copyright")
    package = load_package(PACKAGE, cache_of(directory), wanted=wanted)
    files = activity_files(package)
    table = picture_sources(files)
    written = pictures = 0
    with Progress(total=sum(map(len, table.values())), desc="crop", unit="source") as bar:
        for style, sources in table.items():
            count = min(MAX_CROPS, max(1, round(per_style / len(sources))))
            pictures += count * len(sources)
            for name, source in sources.items():
                written += _write_crops(directory / style, name, source, count=count, size=size)
                bar.update()
    _write_documents(directory, table, files, package)
    subjects = sum(map(len, table.values()))
    fetched = Fetched(
        directory=directory, styles=styles, subjects=subjects, pictures=pictures, written=written
    )
    return finish_folder(fetched, settings)


# Sources


def activity_files(package: Package) -> dict[str, bytes]:
    """Returns the files of the activities with pictures, by their paths below gcompris/src/activities."""
    patterns = [pattern for patterns in PATTERNS.values() for pattern in patterns] + [BOARDS]
    names = {pattern.lstrip("!").split("/")[0] for pattern in patterns}
    files: dict[str, bytes] = {}
    for path, content in package.files.items():
        if Path(path).suffix == ".rcc" and Path(path).stem in names:
            for inside, file in read_rcc(content, Path(path).name).items():
                files[inside.removeprefix("gcompris/src/activities/")] = file
    return files


def picture_sources(files: Mapping[str, bytes]) -> dict[str, dict[str, Source]]:
    """Returns style -> name -> source, the names in alphabetical order.

    Raises:
        DataError: a style has no source.
    """
    table: dict[str, dict[str, Source]] = {style: {} for style in PATTERNS}
    for path in files:
        style = style_of(path)
        if style is not None:
            name = f"{path.split('/')[0]}-{Path(path).stem.removesuffix('_background')}"
            table[style][name] = partial(read_image, files[path])
    for board in fnmatch.filter(files, BOARDS):
        pieces = puzzle_pieces(files[board].decode())
        name = re.sub(r"[_-][a-z]?\d$", "", Path(pieces[0][0]).stem) if pieces else NO_PAINTING[0]
        if not name.startswith(NO_PAINTING):
            style = "woodblock" if name.startswith(WOODBLOCK) else "paintings"
            table[style][f"puzzle-{name}"] = partial(solve_puzzle, files, board)
    for style, sources in table.items():
        if not sources:
            raise DataError(
                f"This version of '{PACKAGE}' holds no {style}: fetch with another Debian release."
            )
    return {style: dict(sorted(sources.items())) for style, sources in table.items()}


def style_of(path: str) -> str | None:
    """Returns the style of a picture file by the patterns, or None if it belongs to no style."""
    for style, patterns in PATTERNS.items():
        matches = [pattern for pattern in patterns if fnmatch.fnmatchcase(path, pattern.lstrip("!"))]
        if matches and not matches[-1].startswith("!"):
            return style
    return None


# Puzzles

_PIECE = re.compile(
    r'"pixmapfile"\s*:\s*"image/([^"]+\.webp)"\s*,\s*"x"\s*:\s*"([\d.]+)"\s*,\s*"y"\s*:\s*"([\d.]+)"'
)
_FRAME = re.compile(r'"width"\s*:\s*(\d+)\s*,\s*"height"\s*:\s*(\d+)')


def puzzle_pieces(board: str) -> list[tuple[str, float, float]]:
    """Returns the file and the centre (x, y) of every piece, in units of the board's width and height."""
    return [(file, float(x), float(y)) for file, x, y in _PIECE.findall(board)]


def solve_puzzle(files: Mapping[str, bytes], board: str) -> np.ndarray:
    """Puts the pieces of a board in their places, and returns uint8 (H, W, 3) without the ragged border.

    The rounded places leave gaps of a pixel. Copies of the pieces, moved by three pixels to all sides, fill
    them with similar colours.
    """
    text = files[board].decode()
    frame = _FRAME.search(text)
    if frame is None:
        raise DataError(
            f"The puzzle '{board}' has no width and height: this version of the package is unknown."
        )
    width, height = int(frame[1]), int(frame[2])
    folder = str(Path(board).parent.parent / "image")
    pieces = []
    for file, x, y in puzzle_pieces(text):
        with Image.open(io.BytesIO(files[f"{folder}/{file}"])) as image:
            piece = image.convert("RGBA")
        pieces.append((piece, round(x * width - piece.width / 2), round(y * height - piece.height / 2)))
    whole = Image.new("RGBA", (width, height))
    for shift_x, shift_y in ((-3, 0), (3, 0), (0, -3), (0, 3), (0, 0)):
        for piece, left, top in pieces:
            whole.paste(piece, (left + shift_x, top + shift_y), piece)
    boxes = [(left, top, left + piece.width, top + piece.height) for piece, left, top in pieces]
    left, top = (max(0, min(box[side] for box in boxes)) for side in (0, 1))
    right, bottom = (min(limit, max(box[side] for box in boxes)) for side, limit in ((2, width), (3, height)))
    rim = round(0.02 * min(right - left, bottom - top))
    return np.array(whole.convert("RGB").crop((left + rim, top + rim, right - rim, bottom - rim)))


# Crops


def _write_crops(folder: Path, name: str, source: Source, *, count: int, size: int) -> int:
    missing = [n for n in range(count) if not (folder / f"{name}@{n}.png").exists()]
    if missing:
        array = source()
        boxes = list(crop_boxes(name, array.shape[0], array.shape[1], count))
        for n in missing:
            top, left, side = boxes[n]
            crop = fit_image(array[top : top + side, left : left + side], size)
            write_file(folder / f"{name}@{n}.png", png_bytes(crop))
    return len(missing)


def crop_boxes(name: str, height: int, width: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Yields top, left and side of `count` squares: the largest centred one, then random ones.

    Random sides are uniform between half and all of the shorter side. The source's name is the seed.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    shorter = min(height, width)
    yield (height - shorter) // 2, (width - shorter) // 2, shorter
    for _ in range(count - 1):
        side = int(rng.integers((shorter + 1) // 2, shorter + 1))
        yield int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1)), side


# Documents


def _write_documents(
    directory: Path, table: Mapping[str, Mapping[str, Source]], files: Mapping[str, bytes], package: Package
) -> None:
    subjects = {
        name: {"style": style, "split": split_of(name)}
        for style, sources in table.items()
        for name in sources
    }
    write_json(directory / "subjects.json", subjects)
    write_file(directory / "ATTRIBUTION.md", attribution(package.version, files))
    for path, content in package.files.items():
        if path.endswith("/copyright"):
            write_file(directory / COPYRIGHT, content)
    cells = []
    for style, sources in table.items():
        names = list(sources)[:: max(1, len(sources) // SHEET_COLUMNS)][:SHEET_COLUMNS]
        cells.append([read_image(directory / style / f"{name}@0.png") for name in names])
    write_file(directory / "contact_sheet.png", png_bytes(image_grid(cells, row_labels=list(table))))


def attribution(version: str, files: Mapping[str, bytes]) -> str:
    """Returns the origin of the pictures, and the package's notes about each of them."""
    used = [path for path in files if style_of(path) or path.startswith("paintings/")]
    notes = [
        f"## {path.removesuffix('/README')}\n\n```\n{files[path].decode().strip()}\n```\n"
        for path in sorted(fnmatch.filter(files, "*/README"))
        if any(one.startswith(path.removesuffix("README")) and one != path for one in used)
    ]
    return "\n".join(
        [
            "# Attribution\n",
            f"Square crops of pictures in the Debian package {PACKAGE} {version} (GCompris). The licences",
            "are mixed: public domain, CC0, CC BY, CC BY-SA, and GPL-3+ for the scans of paintings. For",
            f"local experiments only. `{COPYRIGHT}` is the package's own copyright file.",
            "What the package says about each picture:\n",
            *notes,
        ]
    )
