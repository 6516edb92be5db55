"""Styles by name: lists, blends and the null style, as commands take them."""

import difflib
import re
import unicodedata
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import ModelError


def style_index(name: str, names: Sequence[str]) -> int:
    """Where a style stands among the names.

    Raises:
        ModelError: there is no such style; the message suggests the nearest name.
    """
    normal = [_normal(known) for known in names]
    if _normal(name) in normal:
        return normal.index(_normal(name))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(f"unknown style {name!r}: {hint}The styles are {', '.join(names)}.")


def split_styles(text: str, names: Sequence[str]) -> list[str]:
    """The names and blends of a list ("noto,noto=0.3+openmoji=0.7"), each as `style_weights` reads it."""
    return _split(text, ",", names)


def style_weights(text: str, names: Sequence[str]) -> Float[Tensor, "s"]:
    """Weights from a name ("noto"), a blend ("noto=0.3+openmoji=0.7") or "none" for the null style.

    An exact name goes before the syntax of blends: where there is a style "ink+wash", it is that.

    Raises:
        ModelError: unknown style, or weights that are no numbers, are negative or exceed one together.
    """
    weights = torch.zeros(len(names))
    if text == "none":
        return weights
    for part in _split(text, "+", names):
        name, weight = _weighted(part, names)
        weights[style_index(name, names)] += weight
    if not torch.isfinite(weights).all() or weights.min() < 0 or weights.sum() > 1 + 1e-6:
        raise ModelError(f"the weights in {text!r} must be 0 to 1 and sum to at most 1.")
    return weights


def _weighted(part: str, names: Sequence[str]) -> tuple[str, float]:
    """A part of a blend: its name, and the number behind the last "=" or else 1."""
    name, found, value = part.rpartition("=")
    if not found or _normal(part) in map(_normal, names):
        return part, 1.0
    try:
        return name.strip(), float(value) if value else 1.0
    except ValueError:
        raise ModelError(f"the weight {value!r} of style {name!r} is no number; write e.g. 0.3.") from None


def _split(text: str, separator: str, names: Sequence[str]) -> list[str]:
    """Splits at a separator, but not within a name. Of names that begin alike the longest is meant."""
    known = "|".join(re.escape(_normal(name)) for name in sorted(names, key=len, reverse=True))
    # A name stands behind the beginning, a comma or a plus, and before the end or one of these or "=".
    whole = rf"(?<![^+,])\s*(?:{known})(?=\s*(?:[+,=]|$))" if known else "(?!)"
    parts = [""]
    for token in re.findall(rf"{whole}|.", _normal(text), re.DOTALL):
        if token == separator:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _normal(text: str) -> str:
    """One spelling of a text (Unicode NFC), as data sets have it: terminals send others."""
    return unicodedata.normalize("NFC", text)
