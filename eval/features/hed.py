"""HED-VGG16's maps as an extractor: an evaluator of another family than EfficientNet, without a download from
any other server than that of the packages."""

from collections.abc import Sequence
from pathlib import Path

import torch

from brushwork.models.pretrained.hed import DIGEST, NAME, hed_vgg16

from .resize import Precision
from .vgg import VggTaps

TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
"""The last convolutions of four stages, before their rectifiers. A tenth of the rectified channels of small
drawings is 0 in all of them or in all but a few: standardised, such a channel outweighs all others where it
is not 0. Before the rectifiers there are none."""


class HedTaps(VggTaps):
    """Mean and standard deviation over space of taps of HED-VGG16 (`models.hed`): 1,920 values a picture.

    Its weights were trained on ImageNet and then to find edges, so it sees strokes and contours well.
    """

    def __init__(
        self,
        weights: Path | None = None,
        device: str | torch.device = "cpu",
        *,
        taps: Sequence[str] = TAPS,
        size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        """Takes the converted file at `weights`, or that in the cache (`brushwork fetch hed-vgg16`).

        Raises ModelError for taps that VGG16 has not, and for weights that are not there or are others.
        """
        network = hed_vgg16(taps, weights)
        words = f"{NAME} ({DIGEST[:8]}), {size} px bilinear without antialias, Caffe's means"
        self._take(network, NAME.lower(), words, torch.device(device), size, precision)
