"""Files and folders that appear whole or not at all, whatever interrupts their making."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under another name beside `path`, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
        try:
            part.write(content)
            part.close()
            os.chmod(part.name, 0o644)
            os.replace(part.name, path)
        except BaseException:
            part.close()
            Path(part.name).unlink(missing_ok=True)
            raise


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
