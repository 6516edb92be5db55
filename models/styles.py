"""Styles by name: lists, blends and the null style."""

import difflib
import re
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
    """Splits a list ("noto,noto=0.3+openmoji=0.7") into texts for `style_weights`."""
    return _split(text, ",", names)


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
    for part in _split(text, "+", names):
        name, weight = _weighted(part, names)
        weights[style_index(name, names)] += weight
    if not torch.isfinite(weights).all() or weights.min() < 0 or weights.sum() > 1 + 1e-6:
        raise ModelError(f"the weights in {text!r} must be 0 to 1 and sum to at most 1.")
    return weights


def _weighted(part: str, names: Sequence[str]) -> tuple[str, float]:
    """Splits a part of a blend into its name and the weight after the last "=", by default 1."""
    name, equals, value = part.rpartition("=")
    if not equals or _normal(part) in map(_normal, names):
        return part, 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        raise ModelError(f"the weight {value!r} of style {name!r} is no number: write {name}=0.3.") from None


def _split(text: str, separator: str, names: Sequence[str]) -> list[str]:
    """Splits at a separator, but not within a name. If several names match, the longest does."""
    known = "|".join(re.escape(_normal(name)) for name in sorted(names, key=len, reverse=True))
    # A name follows the start, a comma or a plus, and precedes the end, a comma, a plus or "=".
    whole = rf"(?<![^+,])\s*(?:{known})(?=\s*(?:[+,=]|$))" if known else "(?!)"
    parts = [""]
    for token in re.findall(rf"{whole}|.", _normal(text), re.DOTALL):
        if token == separator:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _normal(text: str) -> str:
    """Unicode NFC, as data sets have it; terminals may send other forms."""
    return unicodedata.normalize("NFC", text)
