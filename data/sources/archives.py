"""Reads Debian packages, without installing them and without root, and Qt resource collections, without Qt.

A resource collection (`.rcc`) has a header (`qres`, version, and where the tree, the data and the names
begin), a tree of fixed records, names in UTF-16, and contents that are raw or compressed with zlib or
Zstandard. All numbers are big-endian. Source: qtbase, src/corelib/io/qresource.cpp.
"""

import io
import re
import shutil
import struct
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..errors import DataError
from .collection import read_download, run_download

ZLIB, FOLDER, ZSTD = 1, 2, 4
"""Flags of a record of a resource collection."""

# Debian packages


@dataclass(frozen=True, kw_only=True)
class Package:
    """The version of a Debian package, and the content of some of its files by their paths."""

    version: str
    files: dict[str, bytes]


def load_package(name: str, cache: Path, *, wanted: re.Pattern[str]) -> Package:
    """Reads the files whose whole path `wanted` matches. Downloads the package into `cache` if it is missing.

    Raises:
        DataError: there is no apt-get, no network or no such package, or the file is damaged.
    """
    return read_download(
        cache / f"{name}.deb",
        lambda directory: download_package(name, directory),
        lambda path: read_package(path, wanted),
    )


def download_package(name: str, directory: Path) -> Path:
    """Downloads a package into the empty `directory`, and returns the `.deb` file."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(
                f"The pictures are in the Debian package '{name}', and {tool} is missing: fetch them on "
                "Debian or Ubuntu, then copy the folder."
            )
    file, errors = run_download(["apt-get", "download", name], directory, name=name)
    if file is None:
        lines = errors.splitlines()
        cause = next((line.removeprefix("E: ") for line in lines if line.startswith("E: ")), lines[-1])
        raise DataError(
            f"apt-get could not download '{name}' ({cause}): check the network, run `apt-get update`, then "
            "repeat the command."
        )
    return file


def read_package(archive: Path, wanted: re.Pattern[str]) -> Package:
    """Reads a `.deb` file in memory; nothing of it is unpacked to the disk."""
    try:
        version = _dpkg("--field", archive, "Version").decode().strip()
        with tarfile.open(fileobj=io.BytesIO(_dpkg("--fsys-tarfile", archive))) as tar:
            members = {member.name.removeprefix("./"): member for member in tar.getmembers()}
            streams = {
                path: tar.extractfile(member) for path, member in members.items() if wanted.fullmatch(path)
            }
            files = {path: stream.read() for path, stream in streams.items() if stream is not None}
    except (OSError, EOFError, tarfile.TarError, subprocess.CalledProcessError) as error:
        raise DataError(f"The download '{archive}' is damaged ({error}): delete it and repeat.") from error
    return Package(version=version, files=files)


def _dpkg(option: str, archive: Path, *words: str) -> bytes:
    return subprocess.run(["dpkg-deb", option, str(archive), *words], capture_output=True, check=True).stdout


# Qt resource collections


def read_rcc(content: bytes, name: str = "the resource file") -> dict[str, bytes]:
    """Maps the path of every file in a resource collection to its content.

    Args:
        content: the bytes of the `.rcc` file.
        name: of the file, for error messages.

    Raises:
        DataError: it is no resource collection, or of an unknown version, or damaged.
    """
    if content[:4] != b"qres":
        raise DataError(f"'{name}' is no Qt resource file: it does not begin with 'qres'.")
    try:
        version, tree, data, names = struct.unpack_from(">4I", content, 4)
        if not 1 <= version <= 3:
            raise DataError(f"'{name}' is a Qt resource file of version {version}: only 1 to 3 are known.")
        tables = _Tables(content=content, tree=tree, data=data, names=names, width=14 if version == 1 else 22)
        return tables.files(0, "")
    except (
        struct.error,
        zlib.error,
        UnicodeDecodeError,
        RecursionError,
        pa.ArrowException,
        OSError,
    ) as error:
        raise DataError(f"'{name}' is a damaged Qt resource file ({error}): fetch it again.") from error


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """The tables of one file; `width` is the size of a record of the tree in bytes."""

    content: bytes
    tree: int
    data: int
    names: int
    width: int

    def files(self, node: int, path: str) -> dict[str, bytes]:
        """The files of a node at `path` and of all nodes below it."""
        start = self.tree + node * self.width
        flags, *_ = struct.unpack_from(">H", self.content, start + 4)
        if flags & FOLDER:
            count, first = struct.unpack_from(">2I", self.content, start + 6)
            files: dict[str, bytes] = {}
            for child in range(first, first + count):
                files |= self.files(child, f"{path}/{self._name(child)}".lstrip("/"))
            return files
        (offset,) = struct.unpack_from(">I", self.content, start + 10)  # after country and language
        (length,) = struct.unpack_from(">I", self.content, self.data + offset)
        return {path: _expand(self._slice(self.data + offset + 4, length), flags)}

    def _name(self, node: int) -> str:
        (offset,) = struct.unpack_from(">I", self.content, self.tree + node * self.width)
        (length,) = struct.unpack_from(">H", self.content, self.names + offset)
        # A hash of four bytes lies between length and name.
        return self._slice(self.names + offset + 6, 2 * length).decode("utf-16-be")

    def _slice(self, start: int, length: int) -> bytes:
        if start + length > len(self.content):
            raise struct.error("it ends too early")
        return self.content[start : start + length]


def _expand(stored: bytes, flags: int) -> bytes:
    if flags & ZSTD:
        return pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read()
    return zlib.decompress(stored[4:]) if flags & ZLIB else stored  # qCompress writes the size first
