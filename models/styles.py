"""Styles by name: lists, blends and the null style."""

import difflib
import unicodedata
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import ModelError


def style_index(name: str, names: Sequence[str]) -> int:
    """Returns the index of a style. Raises ModelError for an unknown one, with the nearest name."""
    normal = [_normal(known) for known in names]
    if _normal(name) in normal:
        return normal.index(_normal(name))
    known = f"the styles are {', '.join(names)}" if names else "this generator has none, write 'none'"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not name.strip():
        problem = "a style's name is empty"
    elif name == "all":
        problem = "'all' stands for every style and cannot be combined or weighted"
    else:
        problem = f"unknown style {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    raise ModelError(f"{problem}: {known}.")


def split_styles(text: str, names: Sequence[str]) -> list[str]:
    """Splits a list ("noto,noto=0.3+openmoji=0.7") into texts for `style_weights`. A style whose name holds
    commas is written alone."""
    whole = _normal(text.strip()) in map(_normal, names)
    return [text.strip()] if whole else [part.strip() for part in text.split(",")]


def style_weights(text: str, names: Sequence[str]) -> Float[Tensor, "s"]:
    """Returns the weights of `names` for a name ("noto"), a blend ("noto=0.3+openmoji=0.7") or "none".

        style_weights("noto=0.5+openmoji=0.5", generator.style_names)

    "none" is the null style, all zero. A style that is named like a blend ("ink+wash") is itself.

    Raises ModelError for an unknown style, and for weights that are not numbers, are negative or sum to more
    than 1.
    """
    weights = torch.zeros(len(names))
    if text == "none":
        return weights
    whole = _normal(text) in map(_normal, names)
    for part in [text] if whole else text.split("+"):
        name, equals, value = (part, "", "1") if whole else part.partition("=")
        try:
            weights[style_index(name.strip(), names)] += float(value if equals else 1)
        except ValueError:
            raise ModelError(
                f"the weight {value!r} of style {name!r} is no number: write {name}=0.3."
            ) from None
    if not torch.isfinite(weights).all() or weights.min() < 0 or weights.sum() > 1 + 1e-6:
        raise ModelError(f"the weights in {text!r} must be 0 to 1 and sum to at most 1.")
    return weights


def _normal(text: str) -> str:
    """Unicode NFC, as data sets have it; terminals may send other forms."""
    return unicodedata.normalize("NFC", text)
