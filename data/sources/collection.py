"""What every fetched collection shares: its folder holds one choice of settings, and what a call returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A collection: folder, styles, subjects and pictures, and how many pictures this call had to draw."""

    directory: Path
    styles: tuple[str, ...]
    subjects: int
    pictures: int
    drawn: int


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """What the state of a finished collection holds beside its settings."""

    subjects: int
    pictures: int


def cache_of(directory: Path) -> Path:
    """Where downloads and the state lie; `pack` passes over it, since its name begins with a dot."""
    return directory / ".cache"


def claim_folder(directory: Path, styles: tuple[str, ...], settings: Mapping[str, object]) -> Fetched | None:
    """Records the settings before anything is drawn; returns the collection where it is already finished.

    Raises:
        DataError: the folder was begun with other settings, or what it says of itself is damaged.
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
            f"'{path}' is damaged ({error}): delete it and repeat the command, which keeps what is drawn."
        ) from error
    for key, value in settings.items():
        if state.get(key) != value:
            raise DataError(
                f"'{directory}' was fetched with {key} {state.get(key)}, not {value}: name another folder."
            )
    if done is None:
        return None
    return Fetched(
        directory=directory, styles=styles, subjects=done.subjects, pictures=done.pictures, drawn=0
    )


def finish_folder(fetched: Fetched, settings: Mapping[str, object]) -> Fetched:
    """Records that the collection is whole."""
    state = {**settings, "finished": True, "subjects": fetched.subjects, "pictures": fetched.pictures}
    write_json(cache_of(fetched.directory) / "state.json", state)
    return fetched
