"""Options: dataclasses that check their values against the types of their fields.

    @options
    class LossConfig:
        mixing: Share = 0.9

Values are not converted, and numbers must be finite. A wrong value raises pydantic's ValidationError, which
`sentence_of` turns into a sentence.
"""

import re
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any, TypeVar

import pydantic.dataclasses
import torch
from annotated_types import Interval
from pydantic import AfterValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError
from typing_extensions import dataclass_transform

from .errors import ModelError

Kind = TypeVar("Kind")

STRICT = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def options(kind: type[Kind]) -> type[Kind]:
    """Class decorator: a frozen keyword-only dataclass that checks its values."""
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)(kind)
    return made


# Ranges
def _power_of_two(value: int) -> int:
    if value & (value - 1):
        below = 1 << (value.bit_length() - 1)
        near = {"below": below, "above": 2 * below}
        raise PydanticCustomError("power_of_two", "Input should be a power of two: {below} or {above}", near)
    return value


Share = Annotated[float, Interval(ge=0, le=1)]
Weight = Annotated[float, Interval(ge=0, le=1e9)]
"""A factor of a loss, or a relative frequency; 0: none."""
Kimg = Annotated[float, Interval(ge=0, le=1e9)]
"""Thousands of images; 0: never, or at once."""
Duration = Annotated[float, Interval(gt=0, le=1e9)]
"""Thousands of images, or minutes, above 0."""
LearningRate = Annotated[float, Interval(gt=0, le=1000)]
Psi = Annotated[float, Interval(ge=-10, le=10)]
"""Truncation: above 1 it extrapolates, below 0 it gives the opposite of the style."""
Count = Annotated[int, Interval(ge=1, le=10**6)]
BatchSize = Annotated[int, Interval(ge=1, le=65536)]
Width = Annotated[int, Interval(ge=1, le=65536)]
"""Channels of a layer."""
Side = Annotated[int, Interval(ge=0, le=65536)]
"""Pixels; 0: as it is."""
Resolution = Annotated[int, Interval(ge=8, le=4096), AfterValidator(_power_of_two)]
"""Width and height of images."""
LayerResolution = Annotated[int, Interval(ge=4, le=4096), AfterValidator(_power_of_two)]
Seed = Annotated[int, Interval(ge=0, lt=2**63)]
Threads = Annotated[int, Interval(ge=0, le=1024)]


# Devices
def _device_name(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise PydanticCustomError("device", "Input should be auto, cpu, cuda, cuda:N or mps")
    return name


DeviceName = Annotated[str, AfterValidator(_device_name)]


def resolve_device(name: str) -> torch.device:
    """Returns the device of this name. "auto" is the CUDA GPU if there is one, else the processor.

    Raises ModelError if this machine has no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name if name != "auto" else "cuda" if gpus else "cpu")
    there = {"cpu": 1, "cuda": gpus, "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise ModelError(f"this machine has no device {name!r} ({gpus} CUDA GPUs): choose auto or cpu.")
    return device


# Sentences
def sentence_of(error: ValidationError, named: Callable[[str], str] = str) -> str:
    """Returns a sentence that names the first wrong value and what is allowed. `named` turns the dotted name
    of a field into the name that the user knows."""
    mistakes = error.errors(include_url=False)
    first, path, start = mistakes[0], _path(mistakes[0]["loc"]), "Input should be "
    # Every alternative of a union has a message of its own.
    messages = dict.fromkeys(mistake["msg"] for mistake in mistakes if _path(mistake["loc"]) == path)
    reason = "it must be " + " or ".join(message.removeprefix(start) for message in messages)
    if not first["msg"].startswith(start):
        reason = first["msg"][0].lower() + first["msg"][1:]
    return f"{named(path)} is {repr(first['input'])[:60]}: {reason}."


def _path(location: tuple[int | str, ...]) -> str:
    """Returns the dotted name of a field. A location also holds alternatives of unions, such as
    "literal['auto']" or "constrained-float", which are no identifiers."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(part for part in parts if part[0] == "[" or part[1:].isidentifier()).removeprefix(".")
