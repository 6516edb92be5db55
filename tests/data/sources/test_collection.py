"""The state of a fetched folder, and its downloads."""

import sys
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources.collection import Fetched, cache_of, fetch_once, read_download

SETTINGS = {"size": 32, "styles": ["a", "b"]}
DONE = Fetched(subjects=3, pictures=6)


def never() -> Fetched:
    raise AssertionError("it was there")


def interrupted() -> Fetched:
    raise KeyboardInterrupt


def test_a_finished_folder_is_recognised_and_keeps_its_settings(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch_once(tmp_path, SETTINGS, interrupted)
    with pytest.raises(DataError, match="fetched with size 32, not 64: name another folder"):
        fetch_once(tmp_path, SETTINGS | {"size": 64}, never)
    assert fetch_once(tmp_path, SETTINGS, lambda: DONE) == DONE
    assert fetch_once(tmp_path, SETTINGS, never) == DONE
    with pytest.raises(DataError, match="fetched with size 32, not 64: name another folder"):
        fetch_once(tmp_path, SETTINGS | {"size": 64}, never)


@pytest.mark.parametrize(
    "text", ["[]", "null", "{", "", '{"size": 32, "styles": ["a", "b"], "finished": true, "subjects": "3"}']
)
def test_a_damaged_state_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    state = cache_of(tmp_path) / "state.json"
    state.parent.mkdir()
    state.write_text(text)
    with pytest.raises(DataError, match=r"state.json' is damaged .*: delete it and repeat the command"):
        fetch_once(tmp_path, SETTINGS, never)


def refuse(path: Path) -> str:
    raise DataError(f"'{path.name}' is damaged")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, "x"]


def test_a_download_is_kept_once_it_was_read(tmp_path: Path) -> None:
    path, write = tmp_path / "cache" / "x.txt", python("open('1.txt', 'w').write('content')")
    with pytest.raises(DataError, match=r"'1\.txt' is damaged"):
        read_download(path, write, refuse, remedy="")
    assert list(path.parent.iterdir()) == []
    assert read_download(path, write, Path.read_text, remedy="") == "content"
    assert read_download(path, ["no such command"], Path.read_text, remedy="") == "content"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("errors", "cause"),
    [
        ("W: old\\nE: no package\\nE: more", "E: no package"),
        ("npm warn old\\nnpm error code E404\\nend", "npm error code E404"),
        ("first\\nlast", "last"),
        ("", "exit code 3"),
    ],
)
def test_a_failing_download_is_quoted(tmp_path: Path, errors: str, cause: str) -> None:
    fail = python(f"import sys; sys.stderr.write('{errors}'); sys.exit(3)")
    with pytest.raises(DataError, match=rf"^Downloading 'x' failed \({cause}\): try again\.$"):
        read_download(tmp_path / "x", fail, Path.read_text, remedy="try again")
