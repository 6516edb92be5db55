"""VGG's maps as an extractor: the features that style transfer has been judged by."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from brushwork.models.pretrained.vgg import PUBLISHED, Architecture, Vgg

from .extract import Pixels
from .resize import PRECISION_WORDS, Precision, in_parts
from .statistics import pooled

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The taps of AdaIN, and of Gatys' style."""


class VggTaps:
    """Mean and standard deviation over space of taps of VGG16 or VGG19: an extractor, and one of maps.

    With `pretrained=False` the same taps have seeded random weights: the control, which needs no file. What
    was trained with VGG in its loss is for others to judge.
    """

    standardised = True

    def __init__(
        self,
        arch: Architecture = "vgg16",
        weights: Path | None = None,
        device: str | torch.device = "cpu",
        *,
        taps: Sequence[str] = TAPS,
        pretrained: bool = True,
        seed: int = 0,
        size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        """Takes torchvision's file at `weights`, or looks for it (`models.weights.find_weights`).

        Raises ModelError for taps that `arch` has not, and for weights that are not there or are others.
        """
        network = Vgg.from_weights(arch, taps, weights) if pretrained else Vgg.random(arch, taps, seed)
        origin = f"imagenet {PUBLISHED[arch].sha256_prefix}" if pretrained else f"random seed {seed}"
        words = f"{arch.upper()} ({origin}), {size} px bilinear without antialias, ImageNet mean and std"
        name = arch if pretrained else f"{arch}-random"
        self._take(network, name, words, torch.device(device), size, precision)

    def _take(
        self, network: Vgg, name: str, words: str, device: torch.device, size: int, precision: Precision
    ) -> None:
        """Measures with this network; `words` are what the protocol says of its weights and its input."""
        self.name, self.device, self.size = name, device, size
        self.precision: Precision = precision
        self._network = network.to(memory_format=torch.channels_last).to(device)
        where = f"{','.join(network.taps)}, {PRECISION_WORDS[precision]}"
        self.protocol = f"{words}, mean+std over space of {where}"
        self.maps_protocol = f"{words}, {where}"
        channels = [maps.shape[1] for maps in self.maps(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))]
        self.dim = 2 * sum(channels)

    def control(self, seed: int = 0) -> "VggTaps":
        """The same taps with seeded random weights."""
        return VggTaps(
            self._network.arch, device=self.device, taps=self._network.taps, pretrained=False, seed=seed,
            size=self.size, precision=self.precision,
        )  # fmt: skip

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU of pictures of any size, whose values 0..255 are sRGB: per tap its means, then
        its standard deviations."""
        (features,) = in_parts(
            self._features, images, device=self.device, part=self._part, precision=self.precision
        )
        return features

    def maps(self, images: Pixels) -> tuple[Float32[Tensor, "n _c _h _w"], ...]:
        """The maps of the taps, from shallow to deep, on the CPU."""
        return in_parts(self._maps, images, device=self.device, part=self._part, precision=self.precision)

    @property
    def _part(self) -> int:
        return 16 if self.device.type == "cpu" else 128

    def _features(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat([pooled(maps.float()) for maps in self._maps(images)], dim=1),)

    def _maps(self, images: Tensor) -> tuple[Tensor, ...]:
        size = (self.size, self.size)
        x = F.interpolate(images.float() / 255, size=size, mode="bilinear", align_corners=False)
        return tuple(self._network(x.contiguous(memory_format=torch.channels_last)).values())
