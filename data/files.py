"""Writes files and folders whole or not at all, whatever interrupts the process."""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from .errors import DataError

Content = TypeVar("Content")

PARTIAL = ".partial"
"""Suffix of files that are not yet whole; their names begin with a dot."""


def write_file(path: Path, content: bytes | memoryview | str, *, durable: bool = False) -> None:
    """Writes a file, text as UTF-8, whole or not at all. Makes missing folders.

    With `durable`, content and name are on the disk before this returns, so that they outlast a machine that
    dies. Raises OSError if the disk is full or may not be written; nothing is left behind.
    """
    with staged_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable and hasattr(os, "O_DIRECTORY"):  # other systems cannot sync a folder
        descriptor = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def staged_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write, which gets its name if the block succeeds, and is removed if not.

    Raises OSError as `write_file` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(partial, 0o644)  # mkstemp makes it private
        os.replace(partial, path)
    except BaseException as error:
        Path(partial).unlink(missing_ok=True)
        if isinstance(error, OSError):  # the error names the partial file, or none
            error.filename, error.filename2 = str(path), None
        raise


def write_json(path: Path, content: object, *, durable: bool = False) -> None:
    """Writes JSON as `write_file` does."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n", durable=durable)


def read_json(path: Path, kind: type[Content]) -> Content:
    """Reads JSON as a dataclass, or as any type that pydantic knows. Ignores further keys.

    Raises ValueError if it is no JSON, or not of this type; the message names the first wrong entry.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path.name}{f', {place}' if place else ''}: {first['msg']}") from error


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes rows of the same columns, below a header, as `write_file` does."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue())


def remove_partials(folder: Path) -> None:
    """Removes the partial files of killed processes below `folder`. No other process may write there."""
    for partial in folder.glob(f"**/.*{PARTIAL}"):
        partial.unlink(missing_ok=True)


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """Yields a hidden folder beside `out`, which replaces `out` if the block succeeds, and is removed if not.

    Only one process at a time can write to a place; another raises DataError. The lock dies with its process,
    and the next call removes what a killed process left.
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
        raise DataError(f"Another process is writing to '{out}': wait, or name another place.") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            path.unlink()
        lock.release()


def _clean_up(out: Path, stage: Path, old: Path) -> None:
    """Puts the previous folder back if nothing has replaced it, and removes the rest."""
    if old.exists() and not out.exists():
        os.replace(old, out)
    for folder in (stage, old):
        shutil.rmtree(folder, ignore_errors=True)
