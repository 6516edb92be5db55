import errno
import hashlib
import io
import os
import pickle
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from brushwork.training.errors import TrainingError
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint, save_checkpoint


def state(nimg: int, size: int = 8) -> dict[str, object]:
    """A state in which everything says the same, so that a mixture of two is found out."""
    return {"nimg": nimg, "weights": torch.full((size,), float(nimg)), "more": {"step": torch.tensor(nimg)}}


def consistent(path: Path, size: int = 8) -> bool:
    assert_close(load_checkpoint(path), state(int(path.stem), size), rtol=0, atol=0)
    return True


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept_oldest_first_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    weights, folder = torch.randn(3, 4), tmp_path / "new" / "folder"
    kept = {"seconds": 1 / 3, "net": {"w": weights, "b": weights.bfloat16()}, "none": None}
    assert checkpoints(folder) == []
    for nimg in (8, 900, 10_000):
        path = save_checkpoint(folder, nimg, kept)
    assert names(folder) == ["000000000900.pt", "000000010000.pt"]
    assert [int(path.stem) for path in checkpoints(folder)] == [900, 10_000]
    assert_close(load_checkpoint(path), kept, rtol=0, atol=0)


def test_no_flipped_bit_is_trained_on(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 8, state(8, 200))
    whole, source = path.read_bytes(), random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"not a readable checkpoint: remove it"):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert consistent(path, 200)


@pytest.mark.parametrize("call", ["fsync", "replace", "write", "mkstemp"])
def test_a_full_disk_leaves_the_older_checkpoints_and_one_sentence(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nimg in (8, 16):
        save_checkpoint(tmp_path, nimg, state(nimg))

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr("os.fdopen", _Full)
        else:
            patch.setattr("tempfile.mkstemp" if call == "mkstemp" else f"os.{call}", full)
        with pytest.raises(
            TrainingError, match=r"000000000024\.pt could not be written: the disk is full\..*--resume"
        ) as raised:
            save_checkpoint(tmp_path, 24, state(24))
    assert "\n" not in str(raised.value)
    assert names(tmp_path) == ["000000000008.pt", "000000000016.pt"], "no half-made file, nothing lost"
    assert all(consistent(path) for path in checkpoints(tmp_path))


def test_an_unwritable_folder_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reason = r"could not be written: .*(exists|directory)\. Earlier checkpoints are kept"
    with pytest.raises(TrainingError, match=reason):
        save_checkpoint(tmp_path / "file", 8, state(8))


class _Full(io.FileIO):
    def write(self, content: Any) -> int:
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (sprung,)

    saved, plain = io.BytesIO(), pickle.dumps(Trap())
    torch.save({"nimg": Trap()}, saved)
    for content in (saved.getvalue(), plain):
        path = tmp_path / "000000000001.pt"
        path.write_bytes(content + hashlib.sha256(content).digest())
        with pytest.raises(TrainingError, match="is not a readable checkpoint"):
            load_checkpoint(path)
    assert not sprung.exists()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("call", ["os.fdopen", "os.fsync", "os.replace", "pathlib.Path.unlink"])
@pytest.mark.parametrize("before", [True, False])
def test_kill_9_beside_any_call_of_a_save_leaves_a_whole_checkpoint(
    tmp_path: Path, call: str, before: bool
) -> None:
    for nimg in (8, 16):
        save_checkpoint(tmp_path, nimg, state(nimg))

    module: object = Path if call.startswith("pathlib") else os
    name = call.rpartition(".")[2]
    real = getattr(module, name)

    def die(*arguments: object, **options: object) -> None:
        if not before:
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        try:
            setattr(module, name, die)
            save_checkpoint(tmp_path, 24, state(24))
        finally:
            os._exit(1)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == -signal.SIGKILL, f"a save calls {call}"
    found = checkpoints(tmp_path)
    assert all(consistent(path) for path in found)
    assert {16, 24} & {int(path.stem) for path in found[-1:]}
    assert save_checkpoint(tmp_path, 32, state(32)).exists()
