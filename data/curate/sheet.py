"""The contact sheet of a packed data set."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ..folder import UNLABELLED, Found, Scan
from ..images import image_grid
from ..names import NO_LABEL

COLUMNS = 12


class ContactSheet:
    """A row per style; the columns are subjects that many styles share, or else each style's own pictures."""

    def __init__(self, scan: Scan, resolution: int) -> None:
        self.names = list(scan.style_names)
        if any(found.style == UNLABELLED for found in scan.found):
            self.names.append(NO_LABEL)
        self.scale = max(1, 64 // resolution)
        self.cells: list[list[np.ndarray | None]] = [[None] * COLUMNS for _ in self.names]
        self.places = dict(self._choose(scan.found))

    def _choose(self, found: Sequence[Found]) -> Iterator[tuple[str, tuple[int, int]]]:
        """Source path -> (row, column). The row of the unlabelled is the last, as their index -1 says."""
        drawn: dict[str, set[int]] = {}
        for one in found:
            drawn.setdefault(one.subject, set()).add(one.style)
        most = max(map(len, drawn.values()))
        shared = _spread([subject for subject, styles in drawn.items() if len(styles) == most])
        for row in sorted({one.style for one in found}):
            own = [one for one in found if one.style == row]
            if most > 1:
                own = [one for one in own if one.subject in shared]
                yield from ((one.source, (row, shared.index(one.subject))) for one in own)
            else:
                yield from ((one.source, (row, column)) for column, one in enumerate(_spread(own)))

    def offer(self, source: str, pixels: np.ndarray) -> None:
        """Takes the uint8 (R, R, 3) pixels of a packed picture, and keeps them if it was chosen."""
        if place := self.places.get(source):
            self.cells[place[0]][place[1]] = pixels

    def draw(self) -> Image.Image:
        return image_grid(self.cells, row_labels=self.names, scale=self.scale)


def _spread(items: list) -> list:
    step = max(1, len(items) // COLUMNS)
    return items[::step][:COLUMNS]
