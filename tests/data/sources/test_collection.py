"""The state of a fetched folder, and its downloads."""

import sys
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources.collection import STATE, Fetched, fetch_once, read_download

SETTINGS = {"size": 32, "styles": ["a", "b"]}
DONE = Fetched(subjects=3, images=6)


def never() -> Fetched:
    raise AssertionError("it was there")


def interrupted() -> Fetched:
    raise KeyboardInterrupt


def test_a_finished_folder_is_recognised_and_keeps_its_settings(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch_once(tmp_path, SETTINGS, interrupted)
    for fetch in (lambda: DONE, never):
        with pytest.raises(DataError, match="fetched with size 32, not 64: name another folder"):
            fetch_once(tmp_path, SETTINGS | {"size": 64}, never)
        assert fetch_once(tmp_path, SETTINGS, fetch) == DONE
    for damaged in ("[]", "{", ""):
        (tmp_path / STATE).write_text(damaged)
        with pytest.raises(DataError, match=r"state.json' is damaged .*: delete it and repeat the command"):
            fetch_once(tmp_path, SETTINGS, never)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, "x"]


def test_a_download_is_read() -> None:
    write = python("open('1.txt', 'w').write('content')")
    assert read_download(write, Path.read_text, remedy="") == "content"


@pytest.mark.parametrize(
    ("errors", "cause"),
    [
        ("W: old\\nE: no package\\nE: more", "E: no package"),
        ("npm warn old\\nnpm error code E404\\nend", "npm error code E404"),
        ("first\\nlast", "last"),
        ("", "exit code 3"),
    ],
)
def test_a_failing_download_is_quoted(errors: str, cause: str) -> None:
    fail = python(f"import sys; sys.stderr.write('{errors}'); sys.exit(3)")
    with pytest.raises(DataError, match=rf"^Downloading 'x' failed \({cause}\): try again\.$"):
        read_download(fail, Path.read_text, remedy="try again")
