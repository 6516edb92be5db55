"""Files out of a Debian package, without installing it and without root."""

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

DOWNLOAD_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Package:
    """The version of a package, and the content of some of its files by their paths."""

    version: str
    files: dict[str, bytes]


def load_package(name: str, cache: Path, *, wanted: re.Pattern[str]) -> Package:
    """Reads the files whose whole path `wanted` matches, after downloading the package into `cache`.

    Raises:
        DataError: no apt-get, no network, no such package, or a damaged file.
    """
    archive = cache / f"{name}.deb"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as directory:
            fresh = download_package(name, Path(directory))
            read_package(fresh, wanted)  # a package that cannot be read to its end must not enter the cache
            fresh.replace(archive)
    return read_package(archive, wanted)


def download_package(name: str, directory: Path) -> Path:
    """Downloads a package into the empty `directory`, and returns the `.deb` file."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(
                f"The pictures are in the Debian package '{name}', and {tool} is missing: fetch them on "
                "Debian or Ubuntu, then copy the folder."
            )
    try:
        done = subprocess.run(
            ["apt-get", "download", name],
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"Downloading '{name}' took over {DOWNLOAD_SECONDS} s: check the network and repeat the command."
        ) from error
    found = list(directory.glob("*.deb"))
    if done.returncode or not found:
        causes = [line.removeprefix("E: ") for line in done.stderr.splitlines() if line.startswith("E: ")]
        cause = causes[0] if causes else f"exit code {done.returncode}"
        raise DataError(
            f"apt-get could not download '{name}' ({cause}): check the network, run `apt-get update`, then "
            "repeat the command."
        )
    return found[0]


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
