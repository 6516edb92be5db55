"""Checkpoints: one file with everything that changes, whole or not there.

Accelerate's `save_state` writes a folder file by file, which a kill can leave half-made; this is one file
that appears by a rename. It is read with `weights_only`, so loading never executes anything.
"""

import errno
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from .errors import TrainingError

State = dict[str, Any]


def checkpoints(folder: Path) -> list[Path]:
    """All finished checkpoints of a run, oldest first."""
    return sorted(folder.glob("*.pt"))


def still(state: Any) -> Any:
    """A copy in main memory that stays as it is while training goes on."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: still(value) for name, value in state.items()}
    return [still(value) for value in state] if isinstance(state, list) else state


def save_checkpoint(folder: Path, nimg: int, state: State, *, keep: int = 2) -> Path:
    """Writes `folder/<nimg>.pt` durably, then removes all but the newest `keep`.

    The bytes reach the disk before the name does, and older checkpoints go only after that: a crash at any
    moment leaves the previous one.

    Raises:
        TrainingError: the disk is full or not writable; the older checkpoints are untouched.
    """
    memory = io.BytesIO()
    torch.save(state, memory)
    path, partial = folder / f"{nimg:012d}.pt", None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".partial-*"):
            left_over.unlink(missing_ok=True)
        handle, partial = tempfile.mkstemp(dir=folder, prefix=".partial-")
        with os.fdopen(handle, "wb") as file:
            file.write(memory.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(folder)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
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
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file provokes whatever its first wrong byte leads to.
    except Exception as error:
        raise TrainingError(
            f"{path} is no readable checkpoint: remove it, and --resume takes the one before."
        ) from error


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
