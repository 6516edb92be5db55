"""Labels in any script: in a font that has the letters, or escaped."""

import numpy as np
import pytest

from brushwork.data import lettering
from brushwork.data.images import image_grid
from brushwork.data.lettering import label, readable


@pytest.mark.parametrize("text", ["Ж", "é", "ψ", "عربي"])
def test_letters_of_dejavu_stay(text: str) -> None:
    assert label(text, 16).text == text
    assert readable(text) == text


def test_letters_that_no_font_has_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_fonts", lambda: iter([lettering._dejavu()]))
    lettering._best_font.cache_clear()
    try:
        assert label("日 x\n", 16).text == "\\u65e5 x\\n"
        joined = label("👨\u200d👩", 16).text
        assert joined.replace("\u200d", "") == "\\U0001f468\\U0001f469"
    finally:
        lettering._best_font.cache_clear()
    assert readable("日é") == "\\u65e5é"


def test_a_grid_takes_any_label() -> None:
    cell = np.full((16, 16, 3), 255, np.uint8)
    odd = "日\nЖ\u0301 \udce9 👨\u200d👩"
    grid = image_grid([[cell]], row_labels=[odd], column_labels=[odd], title=odd)
    assert np.asarray(grid).min() < 100
