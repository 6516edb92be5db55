"""The lines that a run prints before its first step: machine, data and schedule."""

import torch
from torch import Tensor

from brushwork.data.loader import Pictures, StoredPictures

from ..plan import Plan


def header(plan: Plan, precision: str, pictures: Pictures | StoredPictures) -> str:
    """Two lines: machine and data, then the schedule."""
    config, state, device = plan.config, plan.state, plan.accelerator.device.type
    each = f" of {counted(torch.get_num_threads(), 'thread')}" if device == "cpu" else ""
    machine = f"{device}, {counted(plan.accelerator.num_processes, 'process')}{each}, {precision}"
    path, limit = plan.schedule.describe(state.position, state.nimg, state.scale), config.max_minutes
    time = "" if limit is None else f", {state.seconds / 60:.1f} of {limit:g} minutes are used"
    source = f", weights from {config.start_from}" if config.start_from and state.nimg == 0 else ""
    return f"{machine} | {balance(pictures.styles, pictures.style_names)}\nplan: {path}{time}{source}"


def counted(number: int, what: str) -> str:
    """1 thread, 2 processes"""
    plural = "es" if what.endswith("s") else "s"
    return f"{number} {what}{'' if number == 1 else plural}"


def balance(styles: Tensor, names: tuple[str, ...]) -> str:
    """Number of pictures and styles, and how evenly the styles are filled."""
    counts = [int((styles == style).sum()) for style in range(len(names))]
    unlabelled = int((styles < 0).sum())
    parts = [f"{len(styles)} pictures"]
    if counts:
        parts.append(f"{len(names)} styles of {min(counts)} to {max(counts)}")
    if unlabelled and counts:
        parts.append(f"{unlabelled} without a label")
    return ", ".join(parts)
