"""What is wrong with the pictures that a command is given: it does the others, and names these in the end."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from brushwork.data.contents import Cutout, Original
from brushwork.data.errors import DataError
from brushwork.data.images import has_frames, open_image
from brushwork.data.names import visible

NAMED = 10
"""Reasons that are told; the rest are counted."""


class LeftOut:
    """What was not done, by the sentence that says why."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def add(self, name: str, error: Exception | str) -> None:
        self.names.setdefault(str(error), []).append(name)

    def complain(self, *, done: int, of: int, kept: str) -> None:
        """Raises DataError if anything was left out, which ends the command with exit code 2. `kept` says
        what became of those that were done."""
        reasons = [
            reason if len(names) == 1 else f"{reason} ({len(names)} times)"
            for reason, names in self.names.items()
        ]
        if not reasons:
            return
        words = f"{of - done} of {of} pictures were left out; {kept}" if done else ""
        if len(reasons) == 1:
            raise DataError(f"{reasons[0]} {words}.".removesuffix(" ."))
        more = [f"and {len(reasons) - NAMED} more"] if len(reasons) > NAMED else []
        lines = "\n  ".join([*reasons[:NAMED], *more])
        raise DataError(f"{words or 'no picture could be done'}:\n  {lines}")


def readable(originals: Iterable[Original], left_out: LeftOut) -> Iterator[tuple[Original, Cutout]]:
    """Those that can be read, read."""
    for original in originals:
        try:
            cutout = original.read()
        except DataError as error:
            left_out.add(original.name, error)
        else:
            yield original, cutout


def tell_of_frames(sources: Iterable[object]) -> None:
    """Says of which files but the first frame is taken: of animations, and of files of several pages."""
    moving = [path for path in sources if isinstance(path, Path) and _has_frames(path)]
    if moving:
        more = f" and {len(moving) - 1} more" if len(moving) > 1 else ""
        print(f"'{visible(str(moving[0]))}'{more}: of several frames, the first is taken")


def _has_frames(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return has_frames(image)
    except Exception:  # whoever reads it says what is wrong
        return False
