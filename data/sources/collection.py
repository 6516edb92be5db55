"""State of fetched folders, and downloads."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DataError
from ..files import read_json, write_json

Content = TypeVar("Content")
STATE = ".cache/state.json"
"""Settings and size of a fetched folder. `pack` skips it, since its name begins with a dot."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The size of a collection."""

    subjects: int
    images: int
    """Images in all styles together."""


def fetch_once(directory: Path, settings: Mapping[str, object], fetch: Callable[[], Fetched]) -> Fetched:
    """Calls `fetch`, which fills `directory`, unless an earlier call with these settings did.

    Raises DataError if the folder was begun with other settings, or its state is damaged.
    """
    path = directory / STATE
    if path.exists():
        try:
            state = read_json(path, dict[str, Any])
        except ValueError as error:
            raise DataError(f"'{path}' is damaged ({error}): delete it and repeat the command.") from error
        for key, value in settings.items():
            if state.get(key) != value:
                before = f"'{directory}' was fetched with {key} {state.get(key)}"
                raise DataError(f"{before}, not {value}: name another folder.")
        if state.get("finished"):
            images = state.get("images", state.get("pictures", 0))  # its name before version 0.3
            return Fetched(subjects=state["subjects"], images=images)
    write_json(path, settings)
    fetched = fetch()
    write_json(path, {**settings, "finished": True, **asdict(fetched)})
    return fetched


def read_download(command: Sequence[str], read: Callable[[Path], Content], *, remedy: str) -> Content:
    """Reads the one file that `command` downloads into the folder in which it runs.

    If the command fails, DataError has the cause and the remedy.
    """
    with tempfile.TemporaryDirectory() as directory:
        english = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, cwd=directory, env=english, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            cause = next((line for line in lines if line.lower().startswith(("e: ", "npm err"))), lines[-1])
            raise DataError(f"Downloading '{command[-1]}' failed ({cause.strip()}): {remedy}.")
        (file,) = Path(directory).iterdir()
        return read(file)
