"""Checkpoints: one file with everything that changes, whole or not there.

Accelerate's `save_state` writes a folder file by file, which a kill can leave half-made; this is one file
that appears by a rename. It ends with the SHA-256 of the rest, so no flipped bit is trained on, and it is
read with `weights_only`, so loading never executes anything.
"""

import errno
import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from brushwork.data.files import write_file

from ..errors import TrainingError

State = dict[str, Any]
DIGEST_SIZE = hashlib.sha256().digest_size


def checkpoints(folder: Path) -> list[Path]:
    """All finished checkpoints of a run, oldest first."""
    return sorted(folder.glob("*.pt"))


def cpu_copy(state: Any) -> Any:
    """A copy in main memory that stays as it is while training goes on."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: cpu_copy(value) for name, value in state.items()}
    return [cpu_copy(value) for value in state] if isinstance(state, list) else state


def save_checkpoint(folder: Path, nimg: int, state: State, *, keep: int = 2) -> Path:
    """Writes `folder/<nimg>.pt` durably, then removes all but the newest `keep`.

    The bytes reach the disk before the name does, and older checkpoints go only after that: a crash at any
    moment leaves the previous one.

    Raises:
        TrainingError: the disk is full or not writable; the older checkpoints are untouched.
    """
    path, content = folder / f"{nimg:012d}.pt", io.BytesIO()
    torch.save(state, content)
    content.write(hashlib.sha256(content.getbuffer()).digest())
    try:
        write_file(path, content.getbuffer(), durable=True)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise TrainingError(
            f"could not write checkpoint {path}: {why}; the one before it is "
            "untouched. Make room, then --resume."
        ) from error
    for old in checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> State:
    """Reads a checkpoint into main memory; whoever takes the state moves it to its device.

    Raises:
        TrainingError: the file is damaged or is no checkpoint.
    """
    content = memoryview(path.read_bytes())
    state, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
    try:
        if hashlib.sha256(state).digest() != digest:
            raise ValueError("its digest is another")
        return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    # What a whole file may hold that is no checkpoint leads to whatever its first wrong byte leads to.
    except Exception as error:
        raise TrainingError(
            f"{path} is no readable checkpoint: remove it, and --resume takes the one before."
        ) from error
