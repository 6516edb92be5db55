"""What a search is to do: which trials of which preset, in which space, judged by which figure."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brushwork.eval.pairs.figures import about_logged
from brushwork.models.options import Count, Duration, options

from ..config import FREE_TO_CHANGE, TrainConfig
from ..errors import TrainingError
from ..preset_files import to_json
from ..run.run_folder import Json, RunFolder, flat
from ..schedules import due
from .search_space import Space, space_of

PARTS = 4
"""Measurements in a trial, where nothing else is asked for."""


@options
class TuningConfig:
    """A search for better settings of a preset."""

    trials: Count = 20
    """Trials to finish; those of earlier calls count, so a larger number goes on with the study."""
    trial_kimg: Duration | None = None
    """Length of a trial, in thousands of images; the course of growing is shortened alike. None: the whole
    course."""
    interval_kimg: Duration | None = None
    """A trial is measured so often, and cut short where it is worse than half of the others were then. None:
    every quarter of a trial."""
    search: tuple[str, ...] = ()
    """Fields and what they may be: optimizer.generator_lr=0.001:0.03 batch=8,16,32."""
    defaults: bool = True
    """Search the learning rates, R1's weight, the batch and the weights of restyling, too; off: only what
    --search names."""
    prune: bool = True
    """Cut poor trials short."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is searched, and by what."""

    base: TrainConfig
    """The preset; `out` is the study's folder."""
    trial: TrainConfig
    """The same as short as a trial."""
    space: Space
    figure: str
    better: Literal["less", "more"]

    @property
    def folder(self) -> Path:
        return self.base.out


def plan_of(base: TrainConfig, tuning: TuningConfig) -> Plan:
    """The trials of a preset.

    Raises:
        TrainingError: something that cannot be searched or measured.
    """
    if base.max_minutes is not None:
        raise TrainingError(
            f"max_minutes is {base.max_minutes}; trials have equal lengths: give --trial-kimg instead."
        )
    figure = base.metrics.best_by
    about = about_logged(figure)
    if about is None or not (base.metrics.names or base.metrics.restyled):
        raise TrainingError("nothing is measured to search by; name a metric in metrics.names, such as fd.")
    if RunFolder(base.out).config_file.exists():
        raise TrainingError(f"{base.out} holds a run; choose another --out for the study.")
    kimg = tuning.trial_kimg or base.total_kimg
    interval = replace(
        base.interval,
        checkpoint_kimg=0.0,
        snapshot_kimg=0.0,
        metrics_kimg=tuning.interval_kimg or kimg / PARTS,
    )
    trial = replace(
        base, resume=False, total_kimg=kimg,
        growing=base.growing.scaled(kimg / base.total_kimg), interval=interval,
        trackers=replace(base.trackers, group=base.trackers.group or base.out.name),
    )  # fmt: skip
    return Plan(
        base=base, trial=trial, space=space_of(base, tuning.search, defaults=tuning.defaults), figure=figure,
        better=about.better,
    )  # fmt: skip


def identity_of(plan: Plan, fingerprint: str) -> Json:
    """Everything that must not change if two trials are to be compared, flat."""
    values = to_json(plan.trial)
    computed = {name: value for name, value in values.items() if name not in FREE_TO_CHANGE}
    beside = {"data": fingerprint, "trial_kimg": plan.trial.total_kimg,
              "interval_kimg": plan.trial.interval.metrics_kimg, "metrics": values["metrics"],
              "search": {each.name: str(each).partition("=")[2] for each in plan.space}}  # fmt: skip
    return dict(flat(computed | beside))


def measurements(config: TrainConfig) -> int:
    """How often a run is measured: whenever it is due, and once at its end."""
    steps = math.ceil(config.total_kimg * 1000 / config.batch)
    before = range(config.batch, steps * config.batch, config.batch)
    return sum(due(config.interval.metrics_kimg, nimg, config.batch) for nimg in before) + 1
