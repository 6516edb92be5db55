"""Labels in any script: in a font that has the letters, or escaped."""

import pytest

from brushwork.data.lettering import draw_text, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [*((text, text) for text in ("Ж", "é", "ψ", "عربي")), ("日é x\n\udce9", "\\u65e5é x\\n\\udce9")],
)
def test_letters_of_the_font_stay_and_others_are_escaped(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_other_letters_are_drawn_otherwise() -> None:
    assert len({draw_text(text, 16).tobytes() for text in ("a", "Ж", "ψ", "日", "")}) == 5
