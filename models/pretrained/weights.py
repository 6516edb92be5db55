"""Pretrained weights of others: where they come from, how they are checked, how they are read.

A file is known by its SHA-256. It is given by path, found in the cache folder, or downloaded there. It is
read as plain tensors alone: nothing is ever unpickled that could run its author's code.
"""

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from ..errors import ModelError

CHUNK = 1 << 20
"""Bytes read at once, from a disk or the network."""

PATIENCE = 30.0
"""Seconds that a server may stay silent."""


# Known files
@dataclass(frozen=True, kw_only=True)
class Weights:
    """A published file: `name` is what users call it, `sha256_prefix` how its SHA-256 begins."""

    name: str
    url: str
    sha256_prefix: str
    file: str
    option: str = ""
    """What gives its path on the command line, where that is not --NAME-weights."""
    instead: str = "use an extractor that needs no download (efficientnet-lite0)"
    """What to do without it."""

    @property
    def flag(self) -> str:
        return self.option or f"--{self.name}-weights"


def _of_torchvision(name: str, file: str, option: str = "") -> Weights:
    """Its file names end in the first eight digits of their SHA-256."""
    prefix = file.removesuffix(".pth").rpartition("-")[2]
    url = f"https://download.pytorch.org/models/{file}"
    return Weights(name=name, url=url, sha256_prefix=prefix, file=file, option=option)


INCEPTION = Weights(
    name="inception",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
    file="weights-inception-2015-12-05-6726825d.pth",
)
"""The Inception of 2015-12-05 that the published FID is defined by, converted from TensorFlow."""
VGG16 = _of_torchvision("vgg16", "vgg16-397923af.pth")
VGG19 = _of_torchvision("vgg19", "vgg19-dcbb9e9d.pth")
ALEXNET = _of_torchvision("alexnet", "alexnet-owt-7be5be79.pth", "--lpips-weights")


# Finding
def weights_folder() -> Path:
    """Where downloads are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brushwork" / "weights"


def find_weights(known: Weights, path: Path | None = None, *, download: bool = True) -> Path:
    """The file of `known`: at `path` if given, else in `weights_folder()`, else downloaded to there.

    Raises:
        ModelError: there is no such file, its SHA-256 is another one, or it cannot be fetched (`download`
            False counts as such); the message names the ways out.
    """
    if path is not None:
        if not path.is_file():
            raise ModelError(
                f"{path} does not exist: give the path of the {known.name} weights {known.file}."
            )
        _require_hash(known, path, _sha256(path), "give the right file.")
        return path
    target = weights_folder() / known.file
    if target.is_file():
        _require_hash(known, target, _sha256(target), "delete it, to have it fetched again.")
        return target
    if not download:
        raise ModelError(_unfetched(known, target, "downloads are switched off"))
    try:
        _fetch(known, target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise ModelError(_unfetched(known, target, str(getattr(error, "reason", error)))) from error
    return target


def _unfetched(known: Weights, target: Path, reason: str) -> str:
    return (
        f"The {known.name} weights could not be fetched from {known.url} ({reason}): put that file at "
        f"{target}, pass {known.flag} PATH, or {known.instead}."
    )


def _require_hash(known: Weights, place: Path | str, found: str, remedy: str) -> None:
    if not found.startswith(known.sha256_prefix):
        raise ModelError(
            f"{place} is not the file of the {known.name} weights: its SHA-256 begins "
            f"{found[: len(known.sha256_prefix)]}, not {known.sha256_prefix}; {remedy}"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): mend that, then repeat.") from error
    return digest.hexdigest()


# Downloading
def _fetch(known: Weights, target: Path) -> None:
    """Downloads to a temporary name beside `target`, and renames it once the whole file proved right."""
    with urllib.request.urlopen(known.url, timeout=PATIENCE) as response:
        size = int(response.headers.get("Content-Length") or 0)
        print(
            f"brushwork: fetching the {known.name} weights, {size / 1e6:.0f} MB, from {known.url} to "
            f"{target}; to supply them offline, put the file there or pass {known.flag} PATH.",
            file=sys.stderr,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file:
                digest, received = _copy(response, file, size, known.name)
            if size and received != size:
                raise ConnectionError(f"{received} of {size} bytes came")
            _require_hash(known, known.url, digest, "report it, or give a file that you trust.")
            Path(partial).chmod(0o644)  # mkstemp makes it private; other users share a cache
            os.replace(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)


def _copy(source: Any, sink: Any, size: int, label: str) -> tuple[str, int]:
    """Copies to the end, with a bar; the SHA-256 of what came, and its bytes."""
    digest, received = hashlib.sha256(), 0
    with tqdm(total=size or None, desc=label, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        while chunk := source.read(CHUNK):
            sink.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            bar.update(len(chunk))
    return digest.hexdigest(), received


# Reading
def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict by name, on the CPU: from safetensors, or from what `torch.save` wrote.

    Raises:
        ModelError: the file is damaged, is not a dict of tensors, or needs unpickling.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may trip the readers anywhere
        raise ModelError(
            f"{path} cannot be read as plain tensors ({type(error).__name__}): it is damaged, or holds "
            "pickled objects, which could run code and are never loaded; save the state_dict() alone."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds something other than a dict of tensors: save the state_dict() alone.")
    return {str(name): value for name, value in state.items()}
