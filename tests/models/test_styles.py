"""Styles by name."""

import unicodedata

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.styles import split_styles, style_weights

NAMES = ("fluent", "noto", "openmoji")
ODD = ("a,b", "cafe\u0301", "ink", "ink+wash", "pop=art", "wash")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("noto", [0, 1, 0]),
        ("none", [0, 0, 0]),
        ("fluent=0.25", [0.25, 0, 0]),
        ("noto=0.5+noto=0.5", [0, 1, 0]),
        ("fluent=.3 + noto = .7", [0.3, 0.7, 0]),
        ("notto", r"unknown style 'notto' \(did you mean 'noto'\?\): the styles are fluent, noto, openmoji"),
        ("xyz", "unknown style 'xyz': the styles are fluent, noto, openmoji"),
        ("noto=half", "the weight 'half' of style 'noto' is no number"),
        ("noto=", "the weight '' of style 'noto' is no number"),
        ("noto+openmoji", "sum to at most 1"),
        *((f"noto={weight}", "0 to 1") for weight in ("-0.5", "nan", "1.5")),
        *((text, "a style's name is empty: the styles are fluent") for text in ("", "noto=0.5+", "=0.5")),
        *((text, "'all' stands for every style and cannot be comb") for text in ("all", "all=1")),
    ],
)
def test_names_and_blends_become_weights(text: str, weights: list[float] | str) -> None:
    if isinstance(weights, list):
        assert torch.allclose(style_weights(text, NAMES), torch.tensor(weights, dtype=torch.float32))
        return
    with pytest.raises(ModelError, match=weights):
        style_weights(text, NAMES)


@pytest.mark.parametrize("name", ODD)
def test_an_exact_name_goes_before_the_syntax(name: str) -> None:
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, name)
        assert torch.equal(style_weights(text, ODD), torch.eye(len(ODD))[ODD.index(name)])
        assert split_styles(f" {text} ", ODD) == [text]
    assert split_styles("noto, ink=0.3+wash=0.7,none,", ODD) == ["noto", "ink=0.3+wash=0.7", "none", ""]


def test_without_styles_there_is_only_none() -> None:
    assert style_weights("none", ()).shape == (0,)
    with pytest.raises(ModelError, match="unknown style 'ink': this generator has none, write 'none'"):
        style_weights("ink", ())
