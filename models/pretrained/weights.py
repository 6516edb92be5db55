"""Published weights, identified by their SHA-256: given by path, found in the cache folder, or downloaded to
there. Files are read as plain tensors; nothing is unpickled that could run code."""

import hashlib
import http.client
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.hub import download_url_to_file

from ..errors import ModelError

TIMEOUT = 30.0
"""Seconds that a server may stay silent."""


# Known files
@dataclass(frozen=True, kw_only=True)
class Weights:
    """A published file of the network `name`, whose SHA-256 begins with `sha256_prefix`."""

    name: str
    url: str
    sha256_prefix: str
    file: str
    option: str = ""
    """The command-line option for its path, by default --weights NAME=PATH."""
    instead: str = "use an extractor that needs no download (efficientnet-lite0)"
    """Advice for users without the file."""

    @property
    def flag(self) -> str:
        return self.option or f"--weights {self.name}=PATH"


def _published(name: str, url: str, option: str = "") -> Weights:
    """The name of a published file ends in the first eight digits of its SHA-256."""
    file = url.rpartition("/")[2]
    prefix = file.removesuffix(".pth").rpartition("-")[2]
    return Weights(name=name, url=url, sha256_prefix=prefix, file=file, option=option)


FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
TORCHVISION = "https://download.pytorch.org/models"

INCEPTION = _published("inception", f"{FIDELITY}/weights-inception-2015-12-05-6726825d.pth")
"""The Inception network of 2015-12-05 that defines the published FID, converted from TensorFlow."""
VGG16 = _published("vgg16", f"{TORCHVISION}/vgg16-397923af.pth", "--weights")
VGG19 = _published("vgg19", f"{TORCHVISION}/vgg19-dcbb9e9d.pth", "--weights")
ALEXNET = _published("alexnet", f"{TORCHVISION}/alexnet-owt-7be5be79.pth", "--weights lpips=PATH")


# Finding
def weights_folder() -> Path:
    """The cache of downloads: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brushwork" / "weights"


def find_weights(known: Weights, path: Path | None = None) -> Path:
    """Returns the file of `known`: `path` if given, else from `weights_folder()`, else downloaded to there.

    Raises ModelError if there is no such file, if its SHA-256 is wrong, and if it cannot be downloaded.
    """
    if path is not None:
        if not path.is_file():
            raise ModelError(
                f"{path} does not exist: give the path of the {known.name} weights {known.file}."
            )
        return _with_hash(known, path, "give the right file.")
    target = weights_folder() / known.file
    if target.is_file():
        return _with_hash(known, target, "delete it, to have it fetched again.")
    try:
        _fetch(known, target)
    except (OSError, http.client.HTTPException, RuntimeError) as error:  # the last for another SHA-256
        raise ModelError(
            f"The {known.name} weights could not be fetched from {known.url} "
            f"({getattr(error, 'reason', error)}): put that file at {target}, pass {known.flag}, or "
            f"{known.instead}."
        ) from error
    return target


def _with_hash(known: Weights, path: Path, remedy: str) -> Path:
    """Returns the path of a file that has the right SHA-256."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): mend that, then repeat.") from error
    begins = digest.hexdigest()[: len(known.sha256_prefix)]
    if begins != known.sha256_prefix:
        raise ModelError(
            f"{path} is not the file of the {known.name} weights: its SHA-256 begins {begins}, not "
            f"{known.sha256_prefix}; {remedy}"
        )
    return path


# Downloading
def _fetch(known: Weights, target: Path) -> None:
    """Downloads to a temporary name beside `target`, which is renamed once the SHA-256 is right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    print(
        f"brushwork: fetching the {known.name} weights from {known.url} to {target}; to supply them offline, "
        f"put the file there or pass {known.flag}.",
        file=sys.stderr,
    )
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        download_url_to_file(known.url, str(target), known.sha256_prefix, progress=sys.stderr.isatty())
    finally:
        socket.setdefaulttimeout(before)


# Reading
def load_state(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a state dict, on the CPU, from safetensors or a file of `torch.save`.

    Raises ModelError if the file is damaged, is not a dict of tensors, or needs unpickling.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise ModelError(
            f"{path} cannot be read as plain tensors ({type(error).__name__}): it is damaged, or holds "
            "pickled objects, which could run code and are never loaded; save the state_dict() alone."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds something other than a dict of tensors: save the state_dict() alone.")
    return {str(name): value for name, value in state.items()}
