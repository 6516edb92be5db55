"""Checkpoints: the full training state in one file, written atomically.

Accelerate's `save_state` writes a folder file by file, which a kill leaves incomplete. This file appears by a
rename. It ends with the SHA-256 of the rest, so damage is noticed, and is read with `weights_only`, so
loading never executes code.
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
    """All checkpoints of a run, oldest first."""
    return sorted(folder.glob("*.pt"))


def cpu_copy(state: Any) -> Any:
    """A copy in main memory."""
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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else (error.strerror or str(error)).lower()
        raise TrainingError(
            f"checkpoint {path} could not be written: {why}. Earlier checkpoints are kept: --resume goes on "
            "from the newest."
        ) from error
    for old in checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> State:
    """Reads a checkpoint into main memory.

    Raises:
        TrainingError: the file is damaged or is no checkpoint.
    """
    content = memoryview(path.read_bytes())
    state, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
    try:
        if hashlib.sha256(state).digest() != digest:
            raise ValueError("its digest is another")
        return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    # A file that is no checkpoint can make `torch.load` raise anything.
    except Exception as error:
        raise TrainingError(
            f"{path} is not a readable checkpoint: remove it, and --resume takes the one before."
        ) from error
