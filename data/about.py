"""What `dataset.json` says about a packed data set, read back with every entry checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .errors import DataError
from .files import read_json
from .split import SPLITS, Split

Format = Literal["brushwork data set 1"]
FORMAT: Format = "brushwork data set 1"
ABOUT_FILE = "dataset.json"
Level = Annotated[int, Field(ge=0, le=255)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class About:
    """A packed data set without its pictures."""

    format: Format
    name: str
    styles: tuple[str, ...]
    resolution: Annotated[int, Field(ge=1)]
    fingerprint: str
    """Content hash of all splits together."""
    recipe: str
    """Hash of what the data set was packed from and how."""
    background: tuple[Level, Level, Level]
    counts: Mapping[Split, Count]
    """Pictures by split."""

    def __post_init__(self) -> None:
        if len(set(self.styles)) < len(self.styles):
            raise ValueError("two styles have one name")
        if set(self.counts) != set(SPLITS):
            raise ValueError(f"there are no counts of {' and '.join(SPLITS)}")


def describe(path: Path | str) -> About:
    """The `dataset.json` of a packed data set.

    Raises:
        DataError: no such data set, not one of `brushwork pack`, or a damaged one.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"The data set '{path}' does not exist: make it with `brushwork pack FOLDER {path}`.")
    if not (path / ABOUT_FILE).is_file():
        raise DataError(
            f"'{path}' is no packed data set (it has no {ABOUT_FILE}): make one with "
            f"`brushwork pack {path} DATASET`."
        )
    try:
        return read_json(path / ABOUT_FILE, About)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, what: object) -> DataError:
    """The error to raise for a data set that is not as `brushwork pack` wrote it."""
    return DataError(f"The data set '{path}' is damaged ({' '.join(str(what).split())}): pack it again.")
