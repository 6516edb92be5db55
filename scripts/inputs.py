"""Reports input images that a command cannot read. The command does the others first."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from brushwork.data.contents import Cutout, Original
from brushwork.data.errors import DataError
from brushwork.data.images import has_frames, open_image
from brushwork.data.names import visible

NAMED = 10
"""Reasons that are printed. The rest are counted."""


class LeftOut:
    """Inputs that were left out, by the sentence that says why."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def add(self, name: str, error: Exception | str) -> None:
        self.names.setdefault(str(error), []).append(name)

    def fail(self, *, done: int, of: int, kept: str) -> None:
        """Raises DataError if anything was left out, which ends the command with exit code 2.

        `done` of `of` inputs were done. `kept` is the part of the message that says what became of them.
        """
        reasons = [
            reason if len(names) == 1 else f"{reason} ({len(names)} times)"
            for reason, names in self.names.items()
        ]
        if not reasons:
            return
        words = f"{of - done} of {of} images were left out; {kept}" if done else ""
        if len(reasons) == 1:
            raise DataError(f"{reasons[0]} {words}.".removesuffix(" ."))
        more = [f"and {len(reasons) - NAMED} more"] if len(reasons) > NAMED else []
        lines = "\n  ".join([*reasons[:NAMED], *more])
        raise DataError(f"{words or 'no picture could be done'}:\n  {lines}")


def readable(originals: Iterable[Original], left_out: LeftOut) -> Iterator[tuple[Original, Cutout]]:
    """Yields each input that can be read, with its pixels. Adds the others to `left_out`."""
    for original in originals:
        try:
            cutout = original.read()
        except DataError as error:
            left_out.add(original.name, error)
        else:
            yield original, cutout


def report_frames(sources: Iterable[object]) -> None:
    """Prints which files have several frames or pages, of which commands read the first."""
    moving = [path for path in sources if isinstance(path, Path) and _has_frames(path)]
    if moving:
        more = f" and {len(moving) - 1} more" if len(moving) > 1 else ""
        print(f"'{visible(str(moving[0]))}'{more}: of several frames, the first is taken")


def _has_frames(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return has_frames(image)
    except Exception:  # reading the file will report what is wrong
        return False
