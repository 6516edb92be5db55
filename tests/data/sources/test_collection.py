from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources.collection import STATE, Fetched, fetch_once, read_download

SETTINGS = {"size": 32, "styles": ["a", "b"]}
DONE = Fetched(subjects=3, images=6)


def stopped() -> Fetched:
    raise RuntimeError("stopped")


def test_a_finished_folder_is_recognised_and_keeps_its_settings(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        fetch_once(tmp_path, SETTINGS, stopped)
    for fetch in (lambda: DONE, stopped):
        with pytest.raises(DataError, match="fetched with size 32, not 64: name another folder"):
            fetch_once(tmp_path, SETTINGS | {"size": 64}, stopped)
        assert fetch_once(tmp_path, SETTINGS, fetch) == DONE
    for damaged in ("[]", "{", ""):
        (tmp_path / STATE).write_text(damaged)
        with pytest.raises(DataError, match=r"state.json' is damaged .*: delete it and repeat the command"):
            fetch_once(tmp_path, SETTINGS, stopped)


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
    fail = ["sh", "-c", f"printf '{errors}' >&2; exit 3", "x"]
    with pytest.raises(DataError, match=rf"^Downloading 'x' failed \({cause}\): try again\.$"):
        read_download(fail, Path.read_text, remedy="try again")
