"""Files by hash, from a path, the cache or a local server; and nothing unpickled."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.weights import Weights, find_weights, load_state, weights_folder

from ..conftest import Trap

CONTENT = b"as good as weights" * 100
PREFIX = hashlib.sha256(CONTENT).hexdigest()[:8]


class Server(ThreadingHTTPServer):
    """Serves `content`, of which it says that it is as long as CONTENT, at /file.pth."""

    content = CONTENT


class Handler(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/file.pth" else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def known(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Weights("toy", f"http://127.0.0.1:{server.server_port}/file.pth", PREFIX)


def left_behind() -> list[Path]:
    return list(weights_folder().iterdir()) if weights_folder().exists() else []


def test_a_path_is_taken_if_its_hash_is_right(known: Weights, tmp_path: Path) -> None:
    path = tmp_path / "any name"
    path.write_bytes(CONTENT)
    assert find_weights(known, path) == path
    path.write_bytes(CONTENT + b".")
    found = hashlib.sha256(CONTENT + b".").hexdigest()[:8]
    with pytest.raises(ModelError, match=f"begins {found}, not {PREFIX}"):
        find_weights(known, path)
    with pytest.raises(ModelError, match=r"does not exist.*toy"):
        find_weights(known, tmp_path / "elsewhere")
    assert left_behind() == []


def test_a_file_is_downloaded_once_with_a_message(
    known: Weights, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    path = find_weights(known)
    server.content = b""  # must not be asked for again
    assert path == weights_folder() / "file.pth"
    assert path.read_bytes() == CONTENT
    message = capsys.readouterr().err
    assert all(part in message for part in ("toy", known.url, str(path)))
    assert left_behind() == [path]
    assert find_weights(known) == path
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match="delete it"):
        find_weights(known)


@pytest.mark.parametrize(
    ("url", "content", "reason"),
    [
        ("{}", CONTENT[::-1], "invalid hash value"),
        ("{}", CONTENT[:100], "invalid hash value"),
        ("{}.gz", CONTENT, "Not Found"),
        ("http://127.0.0.1:1/file.pth", CONTENT, "refused"),
    ],
    ids=["other bytes", "cut short", "not found", "no server"],
)
def test_a_failed_download_leaves_nothing_and_names_the_remedies(
    known: Weights, server: Server, url: str, content: bytes, reason: str
) -> None:
    known, server.content = replace(known, url=url.format(known.url)), content
    parts = known.url, reason, str(weights_folder() / known.file), "efficientnet-lite0"
    with pytest.raises(ModelError, match=".*".join(parts)):
        find_weights(known)
    assert left_behind() == []


@pytest.mark.parametrize("zipped", [True, False])
def test_state_is_read_as_written_and_nothing_is_unpickled(tmp_path: Path, zipped: bool) -> None:
    path, sprung = tmp_path / "model.pth", tmp_path / "sprung"
    state = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    save_file(state, tmp_path / "state.safetensors")
    for file in (path, tmp_path / "state.safetensors"):
        torch.testing.assert_close(load_state(file), state, rtol=0, atol=0)
    torch.save({"weight": torch.ones(1), "model": Trap(sprung)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"pickled objects.*never loaded"):
        load_state(path)
    assert not sprung.exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.pth", "a.safetensors"):
        for part in (b"", CONTENT):
            (tmp_path / name).write_bytes(part)
            with pytest.raises(ModelError, match=f"{name} cannot be read"):
                load_state(tmp_path / name)
    for content in (torch.ones(2), {"epoch": 3, "a": torch.ones(2)}):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(ModelError, match="dict of tensors"):
            load_state(tmp_path / "a.pth")
