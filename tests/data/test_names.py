import re
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brushwork.data.names import (
    file_name,
    file_path,
    is_selectable,
    markdown_cell,
    name_of_file,
    unique_names,
)

names = st.text(st.characters() | st.sampled_from("._- /\\%:+=,|\né"), min_size=1, max_size=20)


@given(names, names)
@example("a/b", "a%2Fb")
@example("%", "")
def test_other_names_are_other_files(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (normalize("NFC", one) == normalize("NFC", other))


@given(names)
@example("a%2Fb")
def test_a_file_name_is_one_part_of_a_path_that_can_be_read_back(name: str) -> None:
    found = file_name(name)
    assert Path(found).parts == (found,)
    assert found.encode()
    assert not found.startswith(".")
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', found)
    assert name_of_file(found) == normalize("NFC", name) or not name.isprintable()


@pytest.mark.parametrize(
    ("text", "path"),
    [("a/b", "a/b"), ("../../etc/x", "%2E%2E/%2E%2E/etc/x"), ("/x", "%2F/x"), (".x.", "%2Ex%2E"),
     ("a:b\n?", "a%3Ab%0A%3F"), ("naïve=1+é, ü 😀", "naïve=1+é, ü 😀"), ("a//b/.", "a/b"),
     ("cafe\u0301", "café"), ("\udce9", "%ED%B3%A9")],
)  # fmt: skip
def test_names_stay_below_their_folder_and_readable(text: str, path: str) -> None:
    assert file_path(text) == path


def test_repeated_names_are_numbered_whatever_their_case() -> None:
    assert unique_names(["contents", "x"], taken=["Contents"]) == ["contents-2", "x"]
    assert unique_names(["a", "A", "a-2", "a"]) == ["a", "A-2", "a-2-2", "a-3"]


def test_names_that_commands_can_select() -> None:
    odd = ["all", "none", "(no label)", " a", "a ", "-a", "a\nb", "a\u2028b", "\udce9"]
    assert not any(map(is_selectable, odd))
    fine = ["Art Nouveau", "ink+wash", "pop=art", "Paris, 1900", "日本", "👨‍👩‍👧", "All", "no.1"]
    assert all(map(is_selectable, fine))


def test_tables_keep_their_rows_and_cells() -> None:
    assert markdown_cell("z1\nline|pi`pe<b>*_") == r"z1\\nline\|pi\`pe\<b>\*_"
    assert markdown_cell("caf\udce9\u202e") == r"caf\\udce9\\u202e"
    assert markdown_cell("e\u0301") == "e\u0301"
