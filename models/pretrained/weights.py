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


# Known files
@dataclass(frozen=True)
class Weights:
    """A published file of the network `name`."""

    name: str
    url: str
    """Empty where there is no address from which it can be fetched."""
    sha256_prefix: str
    """How its SHA-256 begins; empty where that is not published."""
    kept_as: str = ""
    """Its name in the cache, if not that of the address."""

    @property
    def file(self) -> str:
        return self.kept_as or self.url.rpartition("/")[2]


FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
TORCHVISION = "https://download.pytorch.org/models"
DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"
HUB = "https://huggingface.co"

INCEPTION = Weights("inception", f"{FIDELITY}/weights-inception-2015-12-05-6726825d.pth", "6726825d")
"""The Inception network of 2015-12-05 that defines the published FID, converted from TensorFlow."""
VGG16 = Weights("vgg16", f"{TORCHVISION}/vgg16-397923af.pth", "397923af")
VGG19 = Weights("vgg19", f"{TORCHVISION}/vgg19-dcbb9e9d.pth", "dcbb9e9d")
ALEXNET = Weights("alexnet", f"{TORCHVISION}/alexnet-owt-7be5be79.pth", "7be5be79")
DINOV2_L = Weights("dinov2-l", f"{DINOV2}/dinov2_vitl14/dinov2_vitl14_pretrain.pth", "")
DINOV2_B = Weights("dinov2-b", f"{DINOV2}/dinov2_vitb14/dinov2_vitb14_pretrain.pth", "")
CLIP = Weights(
    "clip", f"{HUB}/openai/clip-vit-large-patch14-336/resolve/main/pytorch_model.bin", "",
    kept_as="clip-vit-large-patch14-336.bin",
)  # fmt: skip
CSD = Weights("csd", "", "")


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
            raise ModelError(f"{path} does not exist: give the {known.name} weights {known.file}.")
        return _with_hash(known, path, "give the right file.")
    if not known.url:
        raise ModelError(
            f"The {known.name} weights are not fetched: give their file by --weights {known.name}=FILE."
        )
    target = weights_folder() / known.file
    if target.is_file():
        return _with_hash(known, target, "delete it, to have it fetched again.")
    try:
        _fetch(known, target)
    except (OSError, http.client.HTTPException, RuntimeError) as error:  # the last for another SHA-256
        raise ModelError(
            f"The {known.name} weights could not be fetched from {known.url} "
            f"({getattr(error, 'reason', error)}): put that file at {target}, or take hed-vgg16 "
            "(`brushwork fetch hed-vgg16`) or, to measure, efficientnet-lite0."
        ) from error
    return target


def _with_hash(known: Weights, path: Path, remedy: str) -> Path:
    """Returns the path of a file that has the right SHA-256."""
    begins = file_digest(path)[: len(known.sha256_prefix)] if known.sha256_prefix else ""
    if begins != known.sha256_prefix:
        raise ModelError(
            f"{path} is not the file of the {known.name} weights: its SHA-256 begins {begins}, not "
            f"{known.sha256_prefix}; {remedy}"
        )
    return path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Downloading
def _fetch(known: Weights, target: Path) -> None:
    """Downloads to a temporary name beside `target`, which is renamed once the SHA-256 is right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    print(
        f"brushwork: fetching the {known.name} weights from {known.url} to {target}; to supply them offline, "
        "put the file there.",
        file=sys.stderr,
    )
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30.0)  # seconds that a server may stay silent
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
