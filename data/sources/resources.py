"""Reads Qt resource collections, without Qt.

A resource collection (`.rcc`) has a header (`qres`, version, and where the tree, the data and the names
begin), a tree of fixed records, names in UTF-16, and contents that are raw or compressed with zlib or
Zstandard. All numbers are big-endian. Source: qtbase, src/corelib/io/qresource.cpp.
"""

import struct
import zlib

import pyarrow as pa

from ..errors import DataError

ZLIB, FOLDER, ZSTD = 1, 2, 4
"""Flags of a record."""


def read_rcc(content: bytes) -> dict[str, bytes]:
    """Maps the path of every file in a resource collection to its content. DataError if it is damaged."""
    try:
        return _files(content)
    except (struct.error, zlib.error, ValueError, pa.ArrowException, OSError) as error:
        raise DataError(f"A Qt resource file is damaged ({error}): fetch it again.") from error


def _files(content: bytes) -> dict[str, bytes]:
    magic, version, tree, data, names = struct.unpack_from(">4s4I", content)
    if magic != b"qres" or not 1 <= version <= 3:
        raise ValueError("it is none of version 1 to 3")
    width = 14 if version == 1 else 22  # of a record of the tree, in bytes
    files: dict[str, bytes] = {}
    folders, waiting = set(), [(0, "")]
    while waiting:
        node, path = waiting.pop()
        record = tree + node * width
        name, flags = struct.unpack_from(">IH", content, record)
        if node:  # the root has no name
            (length,) = struct.unpack_from(">H", content, names + name)
            # A hash of four bytes lies between length and name.
            path += f"/{_part(content, names + name + 6, 2 * length).decode('utf-16-be')}"
        if flags & FOLDER:
            count, first = struct.unpack_from(">2I", content, record + 6)
            if node in folders or tree + (first + count) * width > len(content):
                raise ValueError("its tree leads nowhere")
            folders.add(node)
            waiting += [(child, path) for child in range(first, first + count)]
        else:
            (offset,) = struct.unpack_from(">I", content, record + 10)  # after country and language
            (length,) = struct.unpack_from(">I", content, data + offset)
            files[path.lstrip("/")] = _expand(_part(content, data + offset + 4, length), flags)
    return files


def _part(content: bytes, start: int, length: int) -> bytes:
    if start + length > len(content):
        raise ValueError("it ends too early")
    return content[start : start + length]


def _expand(stored: bytes, flags: int) -> bytes:
    if flags & ZSTD:
        return pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read()
    return zlib.decompress(stored[4:]) if flags & ZLIB else stored  # qCompress writes the size first
