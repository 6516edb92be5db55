"""Experiment trackers, through Accelerate; metrics.jsonl is always written."""

from dataclasses import asdict
from typing import Any

import numpy as np
from accelerate import Accelerator

from ..config import TrainConfig
from ..errors import TrainingError
from .run_folder import flat, plain


def start_trackers(accelerator: Accelerator, config: TrainConfig) -> None:
    """Starts the configured trackers and logs the flat configuration.

    Raises:
        TrainingError: wandb cannot go online.
    """
    if not config.trackers.use:
        return
    values = {name: value if isinstance(value, (int, float, str)) else str(value)
              for name, value in flat(plain(asdict(config)))}  # fmt: skip
    wandb = {"name": config.out.name, "dir": str(config.out), "mode": config.trackers.wandb_mode,
             "group": config.trackers.group}  # fmt: skip
    wandb_errors: tuple[type[Exception], ...] = ()
    if "wandb" in config.trackers.use:
        from wandb.errors import Error  # of the extra `trackers`

        wandb_errors = (Error,)
    try:
        accelerator.init_trackers(config.trackers.project, config=values, init_kwargs={"wandb": wandb})
    except wandb_errors as error:
        raise TrainingError(
            f"wandb cannot start ({str(error).splitlines()[0]}): log in with `wandb login`, or leave "
            "--trackers.wandb-mode at offline."
        ) from error


def log_values(accelerator: Accelerator, values: dict[str, Any], nimg: int) -> None:
    """Sends numbers to every tracker; the step is the number of images."""
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
    accelerator.log(numbers, step=nimg)


def log_picture(accelerator: Accelerator, name: str, picture: np.ndarray, nimg: int) -> None:
    """Sends an image, uint8 (H, W, 3), to the trackers that take images."""
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):
            # TensorBoard defaults to channels first; the other trackers only take channels last.
            order = {"dataformats": "NHWC"} if getattr(tracker, "name", "") == "tensorboard" else {}
            tracker.log_images({name: picture[None]}, step=nimg, **order)
