from brushwork.data.lettering import draw_text, readable


def test_letters_of_the_font_stay_and_others_are_escaped() -> None:
    for text in ("Ж", "é", "ψ", "عربي"):
        assert readable(text) == text
    assert readable("日é x\n\udce9") == "\\u65e5é x\\n\\udce9"
    assert len({draw_text(text, 16).tobytes() for text in ("a", "Ж", "ψ", "日", "")}) == 5
