"""Frozen networks whose features style transfer compares."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from brushwork.models.pretrained.hed import hed_vgg16
from brushwork.models.pretrained.vgg import Vgg

from ..errors import TrainingError

Backbone = Literal["vgg19", "vgg16", "hed-vgg16", "random"]

VGG_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_CONTENT = ("relu4_2",)
FEATURE_SCALE = 255 * 0.225
"""Ratio of the features of Caffe's networks, whose inputs are levels 0 to 255, to those of torchvision's,
whose inputs are 0 to 1 divided by about 0.225. All backbones here have torchvision's scale."""


def find_backbone(
    backbone: Backbone, layers: Sequence[str], weights: Path | None = None, *, device: str = "cpu"
) -> Vgg:
    """Load a backbone up to the deepest of `layers`, frozen.

    Raises:
        ModelError: a layer does not exist, or the weights are missing.
        TrainingError: the backbone takes no weights.
    """
    if backbone == "random":
        if weights is not None:
            raise TrainingError(f"{weights} was given, but {backbone} takes no weights: leave --weights out.")
        network = Vgg.random("vgg19", layers)
    elif backbone == "hed-vgg16":
        network = hed_vgg16(layers, weights).with_inputs_divided(FEATURE_SCALE)
    else:
        network = Vgg.from_weights(backbone, layers, weights)
    return to_device(network, device)


def to_device(network: Vgg, device: str) -> Vgg:
    """Move a network to a device, in channels-last format, in which convolutions are faster."""
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
