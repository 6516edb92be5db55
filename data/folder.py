"""Finding pictures: `root/<style>/**/*.png` and its like, with everything odd named rather than skipped."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .errors import DataError
from .formats import is_picture
from .names import is_utf8, normal, style_fault, visible

UNLABELLED_FOLDER = "_unlabelled"
UNLABELLED = -1
NOT_UTF8 = "its name is not UTF-8"
READ_ALREADY = "a link to a folder that was read already"


@dataclass(frozen=True, kw_only=True)
class Found:
    """One picture file: where it is, its path below the root, its style index (-1 none) and its subject."""

    path: Path
    source: str
    style: int
    subject: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All picture files in a stable order, the style names in alphabetical order, and what was left out:
    `ignored` is no picture, `faults` cannot be opened. Both are pairs of a path below the root and why."""

    root: Path
    style_names: tuple[str, ...]
    found: tuple[Found, ...]
    ignored: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str], ...] = ()


def scan_folder(root: Path) -> Scan:
    """Lists the pictures below `root`.

    Every folder directly below `root` is a style; `_unlabelled/`, or a root that holds only pictures, has no
    label. The subject is the path below the style's folder without the suffix, so that the same stem in two
    styles is the same subject. Names of styles and subjects are in one spelling (Unicode NFC): two folders of
    one name are one style. Crops of one picture are named `source@1.png`, `source@2.png`, and lie in one
    split (see split.py). Names that begin with a dot are passed over in silence, all else by name.

    Raises:
        DataError: no such folder, no picture at all, an empty style, a name that commands could not find, or
            styles that differ only by case.
    """
    if not root.is_dir():
        raise DataError(f"The folder '{root}' does not exist: name one with a folder per style.")
    entries = list(list_folder(root))
    folders: dict[str, list[Path]] = {}
    for entry in entries:
        if entry.kind == "folder":
            folders.setdefault(normal(entry.path.name), []).append(entry.path)
    style_names = tuple(sorted(name for name in folders if name != UNLABELLED_FOLDER))
    _check_names(root, style_names)
    sorter = _Sorter(root=root)
    for style, name in enumerate(style_names):
        sorter.take_style(folders[name], style)
    for folder in folders.get(UNLABELLED_FOLDER, ()):
        sorter.take(folder, walk(folder), UNLABELLED)
    sorter.take(root, (entry for entry in entries if entry.kind != "folder"), None if folders else UNLABELLED)
    if not sorter.found:
        why = _why(sorter.faults) or " (.png, .jpg, .webp, ...)"
        raise DataError(f"'{root}' holds no picture{why}: name another.")
    return Scan(
        root=root, style_names=style_names, found=tuple(sorter.found), ignored=tuple(sorter.ignored),
        faults=tuple(sorter.faults),
    )  # fmt: skip


def _check_names(root: Path, style_names: tuple[str, ...]) -> None:
    seen: dict[str, str] = {}
    for name in style_names:
        if fault := style_fault(name):
            raise DataError(f"The style '{visible(name)}' in '{root}' {fault}: rename its folder.")
        if name.casefold() in (UNLABELLED_FOLDER, "_unlabeled"):
            raise DataError(f"'{root / name}' is taken for a style: rename it to {UNLABELLED_FOLDER}.")
        twin = seen.setdefault(normal(name.casefold()), name)
        if twin != name:
            raise DataError(
                f"The styles '{twin}' and '{name}' in '{root}' differ only by case: merge or rename one."
            )


def _why(faults: Sequence[tuple[str, str]]) -> str:
    return f" that can be opened ({faults[0][1]})" if faults else ""


@dataclass(kw_only=True)
class _Sorter:
    """Sorts entries into pictures, other files and what cannot be opened."""

    root: Path
    found: list[Found] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def take_style(self, folders: Sequence[Path], style: int) -> None:
        before, faults = len(self.found), len(self.faults)
        for folder in folders:
            self.take(folder, walk(folder), style)
        if len(self.found) == before:
            why = _why(self.faults[faults:])
            raise DataError(f"The style folder '{folders[0]}' holds no picture{why}: add some or remove it.")

    def take(self, folder: Path, entries: Iterable["Entry"], style: int | None) -> None:
        """Entries below the folder of a style; without a style they are named as ignored."""
        for entry in entries:
            source = entry.path.relative_to(self.root).as_posix()
            if entry.kind == "fault":
                self.faults.append((visible(source), entry.fault))
            elif not is_picture(entry.path):
                self.ignored.append((source, "not a picture by its suffix"))
            elif style is None:
                self.ignored.append((source, "beside the style folders, not in one"))
            else:
                subject = normal(entry.path.relative_to(folder).with_suffix("").as_posix())
                self.found.append(Found(path=entry.path, source=source, style=style, subject=subject))


def list_pictures(root: Path) -> list["Entry"]:
    """The pictures below `root`, and what cannot be opened, by path.

    Raises:
        DataError: `root` itself cannot be listed.
    """
    found = []
    for entry in walk(root):
        if entry.path == root:
            raise DataError(f"'{visible(str(root))}' cannot be opened ({entry.fault}): mend or remove it.")
        if entry.fault != READ_ALREADY and (entry.fault or is_picture(entry.path)):
            found.append(entry)
    return sorted(found, key=lambda entry: entry.path)


# The disk


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What lies in a folder; `fault` says why it cannot be opened."""

    path: Path
    kind: Literal["file", "folder", "fault"]
    fault: str = ""


def list_folder(folder: Path) -> Iterator[Entry]:
    """The visible entries by name, links as what they lead to; the folder itself if it cannot be listed."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        yield Entry(path=folder, kind="fault", fault=_words(error))
        return
    yield from (_entry(folder / name) for name in names)


def _entry(path: Path) -> Entry:
    if not is_utf8(path.name):
        return Entry(path=path, kind="fault", fault=NOT_UTF8)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        fault = "a link to nothing" if error.errno == errno.ENOENT else _words(error)
        return Entry(path=path, kind="fault", fault=fault)
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return Entry(path=path, kind="folder" if stat.S_ISDIR(mode) else "file")
    return Entry(path=path, kind="fault", fault="no file, but a pipe, a socket or a device")


def walk(root: Path) -> Iterator[Entry]:
    """All files and faults below `root` in a stable order, at any depth: a folder's own files come first.

    Links to folders are followed, but no folder is entered twice, so that circles end.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        about = folder.stat()
        if (about.st_dev, about.st_ino) in entered:
            yield Entry(path=folder, kind="fault", fault=READ_ALREADY)
            continue
        entered.add((about.st_dev, about.st_ino))
        folders: list[Path] = []
        for entry in list_folder(folder):
            if entry.kind == "folder":
                folders.append(entry.path)
            else:
                yield entry
        waiting += reversed(folders)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
