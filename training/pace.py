"""What a run takes from its machine and data once, at its start: precision, pace, and whose pictures it
saw."""

import os

import torch

from brushwork.data.loader import Batch, Pictures, StoredPictures
from brushwork.models.synthesis import Stage

from .budget import faster_precision, pace_for, seconds_of
from .config import TrainConfig
from .draws import Draws, Rows
from .networks import build_networks, build_optimizers, frozen
from .run_folder import Json
from .schedules import phases
from .steps import discriminator_step, generator_step


def seconds_per_image(
    config: TrainConfig, style_names: tuple[str, ...], device: torch.device, *, rows: int, bf16: bool
) -> dict[int, float]:
    """Seconds that one picture of the global batch takes at each resolution of the course.

    Half of the time at a growing stage the fade is on, so it is timed; the lazy penalty counts by its share.
    """
    nets = build_networks(config, style_names, device)
    optimizers = build_optimizers(nets, config.optimizer)
    own = Rows(start=0, count=rows, total=rows)

    def step(stage: Stage, gamma: float) -> None:
        draws = Draws("pace", rows=own, device=device)
        blank = torch.rand(rows, 3, stage.resolution, stage.resolution, device=device)
        labels = torch.zeros(rows, len(style_names), device=device)
        batch = Batch(images=blank, styles=labels, indices=torch.arange(rows))
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16 and gamma == 0):
            discriminator_step(nets, batch, stage, config.loss, config.augment, draws, gamma=gamma)
        optimizers.discriminator.step()
        with frozen(nets.discriminator), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            generator_step(nets, batch, stage, config.loss, config.augment, draws)
        optimizers.generator.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    result = {}
    for phase in phases(config.growing, config.generator.resolution):
        stage = Stage(phase.resolution, 0.5 if phase.faded > phase.begin else 1.0)
        plain = seconds_of(lambda stage=stage: step(stage, 0.0))
        penalised = seconds_of(lambda stage=stage: step(stage, 1.0), repeats=1)
        seconds = plain + max(0.0, penalised - plain) / config.loss.r1_every
        result[phase.resolution] = seconds * config.accumulate / config.batch
    return result


def set_threads(wanted: int, *, processes: int) -> None:
    """Gives this process `wanted` threads; 0 divides the cores among the processes, unless OMP_NUM_THREADS
    has decided. More threads than free cores make convolutions many times slower, not faster."""
    if wanted or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(wanted or max(1, (os.cpu_count() or 1) // processes))


def settle(
    config: TrainConfig,
    pictures: Pictures | StoredPictures,
    device: torch.device,
    *,
    rows: int,
    stored: Json | None,
) -> Json:
    """The facts of a run: those stored with it if it exists already, else measured now.

    `precision` is fp32 or bf16; `pace` the factor by which the course of growing is shortened to fit
    `config.max_minutes`; `fingerprint` and `styles` say which data set it is.
    """
    precision, pace = config.precision, 1.0
    if stored is not None:
        precision, pace = stored["facts"]["precision"], stored["facts"]["pace"]
    else:
        precision = faster_precision(device) if precision == "auto" else precision
        if config.max_minutes is not None:
            seconds = seconds_per_image(
                config, pictures.style_names, device, rows=rows, bf16=precision == "bf16"
            )
            course = (config.growing, config.generator.resolution, config.total_kimg)
            pace = pace_for(config.max_minutes, *course, seconds)
    return {
        "precision": precision,
        "pace": pace,
        "fingerprint": pictures.fingerprint,
        "styles": list(pictures.style_names),
    }
