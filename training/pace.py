"""What a run takes from its machine and data once, at its start: precision, pace, and whose pictures it
saw."""

import torch

from brushwork.data.loader import Batch
from brushwork.models.layers import group_size
from brushwork.models.synthesis import Stage

from .budget import pace_for, seconds_of, settled_precision
from .compiling import eager_where_needed
from .config import TrainConfig
from .draws import Draws, Rows
from .judging import Prepared
from .networks import build_networks, build_optimizers, frozen
from .objectives import Regime
from .restyling import Judges
from .run_folder import Json
from .schedules import phases
from .turns import discriminator_turn, generator_turn, simultaneous_turn, turn_at


def seconds_per_image(
    config: TrainConfig, style_names: tuple[str, ...], judges: Judges, device: torch.device, *, rows: int,
    bf16: bool,
) -> dict[int, float]:  # fmt: skip
    """Seconds that one picture of the global batch takes at each resolution of the course.

    Half of the time at a growing stage the fade is on, so it is timed; regimes and the lazy penalty count by
    their shares of the steps.
    """
    nets = build_networks(config, style_names, device)
    optimizers = build_optimizers(nets, config.optimizer)
    own = Rows(start=0, count=rows)

    def step(stage: Stage, regime: Regime, gamma: float) -> None:
        turn = turn_at(config, 0, regime)
        draws = Draws("pace", rows=own, device=device)
        blank = torch.rand(rows, 3, stage.resolution, stage.resolution, device=device)
        labels = torch.zeros(rows, len(style_names), device=device)
        batch = Batch(images=blank, styles=labels, indices=torch.arange(rows))
        low = torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)
        with eager_where_needed(stage, gamma), low:
            if turn.simultaneous:
                simultaneous_turn(config, nets, judges, batch, draws, stage, turn, gamma)
            elif turn.has_adversary:
                discriminator_turn(config, nets, batch, draws, stage, turn, gamma)
        if not turn.simultaneous:
            with eager_where_needed(stage, 0.0), frozen(nets.discriminator), low:
                generator_turn(config, nets, judges, batch, draws, stage, turn)
        if turn.has_adversary:
            optimizers.discriminator.step()
        optimizers.generator.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(stage: Stage, regime: Regime) -> float:
        plain = seconds_of(lambda: step(stage, regime, 0.0))
        if not turn_at(config, 0, regime).has_adversary:
            return plain
        penalised = seconds_of(lambda: step(stage, regime, 1.0), repeats=1)
        return plain + max(0.0, penalised - plain) / config.loss.r1_every

    result = {}
    for phase in phases(config.growing, config.generator.resolution):
        stage = Stage(phase.resolution, 0.5 if phase.faded > phase.begin else 1.0)
        mean = sum(share * seconds(stage, regime) for regime, share in config.restyle.shares().items())
        result[phase.resolution] = mean * config.accumulate / config.batch
    return result


def settle(
    config: TrainConfig,
    prepared: Prepared,
    device: torch.device,
    *,
    rows: int,
    stored: Json | None,
) -> Json:
    """The facts of a run: those stored with it if it exists already, else measured now.

    `precision` is fp32 or bf16; `pace` the factor by which the course of growing is shortened to fit
    `config.max_minutes`; `fingerprint` and `styles` say which data set it is; `group` is the size of the
    minibatch statistics' groups, which depends on how many processes and parts a batch is dealt to.
    """
    precision, pace, pictures = config.precision, 1.0, prepared.pictures
    if stored is not None:
        precision, pace = stored["facts"]["precision"], stored["facts"]["pace"]
    else:
        precision = settled_precision(precision, device)
        if config.max_minutes is not None:
            seconds = seconds_per_image(
                config, pictures.style_names, prepared.judges, device, rows=rows, bf16=precision == "bf16"
            )
            course = (config.growing, config.generator.resolution, config.total_kimg)
            left = max(config.max_minutes / 10, config.max_minutes - prepared.seconds / 60)
            pace = pace_for(left, *course, seconds)
    return {
        "precision": precision,
        "pace": pace,
        "fingerprint": pictures.fingerprint,
        "styles": list(pictures.style_names),
        "group": group_size(rows, config.discriminator.minibatch_group),
    }
