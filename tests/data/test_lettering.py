"""Labels in any script: in a font that has the letters, or escaped."""

import numpy as np
import pytest

from brushwork.data.images import image_grid
from brushwork.data.lettering import draw_text, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((text, text) for text in ("Ж", "é", "ψ", "عربي")),
        ("日é x\n", "\\u65e5é x\\n"),
        ("👨\u200d👩\ufe0f", "\\U0001f468\u200d\\U0001f469\ufe0f"),
        ("日\U000e0100", "\\u65e5"),
    ],
)
def test_letters_of_the_font_stay_and_others_are_escaped(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_other_letters_are_drawn_otherwise() -> None:
    drawn = {draw_text(text, 16).tobytes() for text in ("a", "Ж", "ψ", "日", "")}
    assert len(drawn) == 5


def test_a_grid_takes_any_label() -> None:
    cell = np.full((16, 16, 3), 255, np.uint8)
    odd = "日\nЖ\u0301 \udce9 👨\u200d👩"
    grid = image_grid([[cell]], row_labels=[odd], column_labels=[odd], title=odd)
    assert np.asarray(grid).min() < 100
