"""Files of a style transfer: the record beside each image, the state of an unfinished one, and job.json.

Readers check what they read and raise Damaged otherwise. All these files can be made anew.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import safetensors.torch
from matplotlib.figure import Figure
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open

from brushwork.data.files import read_json, write_file, write_json
from brushwork.eval.report.plots import figure_png

from .config import StylizeConfig
from .optimizers import State
from .transfer import Step

Json = dict[str, Any]
Row = dict[str, int | float]
"""One evaluation: its number, longer side in pixels, seconds since the start, and the losses."""
Content = TypeVar("Content")

HEADER, DIGEST = "brushwork", "sha256"
JOB = "job.json"


class Damaged(Exception):
    """A file of ours that cannot be trusted, with the reason."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"'{path}' is damaged ({str(reason).splitlines()[0]})")


@dataclass(kw_only=True)
class TransferRecord:
    """What determines an image, and how its losses went. It is written beside the image."""

    preset: str
    config: Json
    inputs: str
    """Fingerprint of all input pixels and weights."""
    trace: list[Row] = field(default_factory=list)
    stopped: str | None = None
    """Why the image is unfinished."""

    @property
    def setup(self) -> tuple[str, Json, str]:
        """What determines the image."""
        return self.preset, self.config, self.inputs


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """The precision that one command measured for all its images, and its configuration."""

    config: Json
    precision: Literal["fp32", "bf16"]


def config_json(config: StylizeConfig) -> Json:
    return json.loads(json.dumps(asdict(config), default=str))


def read_checked(path: Path, kind: type[Content]) -> Content | None:
    """Read a JSON file; None if it does not exist. Raises Damaged if it holds anything else."""
    if not path.is_file():
        return None
    try:
        return read_json(path, kind)
    except (OSError, ValueError) as error:
        raise Damaged(path, error) from error


# The record
def record_file(image: Path) -> Path:
    return image.with_suffix(".json")


def write_record(image: Path, record: TransferRecord) -> None:
    """Write the record and the plot of the losses beside an image."""
    plot = figure_png(plot_losses(record.trace), dpi=100)
    write_file(image.with_name(f"{image.stem}-losses.png"), plot)
    write_json(record_file(image), asdict(record))


def trace_row(step: Step, seconds: float) -> Row:
    losses = {name: float(f"{value:.6g}") for name, value in asdict(step.losses).items()}
    return {"evaluation": step.number, "side": step.side, "seconds": round(seconds, 2), **losses}


def plot_losses(trace: list[Row]) -> Figure:
    """Plot the losses over evaluations on a logarithmic axis, with a line at every change of size."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="evaluations", ylabel="loss", yscale="log")
    numbers = [row["evaluation"] for row in trace]
    for name, width in (("total", 2.0), ("style", 1.0), ("content", 1.0), ("tv", 1.0)):
        values = [row[name] for row in trace]
        if any(values):
            axes.plot(numbers, [value or float("nan") for value in values], label=name, linewidth=width)
    for before, row in pairwise(trace):
        if row["side"] != before["side"]:
            axes.axvline(row["evaluation"], color="0.7", linewidth=0.8)
            place = (row["evaluation"], 1)
            axes.annotate(f" {row['side']:g} px", place, xycoords=("data", "axes fraction"), va="top")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


# The state
def state_file(image: Path) -> Path:
    return image.with_suffix(".state.safetensors")


def write_state(image: Path, record: TransferRecord, state: State) -> None:
    """Write the state of an unfinished transfer, with a digest, whole or not at all."""
    header = json.dumps(asdict(record))
    tensors = {name: x.cpu().contiguous() for name, x in state.items()}
    metadata = {HEADER: header, DIGEST: _digest(header, tensors)}
    write_file(state_file(image), safetensors.torch.save(tensors, metadata=metadata))


def read_state(image: Path) -> tuple[TransferRecord, State] | None:
    """Read the state of an unfinished transfer; None if there is none. Raises Damaged."""
    path = state_file(image)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = TypeAdapter(TransferRecord).validate_json(metadata[HEADER])
        if metadata.get(DIGEST) != _digest(metadata[HEADER], tensors):
            raise ValueError("its digest does not match")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(path, error) from error
    return record, tensors


def _digest(header: str, tensors: Mapping[str, Any]) -> str:
    """SHA-256 of the header and all tensors."""
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
