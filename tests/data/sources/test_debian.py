import re
import shutil
import subprocess
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources import debian
from brushwork.data.sources.debian import download_package, load_package

WANTED = re.compile(r"usr/share/.*\.txt")


def package(folder: Path) -> Path:
    """Builds a package of two files."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    tree = folder / "tree"
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
    monkeypatch.setattr(debian, "download_package", lambda _, folder: package(folder))
    read = load_package("x", tmp_path, wanted=WANTED)
    assert (read.version, read.files) == ("1.2-3", {"usr/share/a.txt": b"hello"})
    monkeypatch.setattr(debian, "download_package", lambda *_: pytest.fail("it was there"))
    assert load_package("x", tmp_path, wanted=WANTED) == read


def test_a_cut_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_: str, folder: Path) -> Path:
        whole = package(folder)
        whole.write_bytes(whole.read_bytes()[:-80])
        return whole

    monkeypatch.setattr(debian, "download_package", cut)
    with pytest.raises(DataError, match="damaged"):
        load_package("x", tmp_path / "cache", wanted=WANTED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_apt_the_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    with pytest.raises(DataError, match="'x', and apt-get is missing: fetch them on Debian or Ubuntu"):
        download_package("x", tmp_path)


def test_a_failing_apt_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        script = tmp_path / tool
        script.write_text(
            "#!/bin/sh\necho 'W: old' >&2\necho 'E: Unable to locate package x' >&2\nexit 100\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DataError, match=r"'x' \(Unable to locate package x\).*apt-get update"):
        download_package("x", tmp_path)
