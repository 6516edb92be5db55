import os
import stat
from pathlib import Path

import pytest

from brushwork.data.files import PARTIAL, remove_partials, write_csv, write_file, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["é\n", "é\n".encode(), memoryview("é\n".encode())])
@pytest.mark.parametrize("durable", [True, False])
def test_a_file_replaces_the_one_before_and_can_be_read_by_all(
    tmp_path: Path, content: str | bytes | memoryview, durable: bool
) -> None:
    path = tmp_path / "new" / "a.txt"
    for _ in range(2):
        write_file(path, content, durable=durable)
    assert path.read_bytes() == "é\n".encode()
    assert names(path.parent) == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("call", ["fdopen", "fsync", "chmod", "replace"])
def test_a_disk_that_refuses_leaves_the_file_before_and_no_litter(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, "after", durable=True)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_what_lasts_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for call in ("fsync", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, call=call, real=real: (calls.append(call), real(*a))[1])
    write_file(tmp_path / "a.txt", "content", durable=True)
    assert calls == ["fsync", "replace", "fsync"], "content, name, and the folder that holds the name"


def test_half_written_files_of_killed_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in (f".abc{PARTIAL}", f"deep/.def{PARTIAL}", f"mine{PARTIAL}", ".hidden", "deep/a.txt"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert names(tmp_path) == [".hidden", "deep", f"mine{PARTIAL}"]
    assert names(tmp_path / "deep") == ["a.txt"]


def test_json_and_csv_keep_what_they_are_given(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é", "rows": [1, 2.5, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n "name": "é",')
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": 'x,"y'}, {"a": 2, "b": "z"}])
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,""y"\n2,z\n'
