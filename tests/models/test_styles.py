"""Styles by name."""

import unicodedata

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.styles import split_styles, style_weights

NAMES = ("fluent", "noto", "openmoji")
ODD = ("a", "a,b", "C++", "cafe\u0301", "ink", "ink+wash", "pop=art", "noto", "wash")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("noto", [0, 1, 0]),
        ("none", [0, 0, 0]),
        ("noto=0.3+openmoji=0.7", [0, 0.3, 0.7]),
        ("fluent=0.25", [0.25, 0, 0]),
        ("noto=0.5+noto=0.5", [0, 1, 0]),
        ("fluent=.5 + noto=.5", [0.5, 0.5, 0]),
    ],
)
def test_names_and_blends_become_weights(text: str, weights: list[float]) -> None:
    assert torch.allclose(style_weights(text, NAMES), torch.tensor(weights, dtype=torch.float32))


@pytest.mark.parametrize("name", ODD)
def test_an_exact_name_goes_before_the_syntax_of_blends(name: str) -> None:
    whole = torch.eye(len(ODD))[ODD.index(name)]
    assert torch.equal(style_weights(name, ODD), whole)
    assert torch.equal(style_weights(f"{name}=0.5", ODD), whole / 2)
    blend = style_weights(f"noto=0.25+{name}=0.5 + noto=0.25", ODD)
    assert torch.equal(blend, whole / 2 + torch.eye(len(ODD))[ODD.index("noto")] / 2)
    assert torch.equal(style_weights(unicodedata.normalize("NFC", name), ODD), whole)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("noto, a,b ,ink+wash=0.3+a,b=0.7,none,C++", ["noto", "a,b", "ink+wash=0.3+a,b=0.7", "none", "C++"]),
        ("wash,b,a", ["wash", "b", "a"]),
        ("a,bc", ["a", "bc"]),
        ("noto,", ["noto", ""]),
    ],
)
def test_a_list_is_split_at_commas_outside_names(text: str, parts: list[str]) -> None:
    assert split_styles(text, ODD) == parts


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
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
def test_impossible_styles_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        style_weights(text, NAMES)


def test_without_styles_there_is_only_none() -> None:
    assert style_weights("none", ()).shape == (0,)
    with pytest.raises(ModelError, match="unknown style 'ink': this generator has none, write 'none'"):
        style_weights("ink", ())
