"""Progress of a long job: a bar on a terminal, one line a minute in a log."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

EVERY = 60.0
"""Seconds between two lines in a log."""


class Progress(tqdm):
    """tqdm, with plain lines where there is no terminal: one a minute, none in the first half minute."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if not _is_terminal(options.get("file")):
            options |= {"mininterval": EVERY, "maxinterval": EVERY, "miniters": 1, "delay": EVERY / 2}
        super().__init__(*arguments, **options)

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Returns the function that prints a state of the bar."""
        if _is_terminal(file):
            return tqdm.status_printer(file)

        def line(text: str) -> None:
            if text.strip():
                print(text, file=file, flush=True)

        return line


def _is_terminal(file: Any) -> bool:
    stream = file or sys.stderr
    return bool(getattr(stream, "isatty", lambda: False)())
