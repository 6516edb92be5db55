"""Styles by name."""

import unicodedata

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.styles import split_styles, style_index, style_weights

NAMES = ("fluent", "noto", "openmoji")


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
def test_style_weights_are_read(text: str, weights: list[float]) -> None:
    assert torch.allclose(style_weights(text, NAMES), torch.tensor(weights, dtype=torch.float32))


@pytest.mark.parametrize(
    ("name", "near"), [("notto", "noto"), ("open-moji", "openmoji"), ("flunt", "fluent")]
)
def test_an_unknown_style_gets_the_nearest_name_suggested(name: str, near: str) -> None:
    with pytest.raises(ModelError, match=f"unknown style '{name}': did you mean '{near}'"):
        style_weights(name, NAMES)


ODD = ("a", "a,b", "C++", "cafe\u0301", "ink", "ink+wash", "pop=art", "noto", "wash")


@pytest.mark.parametrize("name", ODD)
def test_an_exact_name_goes_before_the_syntax_of_blends(name: str) -> None:
    whole = torch.eye(len(ODD))[ODD.index(name)]
    assert torch.equal(style_weights(name, ODD), whole)
    assert torch.equal(style_weights(f"{name}=0.5", ODD), whole / 2)
    blend = style_weights(f"noto=0.25+{name}=0.5 + noto=0.25", ODD)
    assert torch.equal(blend, whole / 2 + torch.eye(len(ODD))[ODD.index("noto")] / 2)
    assert torch.equal(style_weights(unicodedata.normalize("NFC", name), ODD), whole)


def test_a_list_is_split_at_commas_that_are_in_no_name() -> None:
    assert split_styles("noto, a,b ,ink+wash=0.3+a,b=0.7,none,C++", ODD) == [
        "noto", "a,b", "ink+wash=0.3+a,b=0.7", "none", "C++",
    ]  # fmt: skip
    assert split_styles("wash,b,a", ODD) == ["wash", "b", "a"]
    assert split_styles("a,bc", ODD) == ["a", "bc"], "the name must end there"
    assert split_styles("noto,", ODD) == ["noto", ""]
    assert split_styles("x,y", ()) == ["x", "y"]
    everything = sorted(ODD, reverse=True)
    assert split_styles(",".join(everything), ODD) == [
        unicodedata.normalize("NFC", one) for one in everything
    ]


def test_a_style_like_no_other_gets_the_list() -> None:
    with pytest.raises(ModelError, match="'xyz': The styles are fluent, noto, openmoji"):
        style_index("xyz", NAMES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("noto=half", "the weight 'half' of style 'noto' is no number"),
        ("noto+openmoji", "sum to at most 1"),
        ("noto=-0.5", "0 to 1"),
        ("noto=nan", "0 to 1"),
        ("noto=1.5", "0 to 1"),
        ("", "unknown style ''"),
        ("noto=0.5+", "unknown style ''"),
    ],
)
def test_impossible_weights_are_named(text: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        style_weights(text, NAMES)
