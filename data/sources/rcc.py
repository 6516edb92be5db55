"""Files inside a Qt resource collection (`.rcc`), without Qt.

The format has a header (`qres`, version, and where the tree, the data and the names begin), a tree of fixed
records, names in UTF-16, and contents that are raw or compressed with zlib or Zstandard. All numbers are
big-endian. Source: qtbase, src/corelib/io/qresource.cpp.
"""

import struct
import zlib

import pyarrow as pa

from ..errors import DataError

MAGIC = b"qres"
ZLIB, FOLDER, ZSTD = 1, 2, 4
VERSIONS = (1, 2, 3)


def read_rcc(content: bytes, name: str = "the resource file") -> dict[str, bytes]:
    """Maps the path of every file in a resource collection to its content.

    Args:
        content: the bytes of the `.rcc` file.
        name: what error messages call it.

    Raises:
        DataError: no resource collection, one of an unknown version, or a damaged one.
    """
    if content[:4] != MAGIC:
        raise DataError(f"'{name}' is no Qt resource file: it does not begin with 'qres'.")
    try:
        version, tree, data, names = struct.unpack_from(">4I", content, 4)
        if version not in VERSIONS:
            raise DataError(f"'{name}' is a Qt resource file of version {version}: only 1 to 3 are known.")
        return _Collection(content, tree, data, names, 14 if version == 1 else 22).files()
    except (
        struct.error,
        zlib.error,
        UnicodeDecodeError,
        RecursionError,
        pa.ArrowException,
        OSError,
    ) as error:
        raise DataError(f"'{name}' is a damaged Qt resource file ({error}): fetch it again.") from error


class _Collection:
    """The tables of one file; `width` is the size of a record of the tree in bytes."""

    def __init__(self, content: bytes, tree: int, data: int, names: int, width: int) -> None:
        self.content, self.tree, self.data, self.names, self.width = content, tree, data, names, width

    def files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        self._collect(0, "", found)
        return found

    def _collect(self, node: int, path: str, found: dict[str, bytes]) -> None:
        at = self.tree + node * self.width
        name, flags = struct.unpack_from(">IH", self.content, at)
        here = f"{path}/{self._name(name)}".lstrip("/") if node else ""
        if flags & FOLDER:
            count, first = struct.unpack_from(">2I", self.content, at + 6)
            for child in range(first, first + count):
                self._collect(child, here, found)
        else:
            (offset,) = struct.unpack_from(">I", self.content, at + 10)  # after country and language
            found[here] = _expand(self._sized(self.data + offset), flags)

    def _name(self, offset: int) -> str:
        (length,) = struct.unpack_from(">H", self.content, self.names + offset)
        start = self.names + offset + 6  # a hash of four bytes lies between
        return self._slice(start, 2 * length).decode("utf-16-be")

    def _sized(self, at: int) -> bytes:
        (length,) = struct.unpack_from(">I", self.content, at)
        return self._slice(at + 4, length)

    def _slice(self, start: int, length: int) -> bytes:
        if start + length > len(self.content):
            raise struct.error("it ends too early")
        return self.content[start : start + length]


def _expand(stored: bytes, flags: int) -> bytes:
    if flags & ZSTD:
        return pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read()
    return zlib.decompress(stored[4:]) if flags & ZLIB else stored  # qCompress: the size comes first
