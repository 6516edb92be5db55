import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.files import read_json, remove_partials, staged_folder, write_csv, write_file, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_replaces_the_one_before_and_can_be_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for content in ("before", memoryview(b"before"), "é\n"):
        write_file(path, content)
    assert path.read_bytes() == "é\n".encode()
    assert names(path.parent) == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("call", ["fdopen", "fsync", "chmod", "replace"])
def test_a_failing_disk_keeps_the_previous_file_and_leaves_no_other(
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


def test_durable_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for call in ("fsync", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, call=call, real=real: (calls.append(call), real(*a))[1])
    write_file(tmp_path / "a.txt", "content", durable=True)
    assert calls == ["fsync", "replace", "fsync"], "content, name, and the folder that holds the name"


def test_only_partial_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in (".abc.partial", "deep/.def.partial", "mine.partial", ".hidden", "deep/a.txt"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert names(tmp_path) == [".hidden", "deep", "mine.partial"]
    assert names(tmp_path / "deep") == ["a.txt"]


@dataclass(frozen=True)
class Pair:
    name: str
    sizes: tuple[int, ...]


def test_json_and_csv_keep_what_they_are_given(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é", "sizes": [1, 2], "more": None})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n "name": "é",')
    assert read_json(tmp_path / "a.json", Pair) == Pair("é", (1, 2))
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": 'x,"y'}, {"a": 2, "b": "z"}])
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,""y"\n2,z\n'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"name": "a", "sizes": [1, "2"]}', "a.json, sizes.1: .*integer"),
        (b'{"sizes": []}', "a.json, name: .*required"), (b"[]", "a.json: "),
        (b'{"name": "a", "siz', "a.json: Invalid JSON"), (b"[" * 100_000, "a.json: Invalid JSON"),
    ],
)  # fmt: skip
def test_json_of_another_type_is_refused_in_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=why) as caught:
        read_json(tmp_path / "a.json", Pair)
    assert "\n" not in str(caught.value)


def fill(out: Path, text: str, *, before: str = "") -> None:
    """Writes a folder with a text, or gives up half-way while the text `before` is in its place."""
    with staged_folder(out) as stage:
        (stage / "a.txt").write_text(text)
        if before:
            assert (out / "a.txt").read_text() == before
            raise RuntimeError("given up")


def test_a_staged_folder_takes_its_place_or_vanishes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("first", "second"):
        fill(out, text)
        assert (out / "a.txt").read_text() == text
        assert names(tmp_path) == ["out"]
    with pytest.raises(RuntimeError, match="given up"):
        fill(out, "half", before="second")
    assert (out / "a.txt").read_text() == "second"
    assert names(tmp_path) == ["out"]


def test_two_writers_of_one_place_are_refused(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "out") as stage:
        (stage / "a.txt").write_text("first")
        fill(tmp_path / "other", "beside it")
        with pytest.raises(DataError, match=r"Another process is writing to '.*out'"):
            fill(tmp_path / "out", "second")
    assert (tmp_path / "out" / "a.txt").read_text() == "first"
    assert names(tmp_path) == ["other", "out"]


KILLED = """
import os, sys
from pathlib import Path
from brushwork.data.files import staged_folder
real, calls = os.replace, []
def replace(*paths):
    calls.append(paths)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    real(*paths)
os.replace = replace
with staged_folder(Path(sys.argv[1])) as stage:
    (stage / "a.txt").write_text("killed")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system cannot kill like this")
@pytest.mark.parametrize("call", [1, 2])
def test_the_next_call_cleans_up_after_a_killed_process(tmp_path: Path, call: int) -> None:
    out = tmp_path / "out"
    fill(out, "before")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(out), str(call)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 3
    with pytest.raises(RuntimeError, match="given up"):
        fill(out, "half", before="before")
    assert (out / "a.txt").read_text() == "before"
    assert names(tmp_path) == ["out"]
