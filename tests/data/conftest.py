"""Writers of the downloads that several tests read."""

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

Tree = dict[str, "Tree | bytes"]


def rcc(tree: Tree, *, version: int = 3, pack: str = "raw") -> bytes:
    """Writes the format as Qt's `rcc` does: nodes of a folder side by side, children after their parents."""
    names, data, records = b"", b"", [b""]
    open_folders: list[tuple[int, str, Tree]] = [(0, "", tree)]
    while open_folders:
        place, label, folder = open_folders.pop(0)
        at, names = len(names), names + name_entry(label)
        records[place] = struct.pack(">IHII", at, 2, len(folder), len(records))
        for child, content in folder.items():
            if isinstance(content, dict):
                open_folders.append((len(records), child, content))
                records.append(b"")
                continue
            flags, stored = packed(content, pack)
            records.append(struct.pack(">IHHHI", len(names), flags, 0, 1, len(data)))
            names, data = names + name_entry(child), data + struct.pack(">I", len(stored)) + stored
    body = b"".join(record + bytes(8 if version > 1 else 0) for record in records)
    head = 20 + (4 if version > 2 else 0)
    offsets = struct.pack(">4I", version, head + len(data) + len(names), head, head + len(data))
    return b"qres" + offsets + bytes(head - 20) + data + names + body


def name_entry(name: str) -> bytes:
    return struct.pack(">HI", len(name), 0xABCD) + name.encode("utf-16-be")


def packed(content: bytes, how: str) -> tuple[int, bytes]:
    if how == "zlib":
        return 1, struct.pack(">I", len(content)) + zlib.compress(content)
    if how == "zstd":
        return 4, pa.compress(content, "zstd", asbytes=True)
    return 0, content


@pytest.fixture
def write_rcc() -> Callable[..., bytes]:
    return rcc


@pytest.fixture
def write_npm_package() -> Callable[[Path, Mapping[str, object]], Path]:
    """Writes a tarball as `npm pack` does, with one JSON file for each entry."""

    def write(path: Path, content: Mapping[str, object]) -> Path:
        with tarfile.open(path, "w:gz") as archive:
            for name, entry in content.items():
                encoded = json.dumps(entry).encode()
                member = tarfile.TarInfo(f"package/{name}.json")
                member.size = len(encoded)
                archive.addfile(member, io.BytesIO(encoded))
        return path

    return write
