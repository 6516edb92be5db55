"""The extractors by name, as on the command line, and that of HED-VGG16, a network of a second family which
ImageNet's VGG16 was trained on, to find edges. Packages of the extra `metrics` are imported on use."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float32
from torch import Tensor

from brushwork.models.pretrained.hed import DIGEST, FILE, NAME, hed_vgg16
from brushwork.models.pretrained.vgg import Vgg
from brushwork.models.pretrained.weights import weights_folder

from ..errors import EvalError
from .extract import Extractor
from .inception import Inception, ResizeName
from .statistics import SIZE, PooledTaps
from .vision_transformers import NETWORKS, VisionTransformer

EXTRACTORS = ("efficientnet-lite0", "hed-vgg16", "inception", *NETWORKS)
"""Names of all extractors. The first is the offline default."""

TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
"""The last convolutions of four stages, before their rectifiers. After the rectifiers, a tenth of the
channels of small drawings is 0 in nearly all images, and such a channel would dominate once standardised."""


class HedVgg(PooledTaps):
    """Mean and standard deviation over space of four taps of HED-VGG16, 1,920 values an image.

    Its weights are the converted file at `weights`, or that in the cache (`brushwork fetch hed-vgg16`). The
    control is VGG16 with seeded random weights. Raises ModelError for weights that are missing or others.
    """

    def __init__(
        self, weights: Path | None = None, device: str | torch.device = "cpu", *, pretrained: bool = True
    ) -> None:
        network = hed_vgg16(TAPS, weights) if pretrained else Vgg.random("vgg16", TAPS, 0)
        name = NAME if pretrained else "VGG16-random"
        origin = f"{NAME} ({DIGEST[:8]})" if pretrained else "VGG16 (random seed 0)"
        means = "Caffe's means" if pretrained else "ImageNet mean and std"
        super().__init__(
            name.lower(),
            f"{origin}, {SIZE} px bilinear without antialias, {means}",
            ",".join(TAPS),
            channels=960,
            parts=(16, 128),
            device=torch.device(device),
        )
        self._network = network.to(memory_format=torch.channels_last).to(self.device)

    def control(self) -> "HedVgg":
        """The same taps with seeded random weights."""
        return HedVgg(device=self.device, pretrained=False)

    def blocks(self, images: Float32[Tensor, "n 3 h w"]) -> Iterable[Tensor]:
        return self._network((images / 255).contiguous(memory_format=torch.channels_last)).values()


def default_extractors(weights: Mapping[str, Path] = MappingProxyType({})) -> tuple[str, ...]:
    """The evaluators that need no other download: EfficientNet-Lite0, and HED-VGG16 where its file is."""
    hed = weights.get("hed-vgg16") or weights_folder() / FILE
    return EXTRACTORS[: 2 if hed.is_file() else 1]


def build_extractor(
    name: str,
    device: str | torch.device = "cpu",
    *,
    weights: Mapping[str, Path] = MappingProxyType({}),
    resize: ResizeName = "clean",
) -> Extractor:
    """The extractor called `name`, with the published weights at `weights[name]`, or where
    `models.pretrained.weights.find_weights` finds them. `resize` is for inception alone.

    Raises EvalError for an unknown name, and ModelError for weights that are not available.
    """
    if name == "efficientnet-lite0":
        from .efficientnet import EfficientNetLite

        return EfficientNetLite(device)
    if name == "inception":
        return Inception(weights.get(name), device, resize=resize)
    if name in NETWORKS:
        return VisionTransformer(NETWORKS[name], weights.get(name), device)
    if name == "hed-vgg16":
        return HedVgg(weights.get(name), device)
    raise EvalError(f"There is no extractor {name!r}: take one of {', '.join(EXTRACTORS)}.")
