"""Rectangles that cover a picture, each seen with so much around it that a network's maps are the whole's."""

from dataclasses import dataclass

from torch import Tensor

from brushwork.models.errors import ModelError

WHOLE, SIDE = 768, 512
"""Pictures of up to so many pixels squared are one rectangle, larger ones squares of this side, unless a side
is asked for."""

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Rows and columns that count, within those that are seen."""

    rows: Span
    columns: Span
    seen_rows: Span
    seen_columns: Span

    def seen(self, image: Tensor) -> Tensor:
        """Of a whole picture (..., H, W)."""
        return image[..., slice(*self.seen_rows), slice(*self.seen_columns)]

    def within(self, maps: Tensor, stride: int) -> Tensor:
        """Of maps of what is seen, `stride` pixels a place, the places that count."""
        rows = _places(self.rows, self.seen_rows[0], stride)
        return maps[..., rows, _places(self.columns, self.seen_columns[0], stride)]

    def of_whole(self, maps: Tensor, stride: int) -> Tensor:
        """Of maps of the whole picture, the places that count."""
        return maps[..., _places(self.rows, 0, stride), _places(self.columns, 0, stride)]


def _places(span: Span, origin: int, stride: int) -> slice:
    """Up to the last pixel, should a network round up: where it does not, no such place is there."""
    return slice((span[0] - origin) // stride, -(-(span[1] - origin) // stride))


def tiles_of(height: int, width: int, *, stride: int, reach: int | None, side: int = 0) -> list[Tile]:
    """Tiles of `side` pixels for a network whose deepest map has a place every `stride` pixels, which sees
    `reach` pixels around it. A `side` of 0: one tile for pictures of up to WHOLE x WHOLE pixels, else SIDE.

    Raises ModelError for a side that is no multiple of the stride, and for a network that sees everything
    (`reach` None) where there would be several.
    """
    if side == 0:
        side = SIDE if height * width > WHOLE**2 and reach is not None else max(height, width)
        side = -(-side // stride) * stride
    if side % stride:
        raise ModelError(f"tiles of {side} pixels do not fit the network; take a multiple of {stride}.")
    rows, columns = _spans(height, side), _spans(width, side)
    if reach is None and len(rows) * len(columns) > 1:
        raise ModelError("this network sees too far around to be shown tiles; take a VGG, or no tiles.")
    halo = -(-(reach or 0) // stride) * stride
    return [
        Tile(rows=a, columns=b, seen_rows=_widened(a, halo, height), seen_columns=_widened(b, halo, width))
        for a in rows
        for b in columns
    ]


def _spans(length: int, side: int) -> list[Span]:
    return [(start, min(start + side, length)) for start in range(0, length, side)]


def _widened(span: Span, halo: int, length: int) -> Span:
    return max(0, span[0] - halo), min(length, span[1] + halo)
