"""Finding pictures: `root/<style>/**/*.png` and its like, with everything odd named rather than skipped."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
UNLABELLED_FOLDER = "_unlabelled"
UNLABELLED = -1


@dataclass(frozen=True, kw_only=True)
class Found:
    """One picture file: where it is, its path below the root, its style index (-1 none) and its subject."""

    path: Path
    source: str
    style: int
    subject: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All picture files in a stable order, the style names in alphabetical order, and what was ignored."""

    root: Path
    style_names: tuple[str, ...]
    found: tuple[Found, ...]
    ignored: tuple[tuple[str, str], ...]


def scan_folder(root: Path) -> Scan:
    """Lists the pictures below `root`.

    Every folder directly below `root` is a style; `_unlabelled/`, or a root that holds only pictures, has no
    label. The subject is the path below the style's folder without the suffix, so that the same stem in two
    styles is the same subject. Crops of one picture are named `source@1.png`, `source@2.png`, and lie in one
    split (see split.py). Names that begin with a dot are passed over in silence, other files by name.

    Raises:
        DataError: no such folder, no picture at all, an empty style, or styles that differ only by case.
    """
    if not root.is_dir():
        raise DataError(f"The folder '{root}' does not exist: name one with a folder per style.")
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not _hidden(entry.name))
    style_names = tuple(name for name in folders if name != UNLABELLED_FOLDER)
    _check_case(root, style_names)
    found: list[Found] = []
    ignored: list[tuple[str, str]] = []
    for style, name in enumerate(style_names):
        _collect(root, root / name, style, found, ignored)
        if not any(picture.style == style for picture in found):
            raise DataError(f"The style folder '{root / name}' holds no picture: add some or remove it.")
    if UNLABELLED_FOLDER in folders:
        _collect(root, root / UNLABELLED_FOLDER, UNLABELLED, found, ignored)
    for path in sorted(entry for entry in root.iterdir() if entry.is_file() and not _hidden(entry.name)):
        if not _is_picture(path):
            ignored.append((path.name, "not a picture by its suffix"))
        elif folders:
            ignored.append((path.name, "beside the style folders, not in one"))
        else:
            found.append(Found(path=path, source=path.name, style=UNLABELLED, subject=path.stem))
    if not found:
        raise DataError(f"'{root}' holds no picture ({', '.join(sorted(SUFFIXES))}): name another.")
    return Scan(root=root, style_names=style_names, found=tuple(found), ignored=tuple(ignored))


def _check_case(root: Path, style_names: tuple[str, ...]) -> None:
    seen: dict[str, str] = {}
    for name in style_names:
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            raise DataError(
                f"The styles '{twin}' and '{name}' in '{root}' differ only by case: merge or rename one."
            )


def _collect(
    root: Path, folder: Path, style: int, found: list[Found], ignored: list[tuple[str, str]]
) -> None:
    for path in _walk(folder):
        source = path.relative_to(root).as_posix()
        if _is_picture(path):
            subject = path.relative_to(folder).with_suffix("").as_posix()
            found.append(Found(path=path, source=source, style=style, subject=subject))
        else:
            ignored.append((source, "not a picture by its suffix"))


def _walk(folder: Path) -> Iterator[Path]:
    """Visible files in a stable order; a link to a folder is followed, but never in a circle."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(parent) / name for name in sorted(files) if not _hidden(name))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _hidden(name: str) -> bool:
    return name.startswith(".")
