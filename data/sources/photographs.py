"""Square crops of photographs, paintings and woodblock prints, from the Debian package gcompris-qt-data.

The package belongs to a game for children. It holds photographs, paintings, and jigsaw puzzles of paintings
with the place of every piece, which this module solves. It leaves out drawings and clip art. The licences are
mixed, so the collection is for local experiments only.
"""

import fnmatch
import hashlib
import io
import re
import shutil
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError
from ..files import write_file
from ..images import fit_image, png_bytes, read_image
from ..progress import Progress
from .collection import Fetched, fetch_once, read_download

PACKAGE = "gcompris-qt-data"
COPYRIGHT = f"usr/share/doc/{PACKAGE}/copyright"
PATTERNS = {
    "animals": (
        "erase/resource/*.webp",
        "explore_farm_animals/resource/animals/*.webp",
        "explore_world_animals/resource/animals/*.webp",
    ),
    "paintings": (
        "details/resource/image/*Gogh*_background.webp",
        "details/resource/image/Eglise_*_background.webp",
        "details/resource/image/PortraitOf*_background.webp",
    ),
    "monuments": ("explore_monuments/resource/*/*.webp", "details/resource/image/*_background.webp"),
    "underwater": ("categorization/resource/images/fishes/*.webp", "clickgame/resource/sea*.webp"),
    "woodblock": (),
}
"""Style -> patterns of files below gcompris/src/activities. A file has the first style with a match."""
BOARDS = "paintings/resource/board/*.qml"
WOODBLOCK = ("Hokusai", "Hiroshige", "EjiriSuruga", "GreatWave", "KazusaSeaRoute")
"""Beginnings of the names of puzzle pieces of woodblock prints; all others are of paintings."""
NO_PAINTING = ("Michelangelo_Pieta", "kandinky")
"""Puzzles of a photograph of a sculpture and of an abstract drawing, which are left out."""
MAX_CROPS = 24


def fetch_photographs(directory: Path, *, size: int = 64, per_style: int = 400) -> Fetched:
    """Writes `directory/<style>/<source>@<number>.png`, RGB of `size` x `size`.

    Takes as many crops of every source as its style needs for about `per_style` images, at most 24. All crops
    of a source lie in one split (see split.py). Raises DataError if the folder has other settings, apt-get or
    the network is missing, or this version of the package lacks the images.
    """
    settings = {"package": PACKAGE, "size": size, "per_style": per_style}
    return fetch_once(directory, settings, lambda: _fetch(directory, size, per_style))


def _fetch(directory: Path, size: int, per_style: int) -> Fetched:
    if shutil.which("apt-get") is None:
        where = "fetch them on Debian or Ubuntu, then copy the folder"
        raise DataError(f"The images are in the Debian package {PACKAGE}, and apt-get is missing: {where}.")
    remedy = "check the network, run `apt-get update`, then repeat the command"
    copyright_file, files = read_download(["apt-get", "download", PACKAGE], _read_package, remedy=remedy)
    table = _sources(files)
    pictures = 0
    for style, sources in table.items():
        count = min(MAX_CROPS, max(1, round(per_style / len(sources))))
        pictures += count * len(sources)
        for name, path in Progress(sources.items(), desc=style, unit="source"):
            whole = solve_puzzle(files, path) if path.endswith(".qml") else read_image(files[path])
            for n, (top, left, side) in enumerate(crop_boxes(name, whole.shape[0], whole.shape[1], count)):
                crop = fit_image(whole[top : top + side, left : left + side], (size, size))
                write_file(directory / style / f"{name}@{n}.png", png_bytes(crop))
    write_file(directory / "ATTRIBUTION.md", _attribution(files))
    write_file(directory / f"COPYRIGHT.{PACKAGE}", copyright_file)
    return Fetched(subjects=sum(map(len, table.values())), images=pictures)


# The package
def _read_package(archive: Path) -> tuple[bytes, dict[str, bytes]]:
    """The copyright file in a `.deb` file, and path -> content below gcompris/src/activities."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=True).stdout
    activities = {
        pattern.split("/")[0] for patterns in (*PATTERNS.values(), [BOARDS]) for pattern in patterns
    }
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for activity in sorted(
            activities & {Path(name).stem for name in tar.getnames() if name.endswith(".rcc")}
        ):
            stream = tar.extractfile(f"./usr/share/gcompris-qt/rcc/{activity}.rcc")
            inside = read_rcc(stream.read()) if stream else {}
            files |= {path.removeprefix("gcompris/src/activities/"): file for path, file in inside.items()}
        stream = tar.extractfile(f"./{COPYRIGHT}")
        return stream.read() if stream else b"", files


def read_rcc(content: bytes) -> dict[str, bytes]:
    """Maps the path of every file in a Qt resource collection of version 3 to its content.

    Such a collection has a header, a tree of records of 22 bytes, names in UTF-16, and contents that are raw
    or compressed. All numbers are big-endian. Source: qtbase, src/corelib/io/qresource.cpp.
    """
    magic, version, tree, data, names = struct.unpack_from(">4s4I", content)
    if (magic, version) != (b"qres", 3):
        raise DataError(f"This version of '{PACKAGE}' has other resource files: use another Debian release.")
    files: dict[str, bytes] = {}
    waiting = [(0, "")]
    while waiting:
        node, path = waiting.pop()
        record = tree + 22 * node
        name, flags = struct.unpack_from(">IH", content, record)
        if node:  # the root has no name
            (length,) = struct.unpack_from(">H", content, names + name)
            start = names + name + 6  # a hash of four bytes lies between length and name
            path += f"/{content[start : start + 2 * length].decode('utf-16-be')}"
        if flags & 2:  # a folder
            count, first = struct.unpack_from(">2I", content, record + 6)
            waiting += [(child, path) for child in range(first, first + count)]
        else:
            (offset,) = struct.unpack_from(">I", content, record + 10)  # after country and language
            (length,) = struct.unpack_from(">I", content, data + offset)
            stored = content[data + offset + 4 : data + offset + 4 + length]
            # qCompress writes the size first.
            files[path.lstrip("/")] = zlib.decompress(stored[4:]) if flags & 1 else stored
    return files


def _sources(files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Style -> name of the source -> path of an image or of a puzzle's board."""
    table: dict[str, dict[str, str]] = {style: {} for style in PATTERNS}
    for path in files:
        name = f"{path.split('/')[0]}-{Path(path).stem.removesuffix('_background')}"
        for style, patterns in PATTERNS.items():
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                table[style][name] = path
                break
    for board in fnmatch.filter(files, BOARDS):
        pieces = _PIECE.findall(files[board].decode())
        name = re.sub(r"[_-][a-z]?\d$", "", Path(pieces[0][0]).stem) if pieces else ""
        if name and not name.startswith(NO_PAINTING):
            table["woodblock" if name.startswith(WOODBLOCK) else "paintings"][f"puzzle-{name}"] = board
    for style, sources in table.items():
        if not sources:
            raise DataError(f"This version of '{PACKAGE}' holds no {style}: use another Debian release.")
    return table


def _attribution(files: Mapping[str, bytes]) -> str:
    """The origin of the images, and the package's notes about them."""
    lines = [
        "# Attribution\n",
        f"Square crops of images in the Debian package {PACKAGE} (GCompris). The licences are mixed:",
        "public domain, CC0, CC BY, CC BY-SA, and GPL-3+ for the scans of paintings. For local experiments",
        f"only. `COPYRIGHT.{PACKAGE}` is the package's own copyright file. What the package says:\n",
    ]
    for path in sorted(fnmatch.filter(files, "*/README")):
        lines.append(f"## {path.removesuffix('/README')}\n\n```\n{files[path].decode().strip()}\n```\n")
    return "\n".join(lines)


# Puzzles: file and centre (x, y) of every piece, in units of the board's width and height.
_PIECE = re.compile(
    r'"pixmapfile"\s*:\s*"image/([^"]+\.webp)"\s*,\s*"x"\s*:\s*"([\d.]+)"\s*,\s*"y"\s*:\s*"([\d.]+)"'
)
_FRAME = re.compile(r'"width"\s*:\s*(\d+)\s*,\s*"height"\s*:\s*(\d+)')


def solve_puzzle(files: Mapping[str, bytes], board: str) -> np.ndarray:
    """Puts the pieces of a board in their places, and returns uint8 (H, W, 3) without the ragged border.

    The rounded places leave gaps of a pixel. Copies of the pieces, moved by three pixels to all sides, fill
    them with similar colours.
    """
    text = files[board].decode()
    width, height = map(int, _FRAME.findall(text)[0])
    folder = str(Path(board).parent.parent / "image")
    whole = Image.new("RGBA", (width, height))
    pieces, boxes = [], []
    for file, x, y in _PIECE.findall(text):
        with Image.open(io.BytesIO(files[f"{folder}/{file}"])) as image:
            piece = image.convert("RGBA")
        left = round(float(x) * width - piece.width / 2)
        top = round(float(y) * height - piece.height / 2)
        pieces.append((piece, left, top))
        boxes.append((left, top, left + piece.width, top + piece.height))
    for shift_x, shift_y in ((-3, 0), (3, 0), (0, -3), (0, 3), (0, 0)):
        for piece, left, top in pieces:
            whole.paste(piece, (left + shift_x, top + shift_y), piece)
    left, top = np.maximum(0, np.min(boxes, axis=0)[:2]).tolist()
    right, bottom = np.minimum((width, height), np.max(boxes, axis=0)[2:]).tolist()
    rim = round(0.02 * min(right - left, bottom - top))
    return np.array(whole.convert("RGB").crop((left + rim, top + rim, right - rim, bottom - rim)))


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
