"""The extractors by name, as on the command line. Packages of the extra `metrics` are imported on use."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from ..errors import EvalError
from .extract import Extractor
from .hed import HedVgg
from .inception import Inception, ResizeName

EXTRACTORS = ("efficientnet-lite0", "hed-vgg16", "inception")
"""Names of all extractors. The first is the offline default."""


def build_extractor(
    name: str,
    device: str | torch.device = "cpu",
    *,
    weights: Mapping[str, Path] = MappingProxyType({}),
    resize: ResizeName = "clean",
) -> Extractor:
    """The extractor called `name`, with its published weights.

    Args:
        weights: paths of weight files by extractor. Others are searched for and downloaded
            (`models.pretrained.weights.find_weights`).
        resize: filter and normalisation, for inception alone.

    Raises:
        EvalError: the name is unknown.
        ModelError: its weights are not available.
    """
    if name == "efficientnet-lite0":
        from .efficientnet import EfficientNetLite

        return EfficientNetLite(device)
    if name == "inception":
        return Inception(weights.get(name), device, resize=resize)
    if name == "hed-vgg16":
        return HedVgg(weights.get(name), device)
    near = difflib.get_close_matches(name, EXTRACTORS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? There are" if near else "take one of"
    raise EvalError(f"There is no extractor {name!r}: {hint} {', '.join(EXTRACTORS)}.")
