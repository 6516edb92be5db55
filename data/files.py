"""Files and folders that appear whole or not at all, whatever interrupts their making."""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from .errors import DataError

Content = TypeVar("Content")

PARTIAL = ".partial"
"""How the names of files end that are not yet whole; they begin with a dot."""


def write_file(path: Path, content: bytes | memoryview | str, *, durable: bool = False) -> None:
    """Writes a file, text as UTF-8, so that it is whole or not there: under another name beside `path`, which
    is then renamed. Folders that are missing are made.

    With `durable` both the content and the name are on the disk before this returns, so that what is removed
    afterwards is replaced even where the machine dies.

    Raises:
        OSError: the disk is full or may not be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(partial, 0o644)  # mkstemp makes it private
        os.replace(partial, path)
    except BaseException as error:
        Path(partial).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk names no file, and nobody knows the other name
            error.filename, error.filename2 = str(path), None
        raise
    if durable:
        _sync_folder(path.parent)


def write_json(path: Path, content: object, *, durable: bool = False) -> None:
    """Writes JSON as `write_file` does."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n", durable=durable)


def read_json(path: Path, kind: type[Content]) -> Content:
    """Reads JSON as what it should hold: a dataclass, or any type that pydantic knows. Other keys are passed
    over.

    Raises:
        OSError: there is no such file.
        ValueError: it is no JSON, or holds something else; the message names the first entry that does.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path.name}{f', {place}' if place else ''}: {first['msg']}") from error


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes rows of the same columns as `write_file` does, below their names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue())


def remove_partials(folder: Path) -> None:
    """Removes what killed processes left half written in `folder`, which must be the caller's alone."""
    for partial in folder.glob(f"**/.*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_replaceable(out: Path, *, marker: str) -> None:
    """Refuses a place that holds something else: only a folder with the file `marker` in it may be replaced.

    Raises:
        DataError: `out` is a file, or a folder with content of another kind.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / marker).exists()):
        raise DataError(f"'{out}' exists and is no packed data set: name another place, or remove it.")


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """A hidden sibling of `out` that takes its place when the block ends well, and else vanishes.

    One process at a time writes to a place. Its lock dies with it, and what a killed one left goes with the
    next call.

    Raises:
        DataError: another process is writing to `out`.
    """
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    stage, old, lock = (out.with_name(f".{out.name}.{kind}") for kind in ("part", "old", "lock"))
    with _only_writer(out, lock):
        _clean_up(out, stage, old)
        stage.mkdir()
        try:
            yield stage
            if out.exists():
                os.replace(out, old)
            os.replace(stage, out)
        finally:
            _clean_up(out, stage, old)


@contextmanager
def _only_writer(out: Path, path: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"Another process is writing to '{out}': wait until it has finished, or name another place."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            path.unlink()
        lock.release()


def _clean_up(out: Path, stage: Path, old: Path) -> None:
    """Puts back what stood at `out` if nothing came instead, and removes the rest."""
    if old.exists() and not out.exists():
        os.replace(old, out)
    for folder in (stage, old):
        shutil.rmtree(folder, ignore_errors=True)
