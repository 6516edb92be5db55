"""Reads Qt resource collections, without Qt.

A resource collection (`.rcc`) has a header (`qres`, version, and where the tree, the data and the names
begin), a tree of fixed records, names in UTF-16, and contents that are raw or compressed with zlib or
Zstandard. All numbers are big-endian. Source: qtbase, src/corelib/io/qresource.cpp.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from ..errors import DataError

ZLIB, FOLDER, ZSTD = 1, 2, 4
"""Flags of a record."""


def read_rcc(content: bytes) -> dict[str, bytes]:
    """Maps the path of every file in a resource collection to its content.

    Raises:
        DataError: it is no resource collection, or of an unknown version, or damaged.
    """
    try:
        magic, version, tree, data, names = struct.unpack_from(">4s4I", content)
        if magic != b"qres" or not 1 <= version <= 3:
            raise ValueError("it is none of version 1 to 3")
        tables = _Tables(content=content, tree=tree, data=data, names=names, width=14 if version == 1 else 22)
        return dict(tables.files(0, ""))
    except (struct.error, zlib.error, ValueError, RecursionError, pa.ArrowException, OSError) as error:
        raise DataError(f"A Qt resource file is damaged ({error}): fetch it again.") from error


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """The tables of one file; `width` is the size of a record of the tree in bytes."""

    content: bytes
    tree: int
    data: int
    names: int
    width: int

    def files(self, node: int, path: str) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of all files of a node at `path`."""
        start = self.tree + node * self.width
        (flags,) = struct.unpack_from(">H", self.content, start + 4)
        if flags & FOLDER:
            count, first = struct.unpack_from(">2I", self.content, start + 6)
            for child in range(first, first + count):
                yield from self.files(child, f"{path}/{self._name(child)}".lstrip("/"))
        else:
            (offset,) = struct.unpack_from(">I", self.content, start + 10)  # after country and language
            (length,) = struct.unpack_from(">I", self.content, self.data + offset)
            yield path, _expand(self._slice(self.data + offset + 4, length), flags)

    def _name(self, node: int) -> str:
        (offset,) = struct.unpack_from(">I", self.content, self.tree + node * self.width)
        (length,) = struct.unpack_from(">H", self.content, self.names + offset)
        # A hash of four bytes lies between length and name.
        return self._slice(self.names + offset + 6, 2 * length).decode("utf-16-be")

    def _slice(self, start: int, length: int) -> bytes:
        if start + length > len(self.content):
            raise ValueError("it ends too early")
        return self.content[start : start + length]


def _expand(stored: bytes, flags: int) -> bytes:
    if flags & ZSTD:
        return pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read()
    return zlib.decompress(stored[4:]) if flags & ZLIB else stored  # qCompress writes the size first
