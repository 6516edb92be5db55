"""Debian packages and Qt resource collections."""

import random
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources import archives
from brushwork.data.sources.archives import download_package, load_package, read_rcc

WANTED = re.compile(r"usr/share/.*\.txt")
WriteRcc = Callable[..., bytes]
TREE = {"a": {"b.txt": b"hello" * 50, "ü": {"c": b""}}, "d.bin": bytes(range(256)), "empty": {}}


def package(folder: Path) -> Path:
    """Builds a package of two files."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    tree = folder.parent / "tree"
    for path, content in {
        "DEBIAN/control": "Package: x\nVersion: 1.2-3\nArchitecture: all\nMaintainer: x\nDescription: x\n",
        "usr/share/a.txt": "hello",
        "usr/share/b.bin": "other",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
    command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(folder / "x.deb")]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(tree)
    return folder / "x.deb"


def test_wanted_files_are_read_and_the_download_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "download_package", lambda _, folder: package(folder))
    read = load_package("x", tmp_path, wanted=WANTED)
    assert (read.version, read.files) == ("1.2-3", {"usr/share/a.txt": b"hello"})
    monkeypatch.setattr(archives, "download_package", lambda *_: pytest.fail("it was there"))
    assert load_package("x", tmp_path, wanted=WANTED) == read


def test_a_cut_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_: str, folder: Path) -> Path:
        whole = package(folder)
        whole.write_bytes(whole.read_bytes()[:-80])
        return whole

    monkeypatch.setattr(archives, "download_package", cut)
    with pytest.raises(DataError, match="damaged"):
        load_package("x", tmp_path / "cache", wanted=WANTED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_or_failing_apt_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        script = tmp_path / tool
        script.write_text(
            "#!/bin/sh\necho 'W: old' >&2\necho 'E: Unable to locate package x' >&2\nexit 100\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DataError, match=r"'x' \(Unable to locate package x\).*apt-get update"):
        download_package("x", tmp_path)
    monkeypatch.setattr(archives.shutil, "which", lambda _: None)
    with pytest.raises(DataError, match="'x', and apt-get is missing: fetch them on Debian or Ubuntu"):
        download_package("x", tmp_path)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("pack", ["raw", "zlib", "zstd"])
def test_files_of_a_collection_have_their_paths(write_rcc: WriteRcc, version: int, pack: str) -> None:
    files = read_rcc(write_rcc(TREE, version=version, pack=pack))
    assert files == {"a/b.txt": b"hello" * 50, "a/ü/c": b"", "d.bin": bytes(range(256))}


def test_other_files_and_damaged_ones_are_refused(write_rcc: WriteRcc) -> None:
    whole = write_rcc(TREE, pack="zlib")
    with pytest.raises(DataError, match=r"'x\.rcc' is no Qt resource file"):
        read_rcc(b"PK" + whole, "x.rcc")
    with pytest.raises(DataError, match="of version 9"):
        read_rcc(whole[:4] + struct.pack(">I", 9) + whole[8:])
    looped = bytearray(write_rcc({"a": {}}))
    looped[-16:-8] = struct.pack(">2I", 1, 1)  # the folder a, whose only child is a
    for damaged in (bytes(looped), *(whole[:end] for end in range(4, len(whole) - 8))):
        with pytest.raises(DataError, match="damaged"):
            read_rcc(damaged)
    rng = random.Random(0)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[rng.randrange(4, len(whole))] ^= 1 << rng.randrange(8)
        with suppress(DataError):  # nothing else may be raised
            read_rcc(bytes(flipped))
