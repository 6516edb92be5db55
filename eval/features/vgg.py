"""Taps of VGG networks as extractors: torchvision's VGG16 and VGG19, and HED-VGG16."""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.models.pretrained.hed import DIGEST, NAME, hed_vgg16
from brushwork.models.pretrained.vgg import PUBLISHED, Architecture, Vgg

from .resize import Precision
from .statistics import PooledTaps

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The taps of AdaIN, and of Gatys' style."""

HED_TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
"""The last convolutions of four stages, before their rectifiers. After the rectifiers, a tenth of the
channels of small drawings is 0 in nearly all images, and such a channel would dominate once standardised."""

INPUT = "64 px bilinear without antialias"
SIZE = 64


class VggTaps(PooledTaps):
    """Mean and standard deviation over space of taps of a VGG network.

    VGG is no evaluator for models with VGG in their training loss.
    """

    def __init__(
        self,
        network: Vgg,
        name: str,
        words: str,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        """`words` is the part of the protocol about weights and input."""
        device = torch.device(device)
        self._network = network.to(memory_format=torch.channels_last).to(device)
        black = torch.zeros(1, 3, 32, 32, device=device)
        channels = sum(maps.shape[1] for maps in self._maps(black))
        super().__init__(
            name, words, ",".join(network.taps), channels=channels, parts=(16, 128), device=device,
            precision=precision,
        )  # fmt: skip

    @classmethod
    def torchvision(
        cls,
        arch: Architecture,
        weights: Path | None = None,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "VggTaps":
        """With ImageNet's weights from `weights`, or as `models.pretrained.weights.find_weights` finds them.

        Raises ModelError for weights that are missing or are not the published file.
        """
        network = Vgg.from_weights(arch, TAPS, weights)
        return cls(
            network, arch, _words(arch, f"imagenet {PUBLISHED[arch].sha256_prefix}"), device, precision
        )

    @classmethod
    def hed(
        cls,
        weights: Path | None = None,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "VggTaps":
        """HED-VGG16, 1,920 values an image, trained on ImageNet and then on edges. Its weights are the
        converted file at `weights`, or that in the cache (`brushwork fetch hed-vgg16`).

        Raises ModelError for weights that are missing or are not this file.
        """
        words = f"{NAME} ({DIGEST[:8]}), {INPUT}, Caffe's means"
        return cls(hed_vgg16(HED_TAPS, weights), NAME.lower(), words, device, precision)

    def control(self) -> "VggTaps":
        """The same taps with seeded random weights."""
        arch = self._network.arch
        network = Vgg.random(arch, self._network.taps, 0)
        return VggTaps(network, f"{arch}-random", _words(arch, "random seed 0"), self.device, self.precision)

    def _maps(self, images: Tensor) -> Iterable[Tensor]:
        x = F.interpolate(images.float() / 255, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        return self._network(x.contiguous(memory_format=torch.channels_last)).values()


def _words(arch: Architecture, weights: str) -> str:
    return f"{arch.upper()} ({weights}), {INPUT}, ImageNet mean and std"
