"""What every fetched collection shares: its folder holds one choice of settings, and what a call returns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError
from .files import write_json


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A collection: folder, styles, subjects and pictures, and how many pictures this call had to draw."""

    directory: Path
    styles: tuple[str, ...]
    subjects: int
    pictures: int
    drawn: int


def cache_of(directory: Path) -> Path:
    """Where downloads and the state lie; `pack` passes over it, since its name begins with a dot."""
    return directory / ".cache"


def claim_folder(directory: Path, styles: tuple[str, ...], settings: Mapping[str, object]) -> Fetched | None:
    """Records the settings before anything is drawn; returns the collection where it is already finished.

    Raises:
        DataError: the folder was begun with other settings.
    """
    path = cache_of(directory) / "state.json"
    if not path.exists():
        write_json(path, settings)
        return None
    state = json.loads(path.read_text())
    for key, value in settings.items():
        if state.get(key) != value:
            raise DataError(
                f"'{directory}' was fetched with {key} {state.get(key)}, not {value}: name another folder."
            )
    if not state.get("finished"):
        return None
    return Fetched(
        directory=directory,
        styles=styles,
        subjects=state["subjects"],
        pictures=state["pictures"],
        drawn=0,
    )


def finish_folder(fetched: Fetched, settings: Mapping[str, object]) -> Fetched:
    """Records that the collection is whole."""
    state = {**settings, "finished": True, "subjects": fetched.subjects, "pictures": fetched.pictures}
    write_json(cache_of(fetched.directory) / "state.json", state)
    return fetched
