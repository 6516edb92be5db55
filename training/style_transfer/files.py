"""Files by which style transfers go on: the notes of a picture, the state of one half drawn, and what a job
settled once.

Every reader checks what it reads and raises Damaged for what it cannot trust: all of it can be made anew.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import safetensors.torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open

from brushwork.data.files import read_json, write_file, write_json

from .config import StylizeConfig
from .optimizers import State

Json = dict[str, Any]
Row = dict[str, int | float]
"""Of a trace: see `stylize_trace.Trace`."""
Read = TypeVar("Read")

HEADER, DIGEST = "brushwork", "sha256"
JOB = "job.json"


class Damaged(Exception):
    """A file of ours that cannot be trusted, with the reason."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(f"'{path}' is damaged ({str(why).splitlines()[0]})")


# What they hold
@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture is drawn of, and how."""

    preset: str
    config: Json
    scene: str
    """Fingerprint of all pixels and weights."""


@dataclass(frozen=True, kw_only=True)
class Notes(Facts):
    """What stands beside a picture."""

    trace: list[Row]
    stopped: str | None = None
    """Why it is not finished."""


@dataclass(frozen=True, kw_only=True)
class Halted:
    """A picture half drawn."""

    facts: Facts
    trace: list[Row]
    tensors: State


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was settled for all pictures of one command, and for which settings."""

    config: Json
    precision: Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class _Header:
    facts: Facts
    trace: list[Row]


def plain(config: StylizeConfig) -> Json:
    """As JSON has it."""
    return json.loads(json.dumps(asdict(config), default=str))


# Notes
def notes_file(picture: Path) -> Path:
    return picture.with_suffix(".json")


def read_notes(picture: Path) -> Notes | None:
    """Those beside a picture; None where there are none."""
    return _read(notes_file(picture), Notes)


# The state
def state_file(picture: Path) -> Path:
    return picture.with_suffix(".state.safetensors")


def write_state(picture: Path, halted: Halted) -> None:
    """Whole or not at all, with a digest."""
    header = json.dumps({"facts": asdict(halted.facts), "trace": halted.trace})
    tensors = {name: x.cpu().contiguous() for name, x in halted.tensors.items()}
    metadata = {HEADER: header, DIGEST: _digest(header, tensors)}
    write_file(state_file(picture), safetensors.torch.save(tensors, metadata=metadata))


def read_state(picture: Path) -> Halted | None:
    """The state of a picture that was stopped; None where there is none."""
    path = state_file(picture)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = TypeAdapter(_Header).validate_json(metadata[HEADER])
        if metadata.get(DIGEST) != _digest(metadata[HEADER], tensors):
            raise ValueError("its digest is another")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(path, error) from error
    return Halted(facts=header.facts, trace=header.trace, tensors=tensors)


def _digest(header: str, tensors: Mapping[str, Any]) -> str:
    """SHA-256 over everything that a state says."""
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


# The job
def read_job(folder: Path) -> Job | None:
    """What a command that wrote into this folder settled; None where none did."""
    return _read(folder / JOB, Job)


def write_job(folder: Path, job: Job) -> None:
    write_json(folder / JOB, asdict(job))


def _read(path: Path, kind: type[Read]) -> Read | None:
    if not path.is_file():
        return None
    try:
        return read_json(path, kind)
    except (OSError, ValueError) as error:
        raise Damaged(path, error) from error
