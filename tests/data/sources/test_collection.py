"""The state of a fetched folder."""

from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources.collection import Fetched, cache_of, claim_folder, finish_folder

SETTINGS = {"size": 32, "styles": ["a", "b"]}


def test_a_finished_folder_is_recognised_and_keeps_its_settings(tmp_path: Path) -> None:
    assert claim_folder(tmp_path, ("a", "b"), SETTINGS) is None
    assert claim_folder(tmp_path, ("a", "b"), SETTINGS) is None, "begun, not finished"
    done = Fetched(directory=tmp_path, styles=("a", "b"), subjects=3, pictures=6, written=0)
    finish_folder(done, SETTINGS)
    assert claim_folder(tmp_path, ("a", "b"), SETTINGS) == done
    with pytest.raises(DataError, match="fetched with size 32, not 64: name another folder"):
        claim_folder(tmp_path, ("a", "b"), SETTINGS | {"size": 64})


@pytest.mark.parametrize(
    "text", ["[]", "null", "{", "", '{"size": 32, "styles": ["a", "b"], "finished": true, "subjects": "3"}']
)
def test_a_damaged_state_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    state = cache_of(tmp_path) / "state.json"
    state.parent.mkdir()
    state.write_text(text)
    with pytest.raises(DataError, match=r"state.json' is damaged .*: delete it and repeat the command"):
        claim_folder(tmp_path, ("a", "b"), SETTINGS)
