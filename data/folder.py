"""Finds images as `root/<style>/**/*.png` and the like, and says why it leaves out a file."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError
from .images import is_image
from .names import is_selectable, is_utf8, normal, visible

UNLABELLED_FOLDER = "_unlabelled"
UNLABELLED = -1
NOT_UTF8 = "its name is not UTF-8"


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image file: its path, its path below the root, its style index (-1 for none) and its subject."""

    path: Path
    source: str
    style: int
    subject: str
    weights: tuple[float, ...] | None = None
    """Weight of every style, of sum 1, if the image is in several; `style` is then the main one."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The content of a folder of styles.

    `style_names` are in alphabetical order, `files` in a stable one. `ignored` are no images, `faults` cannot
    be opened; both are pairs of a path below the root and a reason.
    """

    root: Path
    style_names: tuple[str, ...]
    files: tuple[ImageFile, ...]
    ignored: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file; or, with a `fault`, a path that cannot be opened, and why."""

    path: Path
    fault: str = ""


def scan_folder(root: Path) -> Scan:
    """Lists the images below `root`.

    Every folder directly below `root` is a style. Images in `_unlabelled/`, or in a root without folders,
    have no label. The subject is the path below the style's folder without the suffix, so the same stem in
    two styles is the same subject. Names of styles and subjects are in one spelling (Unicode NFC). Names that
    begin with a dot are skipped; everything else that is left out is listed.

    Raises:
        DataError: there is no such folder or no image, a style is empty or has a name that no command could
            select, or two styles differ only by case or spelling.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder '{visible(str(root))}': name one with a folder per style.")
    top, folders = _list_folder(root)
    # The index of a folder is that of its style; the one without a style is the last.
    folders.sort(key=lambda folder: (folder.name == UNLABELLED_FOLDER, normal(folder.name)))
    style_names = tuple(normal(folder.name) for folder in folders if folder.name != UNLABELLED_FOLDER)
    check_names(root, style_names)
    files: list[ImageFile] = []
    ignored: list[tuple[str, str]] = []
    faults: list[tuple[str, str]] = []
    found = [(entry, folder, style) for style, folder in enumerate(folders) for entry in walk(folder)]
    for entry, folder, style in [*found, *((entry, root, UNLABELLED) for entry in top)]:
        source = entry.path.relative_to(root).as_posix()
        if entry.fault:
            faults.append((visible(source), entry.fault))
        elif not is_image(entry.path):
            ignored.append((source, "not an image by its suffix"))
        elif folders and folder == root:
            ignored.append((source, "beside the style folders, not in one"))
        else:
            subject = normal(entry.path.relative_to(folder).with_suffix("").as_posix())
            style = style if style < len(style_names) else UNLABELLED
            files.append(ImageFile(path=entry.path, source=source, style=style, subject=subject))
    filled = {file.style for file in files}
    for style, name in enumerate(style_names):
        if style not in filled:
            raise DataError(f"The style folder '{root / name}' holds no image that can be opened: remove it.")
    if not files:
        raise DataError(f"'{root}' holds no image (.png, .jpg, .webp, ...) that can be opened: name another.")
    return Scan(
        root=root, style_names=style_names, files=tuple(files), ignored=tuple(ignored), faults=tuple(faults)
    )


def scan_images(root: Path) -> tuple[tuple[ImageFile, ...], tuple[tuple[str, str], ...]]:
    """Returns all images below `root` without labels, and the faults. The subject is the path without its
    suffix. Raises DataError if there is no such folder."""
    if not root.is_dir():
        raise DataError(f"There is no folder '{visible(str(root))}': name one with images.")
    files: list[ImageFile] = []
    faults: list[tuple[str, str]] = []
    for entry in walk(root):
        source = entry.path.relative_to(root).as_posix()
        if entry.fault:
            faults.append((visible(source), entry.fault))
        elif is_image(entry.path):
            subject = normal(Path(source).with_suffix("").as_posix())
            files.append(ImageFile(path=entry.path, source=source, style=UNLABELLED, subject=subject))
    return tuple(files), tuple(faults)


def check_names(root: Path, style_names: Sequence[str]) -> None:
    """Raises DataError for a style that no command could select, and for styles that differ by case alone."""
    by_case: dict[str, str] = {}
    for name in style_names:
        if not is_selectable(name):
            where = f"The style '{visible(name)}' in '{root}'"
            raise DataError(f"{where} has a name that no command can select: rename its folder.")
        if name.casefold() in (UNLABELLED_FOLDER, "_unlabeled"):
            raise DataError(f"'{root / name}' is taken for a style: rename it to {UNLABELLED_FOLDER}.")
        if (twin := by_case.setdefault(normal(name.casefold()), name)) is not name:
            raise DataError(f"The styles '{twin}' and '{name}' in '{root}' differ only by case: rename one.")


def list_images(root: Path) -> list[Path]:
    """Lists the images below `root` and what cannot be opened. Raises DataError if `root` cannot be."""
    entries = list(walk(root))
    if entries and entries[0].path == root:
        raise DataError(f"'{visible(str(root))}' cannot be opened ({entries[0].fault}): mend or remove it.")
    return sorted(entry.path for entry in entries if entry.fault or is_image(entry.path))


def walk(root: Path) -> Iterator[Entry]:
    """Yields all files and faults below `root` in a stable order, at any depth, a folder's own files first.

    Follows links to folders, but enters no folder twice, so circles end.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) not in entered:
            entered.add((status.st_dev, status.st_ino))
            entries, folders = _list_folder(folder)
            yield from entries
            waiting += reversed(folders)


def _list_folder(folder: Path) -> tuple[list[Entry], list[Path]]:
    """The visible files and faults, and the folders, by name; a folder that cannot be listed is a fault."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        return [Entry(path=folder, fault=_reason(error))], []
    entries: list[Entry] = []
    folders: list[Path] = []
    for path in (folder / name for name in names):
        fault = "" if is_utf8(path.name) else NOT_UTF8
        try:
            mode = path.stat().st_mode
        except OSError as error:
            fault = fault or ("a link to nothing" if error.errno == errno.ENOENT else _reason(error))
        else:
            if stat.S_ISDIR(mode) and not fault:
                folders.append(path)
                continue
            if not stat.S_ISREG(mode):
                fault = fault or "no file, but a pipe, a socket or a device"
        entries.append(Entry(path=path, fault=fault))
    return entries, folders


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
