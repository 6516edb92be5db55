"""What all fetched collections share: the state of their folder, downloads, and what a call returns."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DataError
from ..files import read_json, write_json

Content = TypeVar("Content")
DOWNLOAD_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A collection: folder, styles, number of subjects and pictures, and of pictures written by this call."""

    directory: Path
    styles: tuple[str, ...]
    subjects: int
    pictures: int
    written: int


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """What the state of a finished collection holds besides its settings."""

    subjects: int
    pictures: int


def cache_of(directory: Path) -> Path:
    """Returns the folder of downloads and state; `pack` skips it, since its name begins with a dot."""
    return directory / ".cache"


def claim_folder(directory: Path, styles: tuple[str, ...], settings: Mapping[str, object]) -> Fetched | None:
    """Records the settings of a new collection; returns the collection if it is already finished.

    Raises:
        DataError: the folder was begun with other settings, or its state is damaged.
    """
    path = cache_of(directory) / "state.json"
    if not path.exists():
        write_json(path, settings)
        return None
    try:
        state = read_json(path, dict[str, Any])
        done = read_json(path, _Finished) if state.get("finished") else None
    except ValueError as error:
        raise DataError(
            f"'{path}' is damaged ({error}): delete it and repeat the command, which keeps the pictures."
        ) from error
    for key, value in settings.items():
        if state.get(key) != value:
            raise DataError(
                f"'{directory}' was fetched with {key} {state.get(key)}, not {value}: name another folder."
            )
    if done is None:
        return None
    return Fetched(
        directory=directory, styles=styles, subjects=done.subjects, pictures=done.pictures, written=0
    )


def finish_folder(fetched: Fetched, settings: Mapping[str, object]) -> Fetched:
    """Records that the collection is complete."""
    state = {**settings, "finished": True, "subjects": fetched.subjects, "pictures": fetched.pictures}
    write_json(cache_of(fetched.directory) / "state.json", state)
    return fetched


def read_download(path: Path, download: Callable[[Path], Path], read: Callable[[Path], Content]) -> Content:
    """Reads `path`, which `download` fetches if it is missing. A file that `read` refuses is not kept.

    Args:
        path: where the file is kept.
        download: downloads into an empty folder, and returns the file.
        read: reads the file to its end.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as directory:
            fresh = download(Path(directory))
            read(fresh)
            fresh.replace(path)
    return read(path)


def run_download(command: Sequence[str], directory: Path, *, name: str) -> tuple[Path | None, str]:
    """Runs a command that downloads one file into the empty `directory`.

    Returns:
        The file, or None if the command failed; and what the command wrote to stderr, or else its exit code.

    Raises:
        DataError: the command took too long.
    """
    try:
        done = subprocess.run(
            command, cwd=directory, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
            timeout=DOWNLOAD_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"Downloading '{name}' took over {DOWNLOAD_SECONDS} s: check the network and repeat the command."
        ) from error
    files = [] if done.returncode else sorted(directory.iterdir())
    return files[0] if files else None, done.stderr.strip() or f"exit code {done.returncode}"
