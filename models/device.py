"""The device that networks run on: the `--device` option of every command."""

import re
from typing import Annotated

import torch
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from .errors import ModelError

NAMES = r"auto|cpu|mps|cuda(:\d{1,3})?"


def _check_name(name: str) -> str:
    if not re.fullmatch(NAMES, name):
        raise PydanticCustomError("device", "Input should be auto, cpu, cuda, cuda:N or mps")
    return name


DeviceName = Annotated[str, AfterValidator(_check_name)]
"""auto, cpu, cuda, cuda:N or mps."""


def resolve_device(name: str) -> torch.device:
    """Returns the device of this name. "auto" is the CUDA GPU if there is one, else the processor.

    Raises ModelError for another name, and if this machine has no such device.
    """
    if not re.fullmatch(NAMES, name):
        raise ModelError(f"unknown device {name!r}: choose auto, cpu, cuda, cuda:N or mps.")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name if name != "auto" else "cuda" if gpus else "cpu")
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ModelError(f"this machine has no device {name!r} ({gpus} CUDA GPUs): choose auto or cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("this machine has no device 'mps': choose auto or cpu.")
    return device
