"""Files and folders that appear whole or not at all, whatever interrupts their making."""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError

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
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_json(path: Path, content: object, *, durable: bool = False) -> None:
    """Writes JSON as `write_file` does."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_file(path, f"{text}\n", durable=durable)


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
    """A hidden sibling of `out` that takes its place when the block ends well, and else vanishes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.part-"))
    try:
        yield stage
        stage.chmod(0o755)
        if out.exists():
            old = stage.with_name(stage.name + ".old")
            os.replace(out, old)
            try:
                os.replace(stage, out)
            except BaseException:
                os.replace(old, out)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
