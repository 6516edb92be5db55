"""The extractors by name, as on the command line. Packages of the extra `metrics` are imported on use."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch

from ..errors import EvalError
from .extract import Extractor
from .resize import Precision, ResizeName
from .vgg import VggTaps

Builder = Callable[[str | torch.device, Path | None, Precision, ResizeName], Extractor]


def _efficientnet(variant: Literal["lite0", "lite2"]) -> Builder:
    def build(device: str | torch.device, _w: Path | None, precision: Precision, _r: ResizeName) -> Extractor:
        from .efficientnet import EfficientNetLite

        return EfficientNetLite(variant, device, precision=precision)

    return build


def _inception(
    device: str | torch.device, weights: Path | None, precision: Precision, resize: ResizeName
) -> Extractor:
    from .inception import Inception

    return Inception(weights, device, resize=resize, precision=precision)


_BUILDERS: dict[str, Builder] = {
    "efficientnet-lite0": _efficientnet("lite0"),
    "efficientnet-lite2": _efficientnet("lite2"),
    "hed-vgg16": lambda d, w, p, _r: VggTaps.hed(w, d, p),
    "inception": _inception,
    "vgg16": lambda d, w, p, _r: VggTaps.torchvision("vgg16", w, d, p),
    "vgg19": lambda d, w, p, _r: VggTaps.torchvision("vgg19", w, d, p),
}

EXTRACTORS = tuple(_BUILDERS)
"""Names of all extractors. The first is the offline default."""


def build_extractor(
    name: str,
    device: str | torch.device = "cpu",
    *,
    weights: Mapping[str, Path] = MappingProxyType({}),
    precision: Precision = "fp32",
    resize: ResizeName = "clean",
) -> Extractor:
    """The extractor called `name`, with its published weights.

    Args:
        weights: paths of weight files by extractor. Others are searched for and downloaded
            (`models.pretrained.weights.find_weights`).
        precision: arithmetic; part of the protocol.
        resize: filter and normalisation, for inception alone.

    Raises:
        EvalError: the name is unknown.
        ModelError: its weights are not available.
    """
    if name not in _BUILDERS:
        near = difflib.get_close_matches(name, EXTRACTORS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? There are" if near else "take one of"
        raise EvalError(f"There is no extractor {name!r}: {hint} {', '.join(EXTRACTORS)}.")
    return _BUILDERS[name](device, weights.get(name), precision, resize)
