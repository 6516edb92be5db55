"""Files by hash, from a path, the cache or a server on this machine; and nothing unpickled."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.weights import (
    ALEXNET,
    INCEPTION,
    VGG16,
    VGG19,
    Weights,
    find_weights,
    load_state,
    weights_folder,
)

CONTENT = b"as good as weights" * 100


class Server:
    """Serves CONTENT, or the first `cut` bytes of it, to whoever asks for /file.pth."""

    def __init__(self) -> None:
        self.content, self.cut, self.asked = CONTENT, len(CONTENT), 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                if self.path != "/file.pth":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(server.content)))
                self.end_headers()
                self.wfile.write(server.content[: server.cut])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.pth"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def known(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    prefix = hashlib.sha256(CONTENT).hexdigest()[:8]
    return Weights(name="toy", url=server.url, sha256_prefix=prefix, file=f"toy-{prefix}.pth")


def left_behind() -> list[Path]:
    return list(weights_folder().iterdir()) if weights_folder().exists() else []


# Finding
def test_known_files_are_named_by_their_hash() -> None:
    for known in (INCEPTION, VGG16, VGG19, ALEXNET):
        assert known.file.endswith(f"-{known.sha256_prefix}.pth")
        assert known.url.endswith(f"/{known.file}")
        assert len(known.sha256_prefix) == 8
    assert (INCEPTION.flag, ALEXNET.flag) == ("--inception-weights", "--lpips-weights")


def test_a_path_is_taken_if_its_hash_is_right(known: Weights, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "any name"
    path.write_bytes(CONTENT)
    assert find_weights(known, path) == path
    path.write_bytes(CONTENT + b".")
    found = hashlib.sha256(CONTENT + b".").hexdigest()[:8]
    with pytest.raises(ModelError, match=f"begins {found}, not {known.sha256_prefix}"):
        find_weights(known, path)
    with pytest.raises(ModelError, match=r"does not exist.*toy"):
        find_weights(known, tmp_path / "elsewhere")
    assert server.asked == 0
    assert left_behind() == []


def test_downloads_once_and_says_so(
    known: Weights, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    path = find_weights(known)
    assert path == weights_folder() / known.file
    assert path.read_bytes() == CONTENT
    said = capsys.readouterr().err
    for part in ("toy", server.url, str(path), "0 MB", "--toy-weights"):
        assert part in said
    assert left_behind() == [path]
    assert find_weights(known) == path
    assert find_weights(known, download=False) == path
    assert server.asked == 1


def test_a_wrong_file_in_the_cache_is_refused(known: Weights, server: Server) -> None:
    weights_folder().mkdir(parents=True)
    (weights_folder() / known.file).write_bytes(b"something else")
    with pytest.raises(ModelError, match="delete it"):
        find_weights(known)
    assert server.asked == 0


@pytest.mark.parametrize("fault", ["other bytes", "cut short", "not found"])
def test_a_failed_download_leaves_nothing(known: Weights, server: Server, fault: str) -> None:
    if fault == "other bytes":
        server.content = CONTENT[::-1]
        expected = f"begins {hashlib.sha256(CONTENT[::-1]).hexdigest()[:8]}, not {known.sha256_prefix}"
    elif fault == "cut short":
        server.cut, expected = 100, "could not be fetched"
    else:
        known, expected = replace(known, url=f"{server.url}.gz"), "Not Found"
    with pytest.raises(ModelError, match=expected):
        find_weights(known)
    assert server.asked == 1
    assert left_behind() == []


@pytest.mark.parametrize("allowed", [True, False])
def test_without_a_network_the_ways_out_are_named(known: Weights, allowed: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = replace(known, url=f"http://127.0.0.1:{unused.getsockname()[1]}/file.pth")
    with pytest.raises(ModelError) as caught:
        find_weights(gone, download=allowed)
    for part in (gone.url, str(weights_folder() / known.file), "--toy-weights PATH", "efficientnet-lite0"):
        assert part in str(caught.value)
    assert ("switched off" in str(caught.value)) is not allowed


# Reading
def test_state_is_read_as_written(tmp_path: Path) -> None:
    state = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
    torch.save(state, tmp_path / "state.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "state.safetensors")
    for name in ("state.pth", "old.pth", "state.safetensors"):
        read = load_state(tmp_path / name)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)


class Trap:
    """Unpickling one of these makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_unpickled(tmp_path: Path, zipped: bool) -> None:
    path, sprung = tmp_path / "model.pth", tmp_path / "sprung"
    torch.save({"weight": torch.ones(1), "model": Trap(sprung)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"pickled objects.*never loaded"):
        load_state(path)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"hello", CONTENT])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{path.name} cannot be read"):
        load_state(path)


@pytest.mark.parametrize("content", [torch.ones(2), [torch.ones(2)], {"epoch": 3, "a": torch.ones(2)}])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="dict of tensors"):
        load_state(tmp_path / "weights.pth")
